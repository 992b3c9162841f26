package io.github.ddpm.spark;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What docs/cluster.md says of averaging replicas, measured: {@code mvn -q test -pl
 * ddpm-api,ddpm-native,ddpm-tf,ddpm-spark -Dtest=ReplicaMeasures
 * -Dsurefire.failIfNoSpecifiedTests=false -Dddpm.mnist=FOLDER}. It is not one of the tests that a
 * build runs.
 */
class ReplicaMeasures {
  private static final int BATCH = 32;
  private static final int STEPS = 256;

  private static SparkSession spark;
  private static Dataset digits;
  private static Dataset heldOut;
  private static final AtomicLong sentBack = new AtomicLong();

  @BeforeAll
  static void start() throws IOException {
    String folder = System.getProperty("ddpm.mnist");
    Assumptions.assumeTrue(folder != null, "-Dddpm.mnist says where MNIST is");
    digits = Mnist.train(Path.of(folder));
    heldOut = Mnist.test(Path.of(folder));
    spark = LocalCluster.start(2, "");
    spark
        .sparkContext()
        .addSparkListener(
            new SparkListener() {
              @Override
              public void onTaskEnd(SparkListenerTaskEnd task) {
                sentBack.addAndGet(task.taskMetrics().resultSize());
              }
            });
  }

  /** The README's network on MNIST: two parts on two executors, and eight in one process. */
  @ParameterizedTest
  @CsvSource({"2, 0", "2, 4", "2, 16", "8, 0", "8, 4", "8, 16"})
  void whatReplicasCost(int parts, int localSteps) {
    TrainingOptions options =
        TrainingOptions.defaults()
            .withBatchSize(BATCH)
            .withMicroBatch(BATCH / parts)
            .withLocalSteps(localSteps)
            .withLearningRate(1e-3, 20);
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(28, 28, 1).withClasses(10),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            options)) {
      trainer.setTotalSteps(STEPS);
      sentBack.set(0);
      long start = System.nanoTime();
      if (parts == 2) {
        SparkTraining.train(spark, trainer, digits, progress -> true);
      } else {
        trainer.train(digits, progress -> true);
      }
      double seconds = (System.nanoTime() - start) / 1e9;
      // Listeners are told late.
      LocalCluster.sleep(1000);
      try (Predictor predictor = trainer.predictor()) {
        System.out.println(
            String.format(
                Locale.ROOT,
                "%d parts, %2d local steps: held-out loss %.4f, back to the driver %.0f kB an image, %.0f s",
                parts,
                localSteps,
                heldOut.loss(predictor, 100, 20),
                sentBack.get() / 1e3 / BATCH / STEPS,
                seconds));
      }
    }
  }
}

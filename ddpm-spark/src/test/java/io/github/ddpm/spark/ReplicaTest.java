package io.github.ddpm.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.TrainingProgress;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Replicas on a cluster. */
class ReplicaTest {
  private static final Dataset PICTURES = pictures();

  /** Replicas of 3, 3 and 2 images, in rounds of 3, 3 and 2 steps. */
  private static final TrainingOptions OPTIONS =
      TrainingOptions.defaults()
          .withBatchSize(8)
          .withMicroBatch(3)
          .withLocalSteps(3)
          .withLearningRate(2e-3, 2);

  @TempDir static Path scratch;

  private static SparkSession spark;

  @TempDir Path folder;

  @BeforeAll
  static void start() throws IOException {
    spark = LocalCluster.start(scratch);
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  /** One that is saved on the cluster, between two rounds, may be resumed on one machine. */
  @Test
  void replicasAreThoseOfOneMachineThoughAnExecutorDies() throws IOException {
    List<TrainingProgress> here = new ArrayList<>();
    try (Trainer trainer = trainer()) {
      trainer.train(PICTURES, here::add);
      trainer.save(folder.resolve("here"));
    }
    List<TrainingProgress> spread = new ArrayList<>();
    try (Trainer trainer = trainer()) {
      SparkTraining.train(
          spark,
          trainer,
          PICTURES,
          progress -> {
            spread.add(progress);
            if (progress.step() == 3) {
              save(trainer, folder.resolve("between"));
              LocalCluster.killAnExecutor();
            }
            return true;
          });
      trainer.save(folder.resolve("spread"));
    }
    assertThat(spread).extracting(TrainingProgress::step).containsExactly(3L, 6L, 8L);
    assertThat(spread)
        .extracting(TrainingProgress::loss)
        .containsExactlyElementsOf(here.stream().map(TrainingProgress::loss).toList());
    assertSame("spread", "here");
    try (Trainer trainer = Trainer.resume(folder.resolve("between"))) {
      trainer.train(PICTURES, progress -> true);
      trainer.save(folder.resolve("between"));
    }
    assertSame("between", "here");
  }

  @Test
  void whatEndsARoundLeavesTheOneBefore() {
    Thread training = Thread.currentThread();
    try (Trainer trainer = trainer()) {
      SparkTraining failing =
          SparkTraining.spread(
              spark,
              trainer,
              () -> {
                throw new IOException("no pictures");
              });
      assertThatThrownBy(() -> trainer.train(PICTURES, progress -> true))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "the cluster can't train a replica in steps 1 to 3: no pictures; the weights are those"
                  + " of the step before");
      failing.close();
      SparkTraining waiting =
          SparkTraining.spread(
              spark,
              trainer,
              () -> {
                Thread.sleep(60_000);
                return pictures();
              });
      CompletableFuture<Void> interrupt =
          CompletableFuture.runAsync(
              () -> {
                LocalCluster.sleep(2000);
                training.interrupt();
              });
      assertThatThrownBy(() -> trainer.train(PICTURES, progress -> true))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted in steps 1 to 3");
      assertThat(Thread.interrupted()).as("is kept").isTrue();
      assertThat(interrupt).isCompleted();
      assertThat(trainer.stepsTaken()).isZero();
      waiting.close();
    }
  }

  private static void save(Trainer trainer, Path to) {
    try {
      trainer.save(to);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Trainer trainer() {
    Trainer trainer =
        Trainer.create(
            UNetConfig.small(16, 16, 1).withBlockOutChannels(8, 16).withClasses(10),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            OPTIONS);
    trainer.setTotalSteps(8);
    return trainer;
  }

  private static Dataset pictures() {
    Random random = new Random(1);
    byte[][] images = new byte[40][16 * 16];
    int[] labels = new int[images.length];
    for (int i = 0; i < images.length; i++) {
      random.nextBytes(images[i]);
      labels[i] = i % 10;
    }
    return Dataset.of(16, 16, 1, images, 10, labels);
  }

  private void assertSame(String one, String other) throws IOException {
    for (String file : List.of("weights", "ema", "adam_m", "adam_v")) {
      Path training = Path.of("training", file + ".safetensors");
      assertThat(
              Files.mismatch(
                  folder.resolve(one).resolve(training), folder.resolve(other).resolve(training)))
          .as(file)
          .isEqualTo(-1);
    }
  }
}

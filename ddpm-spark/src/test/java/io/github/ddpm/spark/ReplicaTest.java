package io.github.ddpm.spark;

import static io.github.ddpm.spark.TestTraining.PICTURES;
import static io.github.ddpm.spark.TestTraining.assertSame;
import static io.github.ddpm.spark.TestTraining.save;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.TrainingProgress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Replicas on a cluster. */
class ReplicaTest {
  /** Replicas of 3, 3 and 2 images, in rounds of 3, 3 and 2 steps. */
  private static final TrainingOptions OPTIONS = TestTraining.OPTIONS.withLocalSteps(3);

  private final SparkSession spark = LocalCluster.session();

  @TempDir Path folder;

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
    assertSame(folder.resolve("spread"), folder.resolve("here"));
    try (Trainer trainer = Trainer.resume(folder.resolve("between"))) {
      trainer.train(PICTURES, progress -> true);
      trainer.save(folder.resolve("between"));
    }
    assertSame(folder.resolve("between"), folder.resolve("here"));
  }

  @Test
  void whatEndsARoundLeavesTheOneBefore() {
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
                  + " of the round before");
      failing.close();
      SparkTraining waiting =
          SparkTraining.spread(spark, trainer, TestTraining::picturesAfterAMinute);
      CompletableFuture<Void> interrupt = TestTraining.interruptSoon(Thread.currentThread());
      assertThatThrownBy(() -> trainer.train(PICTURES, progress -> true))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted in steps 1 to 3");
      assertThat(Thread.interrupted()).as("is kept").isTrue();
      assertThat(interrupt).isCompleted();
      assertThat(trainer.stepsTaken()).isZero();
      waiting.close();
    }
  }

  private static Trainer trainer() {
    Trainer trainer = TestTraining.trainer(OPTIONS);
    trainer.setTotalSteps(8);
    return trainer;
  }
}

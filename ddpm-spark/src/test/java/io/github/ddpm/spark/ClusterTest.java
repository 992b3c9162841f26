package io.github.ddpm.spark;

import static io.github.ddpm.spark.TestTraining.PICTURES;
import static io.github.ddpm.spark.TestTraining.assertSame;
import static io.github.ddpm.spark.TestTraining.save;
import static io.github.ddpm.spark.TestTraining.trainer;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.Images;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClusterTest {
  private final SparkSession spark = LocalCluster.session();

  @TempDir Path folder;

  @Test
  void trainingIsThatOfOneMachineThoughAnExecutorDies() throws IOException {
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer = trainer()) {
      trainer.train(PICTURES, progress -> losses.add(progress.loss()));
      trainer.save(folder.resolve("here"));
    }
    List<Double> spread = new ArrayList<>();
    try (Trainer trainer = trainer()) {
      SparkTraining.train(
          spark,
          trainer,
          PICTURES,
          progress -> {
            if (progress.step() == 3) {
              LocalCluster.killAnExecutor();
            }
            return spread.add(progress.loss());
          });
      trainer.save(folder.resolve("spread"));
    }
    assertThat(spread).isEqualTo(losses).hasSize(6);
    assertSame(folder.resolve("spread"), folder.resolve("here"));
  }

  @Test
  void aTrainingIsResumedOnTheCluster() throws IOException {
    try (Trainer trainer = trainer()) {
      trainer.train(PICTURES, progress -> true);
      trainer.save(folder.resolve("here"));
    }
    try (Trainer trainer = trainer()) {
      SparkTraining.train(
          spark,
          trainer,
          PICTURES,
          progress -> {
            if (progress.step() == 2) {
              save(trainer, folder.resolve("resumed"));
            }
            return progress.step() < 4;
          });
    }
    try (Trainer trainer = Trainer.resume(folder.resolve("resumed"))) {
      assertThat(trainer.stepsTaken()).isEqualTo(2);
      SparkTraining.train(spark, trainer, PICTURES, progress -> true);
      trainer.save(folder.resolve("resumed"));
    }
    assertSame(folder.resolve("resumed"), folder.resolve("here"));
  }

  @Test
  void everyPictureIsThereOnceAndThatOfOneMachineThoughAnExecutorDies() throws IOException {
    Path files = folder.resolve("digits");
    int count = 2 * 512 + 76;
    // The first of three parts, so that another is still being drawn.
    CompletableFuture<Boolean> killed = LocalCluster.killAnExecutorOnceThereAre(1, files);
    SparkSampling.sample(
            spark,
            SparkModel.pretrained("digits"),
            model -> Sampler.dpmSolver().steps(2).labels(3, 1, 4).seed(7).with(model),
            count)
        .write()
        .parquet(files.toString());
    assertThat(killed).isCompletedWithValue(true);
    List<Row> rows = spark.read().parquet(files.toString()).orderBy("index").collectAsList();
    assertThat(rows).hasSize(count);
    Images drawn = Sampler.dpmSolver().steps(2).labels(3, 1, 4).seed(7).sample(count);
    int[] cycle = {3, 1, 4};
    for (int i = 0; i < count; i++) {
      Path file = folder.resolve("picture.png");
      drawn.writePng(i, file);
      assertThat(rows.get(i).getLong(0)).isEqualTo(i);
      assertThat(rows.get(i).getInt(1)).isEqualTo(cycle[i % 3]);
      assertThat(rows.get(i).<byte[]>getAs("png")).isEqualTo(Files.readAllBytes(file));
    }
  }

  @Test
  void filesOfNumPyAreThoseOfOneMachine() throws IOException {
    Path files = folder.resolve("digits");
    SparkSampling.writeNpy(
        spark,
        SparkModel.pretrained("digits"),
        model -> Sampler.dpmSolver().steps(2).seed(7).with(model),
        100,
        70,
        files.toUri().toString());
    Images drawn = Sampler.dpmSolver().steps(2).seed(7).sample(100);
    drawn.slice(0, 70).writeNpy(folder.resolve("first.npy"));
    drawn.slice(70, 100).writeNpy(folder.resolve("last.npy"));
    assertThat(files.resolve("part-0000000000.npy"))
        .hasSameBinaryContentAs(folder.resolve("first.npy"));
    assertThat(files.resolve("part-0000000001.npy"))
        .hasSameBinaryContentAs(folder.resolve("last.npy"));
    assertThat(files.resolve("_SUCCESS")).exists();
    assertThatThrownBy(
            () ->
                SparkSampling.writeNpy(
                    spark, SparkModel.pretrained("digits"), own -> null, 1, files.toString()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("folder must not be there yet, got " + files);
    assertThat(IntStream.of(0, 99_999, 100_000, Integer.MAX_VALUE).mapToObj(NpyFormat::name))
        .as("are read in the order of their names")
        .isSorted();
  }

  @Test
  void aModelIsSentOrShared() throws IOException {
    Path model = folder.resolve("model");
    try (Trainer trainer = trainer()) {
      trainer.save(model);
    }
    byte[] sent = onePicture(SparkModel.send(spark, model));
    assertThat(onePicture(SparkModel.shared(model.toString()))).isEqualTo(sent);
    Path file = folder.resolve("picture.png");
    try (Predictor here = Predictor.load(model)) {
      Sampler.ddim(0).steps(3).labels(1).seed(5).with(here).sample(1).writePng(0, file);
    }
    assertThat(sent).isEqualTo(Files.readAllBytes(file));
  }

  private byte[] onePicture(SparkModel model) {
    return SparkSampling.sample(
            spark, model, own -> Sampler.ddim(0).steps(3).labels(1).seed(5).with(own), 1)
        .first()
        .getAs("png");
  }

  @Test
  void whatFailsOnAnExecutorIsSaidByTheDriver() throws IOException {
    String missing = folder.resolve("missing").toString();
    assertThatThrownBy(() -> onePicture(SparkModel.shared(missing)))
        .hasStackTraceContaining("missing: a model is a folder, and this is none");
    assertThatThrownBy(
            () ->
                SparkSampling.sample(
                        spark, SparkModel.pretrained("digits"), own -> Sampler.ddim(0).steps(2), 1)
                    .first())
        .hasStackTraceContaining("the sampler needs a seed");
    try (Trainer trainer = trainer();
        SparkTraining cluster =
            SparkTraining.spread(
                spark,
                trainer,
                () -> {
                  throw new IOException("no pictures in " + missing);
                })) {
      assertThat(cluster).isNotNull();
      assertThatThrownBy(() -> trainer.train(PICTURES, progress -> true))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "the cluster can't compute a gradient of step 1: no pictures in "
                  + missing
                  + "; the weights are those of the step before");
      assertThat(trainer.stepsTaken()).isZero();
    }
  }

  /** An executor that takes too long must not keep a signal waiting. */
  @Test
  void anInterruptEndsTheStepAtWork() {
    try (Trainer trainer = trainer()) {
      SparkTraining cluster =
          SparkTraining.spread(spark, trainer, TestTraining::picturesAfterAMinute);
      CompletableFuture<Void> interrupt = TestTraining.interruptSoon(Thread.currentThread());
      long start = System.nanoTime();
      assertThatThrownBy(() -> trainer.train(PICTURES, progress -> true))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted in step 1");
      assertThat(Thread.interrupted()).as("is kept").isTrue();
      assertThat(System.nanoTime() - start).isLessThan(30_000_000_000L);
      assertThat(interrupt).isCompleted();
      cluster.close();
      trainer.train(PICTURES, progress -> true);
      assertThat(trainer.stepsTaken()).isEqualTo(6);
    }
  }

  @Test
  void whatCannotBeSpreadIsRefusedAtOnce() {
    Dataset noise =
        new Dataset(10, 16, 16, 1, 10) {
          @Override
          protected void read(int index, FloatBuffer into) {
            while (into.hasRemaining()) {
              into.put(0.3f);
            }
          }

          @Override
          protected int readLabel(int index) {
            return 0;
          }
        };
    try (Trainer trainer = trainer()) {
      assertThatThrownBy(() -> SparkTraining.train(spark, trainer, noise, progress -> true))
          .hasMessage(
              "picture 0 has the value 0.3, which no byte stands for: have each executor open the data, by"
                  + " spread(spark, trainer, () -> …)");
    }
  }
}

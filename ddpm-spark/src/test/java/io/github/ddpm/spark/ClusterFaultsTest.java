package io.github.ddpm.spark;

import static io.github.ddpm.spark.TestTraining.PICTURES;
import static io.github.ddpm.spark.TestTraining.assertSame;
import static io.github.ddpm.spark.TestTraining.save;
import static io.github.ddpm.spark.TestTraining.trainer;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a cluster fails at, and what is left then. */
class ClusterFaultsTest {
  private final SparkSession spark = LocalCluster.session();

  /** A driver whose executors compute with the least; empty where this one does, too. */
  private static Optional<Driver> otherProcessor = Optional.empty();

  @TempDir Path folder;

  /** It works while other tests wait. */
  @BeforeAll
  static void startTheOtherProcessor(@TempDir Path unused) throws IOException {
    if (!List.of("base", "tensorflow").contains(TensorFlowRuntime.instructions())) {
      otherProcessor = Optional.of(Driver.start("other-processor", unused));
    }
  }

  @AfterAll
  static void endTheOtherProcessor() {
    otherProcessor.ifPresent(Driver::close);
  }

  @Test
  void aTaskThatFailsFourTimesEndsTrainingAtTheLastStep() throws IOException {
    String disk = folder.toString();
    Path broken = folder.resolve("broken");
    try (Trainer trainer = trainer();
        SparkTraining cluster = SparkTraining.spread(spark, trainer, () -> new FromDisk(disk))) {
      assertThat(cluster).isNotNull();
      assertThatThrownBy(
              () ->
                  trainer.train(
                      PICTURES,
                      progress -> {
                        if (progress.step() == 3) {
                          touch(broken);
                        }
                        return true;
                      }))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "the cluster can't compute a gradient of step 4: the disk of the pictures is broken;"
                  + " the weights are those of the step before");
      assertThat(trainer.stepsTaken()).isEqualTo(3);
      trainer.save(folder.resolve("ended"));
      try (Trainer here = trainer()) {
        here.train(
            PICTURES,
            progress -> {
              if (progress.step() == 3) {
                save(here, folder.resolve("here"));
              }
              return true;
            });
        here.save(folder.resolve("whole"));
      }
      assertSame(folder.resolve("ended"), folder.resolve("here"));
      List<String> attempts = Files.readAllLines(folder.resolve("attempts"));
      assertThat(List.of("0", "1", "2"))
          .anySatisfy(
              part ->
                  assertThat(attempts)
                      .contains(part + " 0", part + " 1", part + " 2", part + " 3")
                      .doesNotContain(part + " 4"));

      Files.delete(broken);
      trainer.train(PICTURES, progress -> true);
      trainer.save(folder.resolve("ended"));
    }
    assertSame(folder.resolve("ended"), folder.resolve("whole"));
  }

  /** Pictures that can't be read while a file {@code broken} is there; it notes who tried. */
  private static final class FromDisk extends Dataset {
    private final Path disk;

    FromDisk(String disk) {
      super(
          PICTURES.size(),
          PICTURES.height(),
          PICTURES.width(),
          PICTURES.channels(),
          PICTURES.classes());
      this.disk = Path.of(disk);
    }

    @Override
    protected void read(int index, FloatBuffer into) {
      if (Files.exists(disk.resolve("broken"))) {
        TaskContext task = TaskContext.get();
        note(task.partitionId() + " " + task.attemptNumber());
        throw new IllegalStateException("the disk of the pictures is broken");
      }
      into.put(PICTURES.floats(index));
    }

    private void note(String line) {
      try {
        Files.writeString(
            disk.resolve("attempts"),
            line + "\n",
            StandardOpenOption.CREATE,
            StandardOpenOption.APPEND);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    protected int readLabel(int index) {
      return PICTURES.label(index);
    }
  }

  private static void touch(Path file) {
    try {
      Files.createFile(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aFullDiskLeavesNothingThatLooksWhole() throws IOException {
    Path out = folder.resolve("digits");
    SparkModel model = SparkModel.pretrained("digits");
    Function<Predictor, Sampler> sampler = own -> Sampler.dpmSolver().steps(2).seed(7).with(own);
    org.apache.spark.sql.Dataset<Row> digits = SparkSampling.sample(spark, model, sampler, 8, 4);
    for (ThrowingCallable writing :
        List.<ThrowingCallable>of(
            () -> digits.write().parquet(FullDisk.folder(spark, out)),
            () ->
                SparkSampling.writeNpy(spark, model, sampler, 8, 4, FullDisk.folder(spark, out)))) {
      assertThatThrownBy(writing)
          .satisfies(e -> assertThat(SparkFailures.reason(e)).isEqualTo("No space left on device"));
      assertThat(files(out)).isEmpty();
      Files.deleteIfExists(out);
    }

    touch(FullDisk.room(out));
    digits.write().parquet(FullDisk.folder(spark, out));
    assertThat(files(out)).contains("_SUCCESS").hasSize(3);
    assertThat(spark.read().parquet(out.toString()).collectAsList())
        .containsExactlyInAnyOrderElementsOf(digits.collectAsList());
  }

  private static List<String> files(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return List.of();
    }
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(Files::isRegularFile).map(file -> file.getFileName().toString()).toList();
    }
  }

  /** Their last bits differ, and in bfloat16 and float16 more. */
  @Test
  void executorsOfAnotherProcessorAreToldOf() {
    assumeThat(otherProcessor).as("what this processor has beside base").isPresent();
    List<String> said = new ArrayList<>();
    otherProcessor.get().lines().forEach(said::add);
    assertThat(said)
        .filteredOn(line -> line.contains("computes with base"))
        .satisfiesExactly(
            line ->
                assertThat(line)
                    .startsWith("WARN SparkTraining: the executor on ")
                    .contains(" computes with base, others with ")
                    .endsWith(": the weights depend on which of them computes what"),
            line ->
                assertThat(line)
                    .startsWith("BFLOAT16: the executor on ")
                    .contains(" computes with base, others with ")
                    .endsWith(": train in float32, in which they differ in the last bits only"),
            line ->
                assertThat(line)
                    .startsWith("FLOAT16: the executor on ")
                    .endsWith(": train in float32, in which they differ in the last bits only"),
            line ->
                assertThat(line)
                    .startsWith("sampling: this executor computes with base, the driver with ")
                    .endsWith(": draw in float32, in which they differ in the last bits only"));
    assertThat(said).contains("FLOAT32 takes 1 step");
  }

  @Test
  void aDriverThatIsKilledIsResumed() throws IOException {
    Path saved = folder.resolve("saved");
    List<ProcessHandle> executors;
    try (Driver driver = Driver.start("until-killed", saved)) {
      // While the driver starts.
      try (Trainer trainer = trainer()) {
        trainer.setTotalSteps(Driver.STEPS);
        trainer.train(PICTURES, progress -> progress.step() < 4);
        trainer.save(folder.resolve("undisturbed"));
      }
      assertThat(driver.lines().anyMatch("step 3"::equals)).isTrue();
      executors = driver.executors();
      driver.kill();
    }
    assertThat(executors).hasSize(1);
    for (int i = 0; i < 200 && executors.get(0).isAlive(); i++) {
      LocalCluster.sleep(100);
    }
    assertThat(executors.get(0).isAlive()).as("an executor ends after its driver").isFalse();
    try (Trainer trainer = Trainer.resume(saved)) {
      assertThat(trainer.stepsTaken()).isEqualTo(2);
      SparkTraining.train(spark, trainer, PICTURES, progress -> progress.step() < 4);
      trainer.save(saved);
    }
    assertSame(saved, folder.resolve("undisturbed"));
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.Command;

/** What a training keeps when something goes wrong while it runs. */
class TrainingRunTest {
  private static final int SIZE = 8;
  private static final int BATCH = 4;
  private static final int STEPS = 9;

  @TempDir Path folder;

  /** Is told of each batch as it is read, which is while the step before it is taken. */
  private interface Hook {
    /** Returns what the pictures of a batch are times. */
    float read(int batch) throws IOException;
  }

  private static final class Hooked extends Dataset {
    private final Hook hook;
    private final AtomicInteger read = new AtomicInteger();
    private float factor = 1;

    Hooked(Hook hook) {
      super(100, SIZE, SIZE, 1, 0);
      this.hook = hook;
    }

    @Override
    protected synchronized void read(int index, FloatBuffer into) {
      int count = read.getAndIncrement();
      try {
        if (count % BATCH == 0) {
          factor = hook.read(count / BATCH + 1);
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      while (into.hasRemaining()) {
        into.put(0.1f * (index % 7 - 3) * factor);
      }
    }
  }

  /** Trains and saves after each step. */
  @Command
  static final class Run implements Callable<Integer> {
    private final Path out;
    private final Dataset data;

    Run(Path out, Hook hook) {
      this.out = out;
      this.data = new Hooked(hook);
    }

    @Override
    public Integer call() throws IOException {
      try (Trainer trainer =
          Files.exists(out.resolve("training")) ? Trainer.resume(out) : untrained()) {
        TrainingRun.Saving saving = new TrainingRun.Saving(out, Duration.ofNanos(1), 2);
        new TrainingRun(trainer, saving).run(data, Duration.ofMinutes(1));
      }
      return 0;
    }
  }

  private static Trainer untrained() {
    Trainer trainer =
        Trainer.create(
            UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 8),
            BetaSchedule.linear(20),
            PredictionType.SAMPLE,
            TrainingOptions.defaults().withBatchSize(BATCH).withLabelDropout(0).withSeed(1));
    trainer.setTotalSteps(STEPS);
    return trainer;
  }

  static long savedStep(Path out) throws IOException {
    return state(out, "step");
  }

  /** Returns a number of a saved training. */
  static long state(Path out, String key) throws IOException {
    return new ObjectMapper()
        .readTree(out.resolve("training/state.json").toFile())
        .required(key)
        .longValue();
  }

  private static Outcome run(Path out, Hook hook) {
    return CommandsTest.run(new Run(out, hook));
  }

  @Test
  void aSaveThatFailsIsTriedAgain() throws IOException {
    Path out = folder.resolve("model");
    Path away = folder.resolve("away");
    Outcome outcome =
        run(
            out,
            batch -> {
              if (batch == 2) {
                Files.move(out, away);
                Files.writeString(out, "in the way");
              } else if (batch == 5) {
                Files.delete(out);
                Files.move(away, out);
              }
              return 1;
            });
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.err().lines())
        .isNotEmpty()
        .allMatch(line -> line.startsWith("warning: can't save to " + out + ": "))
        .allMatch(line -> line.endsWith("; training goes on, and saves again later"));
    assertThat(outcome.out()).endsWith("saved " + out + " at step 9" + System.lineSeparator());
    assertThat(savedStep(out)).isEqualTo(STEPS);
  }

  @Test
  void aLastSaveThatFailsIsAnError() throws IOException {
    Path out = folder.resolve("model");
    Path away = folder.resolve("away");
    Outcome outcome =
        run(
            out,
            batch -> {
              if (batch == 5) {
                Files.move(out, away);
                Files.writeString(out, "in the way");
              }
              return 1;
            });
    assertThat(outcome.code()).isEqualTo(2);
    assertThat(outcome.err().lines().toList())
        .last()
        .asString()
        .startsWith("error: can't save to " + out + ": ")
        .containsPattern("; " + out + " stays as it was saved at step [345]$");
    assertThat(outcome.out()).doesNotContain("saved");
    assertThat(out).hasContent("in the way");
    assertThat(savedStep(away)).isBetween(3L, 5L);
  }

  @Test
  void aLossThatHasGrownAMillionTimesIsNotSaved() throws IOException {
    Path out = folder.resolve("model");
    Outcome outcome = run(out, batch -> batch < 6 ? 1 : 1e6f);
    assertThat(outcome.code()).isEqualTo(2);
    assertThat(outcome.err().lines())
        .hasSize(4)
        .allSatisfy(
            line ->
                assertThat(line)
                    .matches(
                        "(warning|error): the loss has grown from \\S+ to \\d\\.\\d+e\\+\\d+,"
                            + " which is not saved; "
                            + out
                            + " stays as it was saved at step 5"));
    assertThat(savedStep(out)).isEqualTo(5);
    // It is as good as it was.
    assertThat(run(out, batch -> 1).err()).isEmpty();
    assertThat(savedStep(out)).isEqualTo(STEPS);
  }

  @Test
  void stepsThatAreSkippedAreShown() throws IOException {
    Path out = folder.resolve("model");
    Outcome some = run(out, batch -> batch == 3 || batch == 4 ? Float.NaN : 1);
    assertThat(some.code()).as(some.err()).isZero();
    assertThat(some.out())
        .contains(" images/s  2 skipped", "2 steps were skipped: their loss or gradient was not");
    assertThat(savedStep(out)).isEqualTo(STEPS);
    Path other = folder.resolve("other");
    assertError(
        run(other, batch -> batch > 4 ? Float.NaN : 1),
        "at step 4, 10 times in a row; the weights stay as they were, image 0 of the batch has the"
            + " value NaN; "
            + other
            + " stays as it was saved at step 4");
    assertThat(savedStep(other)).isEqualTo(4);
  }

  @Test
  void picturesThatCannotBeWrittenCostNothingElse() throws IOException {
    Path out = folder.resolve("model");
    Files.createDirectories(out.resolve("loss.csv/is a folder"));
    Files.createDirectories(out.resolve("loss.png/is a folder"));
    Files.writeString(out.resolve("samples"), "a file");
    Outcome outcome = run(out, batch -> 1);
    assertThat(outcome.code()).isZero();
    assertThat(outcome.out()).contains("saved " + out + " at step 9");
    assertThat(outcome.err().lines().distinct().map(line -> line.replaceAll("(: .*?): .*", "$1")))
        .containsExactlyInAnyOrder(
            "warning: can't write the table of losses in " + out,
            "warning: can't draw the loss curve in " + out,
            "warning: can't draw samples in " + out);
    assertThat(savedStep(out)).isEqualTo(STEPS);
    try (var files = Files.list(out)) {
      assertThat(files).noneMatch(file -> file.toString().endsWith(".tmp"));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "step,loss,minutes\n1,0.5,0.1\n2,0.4",
        "step,loss,minutes\n2,0.5,0.1\n1,0.4,0.2\n",
        "step,loss,minutes\n1,NaN,0.1\n",
        "step,loss,minutes\n1,0.5,0.1\n\n",
        "step,loss,minutes,learning_rate,gradient_norm,images_per_second,frechet_distance\n1,0.5,0.1\n",
        "step,loss,minutes\n1,0.5,0.1,,,,\n",
        "loss\n0.1\n",
        "\0\0\0\0\0\0\0\0"
      })
  void aDamagedCurveIsKeptBeside(String damaged) throws IOException {
    Path csv = folder.resolve("loss.csv");
    for (String kept : List.of("loss-damaged.csv", "loss-damaged-2.csv")) {
      Files.writeString(csv, damaged);
      LossCurve curve = new LossCurve(folder);
      assertThatThrownBy(() -> curve.read(7))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(csv + " is damaged (")
          .hasMessageEndingWith("): it is now " + kept + ", and the curve starts after step 7");
      assertThat(curve.minutes()).isZero();
      assertThat(csv).doesNotExist();
      assertThat(folder.resolve(kept)).hasContent(damaged);
    }
  }

  @Test
  void aDamagedCurveCostsNothingButItself() throws IOException {
    Path out = folder.resolve("model");
    try (Trainer trainer = untrained()) {
      trainer.step(new Hooked(batch -> 1).images(1));
      trainer.save(out);
    }
    Path csv = Files.createFile(out.resolve("loss.csv"));
    Outcome outcome = run(out, batch -> 1);
    assertThat(outcome.code()).isZero();
    assertThat(outcome.err()).hasLineCount(1).startsWith("warning: " + csv + " is damaged (");
    assertThat(savedStep(out)).isEqualTo(STEPS);
    assertThat(Files.readAllLines(csv)).hasSize(STEPS).element(1).asString().startsWith("2,");
  }

  /** A kill between the save and its table leaves a gap; later steps keep their numbers. */
  @Test
  void stepsOfACurveKeepTheirNumbers() throws IOException {
    Files.writeString(
        folder.resolve("loss.csv"), "step,loss,minutes\n1,0.5,1.0\n2,0.25,2.5\n9,0.1,9.0\n");
    LossCurve curve = new LossCurve(folder);
    curve.read(5);
    curve.add(new LossRow(6, 0.125, 2.5, 1e-3, 4.5, 100, Double.NaN));
    curve.add(new LossRow(7, 0.0625, 3, 1e-3, 3.5, 100, 17.25));
    curve.saveTable();
    String table =
        """
        step,loss,minutes,learning_rate,gradient_norm,images_per_second,frechet_distance
        1,0.5,1.000,,,,
        2,0.25,2.500,,,,
        6,0.125,2.500,0.001,4.5,100.0,
        7,0.0625,3.000,0.001,3.5,100.0,17.25
        """;
    assertThat(folder.resolve("loss.csv")).content().isEqualToNormalizingNewlines(table);
    LossCurve again = new LossCurve(folder);
    again.read(7);
    again.saveTable();
    assertThat(folder.resolve("loss.csv")).content().isEqualToNormalizingNewlines(table);
  }

  private static LossRow lossOf(long step, double loss) {
    return new LossRow(step, loss, 0, 1e-3, 1, 100, Double.NaN);
  }

  @Test
  void aLossIsLostOnceItIsAMillionTimesItsLowest() {
    LossCurve curve = new LossCurve(folder);
    assertThat(curve.isLost()).isFalse();
    curve.add(lossOf(1, 1e-2));
    curve.add(lossOf(2, 1.9e4));
    assertThat(curve.recent()).isLessThan(1e4);
    assertThat(curve.isLost()).isFalse();
    curve.add(lossOf(3, 1e5));
    assertThat(curve.isLost()).isTrue();
    assertThat(curve.lowest()).isEqualTo(1e-2);
    LossCurve small = new LossCurve(folder);
    small.add(lossOf(1, 1e-13));
    small.add(lossOf(2, 1));
    assertThat(small.isLost()).isFalse();
  }

  @Test
  void nothingLeftToTrainIsSaid() throws IOException {
    Path data = Files.createDirectories(folder.resolve("data"));
    CommandsTest.writeDigits(data, "train", 20, SIZE);
    Path out = folder.resolve("model");
    String options = "--data " + data + " --out " + out;
    Outcome trained =
        CommandsTest.run(
            new TrainMnist(), (options + " --epochs 0.2 --batch 4 --channels 8,8").split(" "));
    assertThat(trained.out()).as(trained.err()).contains("saved " + out + " at step 1");
    Outcome again =
        CommandsTest.run(
            new TrainMnist(), (options + " --resume --save-every 0.5 --keep 3").split(" "));
    assertThat(again.code()).as(again.err()).isZero();
    assertThat(again.out())
        .isEqualToNormalizingNewlines(
            "all 1 steps are taken, nothing is left to train; for more, start another training with"
                + " --from "
                + out
                + "\n");
    try (Predictor model = Predictor.load(out)) {
      assertThat(model.info().classes()).isEqualTo(10);
    }
  }

  @Test
  void savesAreAskedForInNumbersThatMakeSense() {
    assertError(
        CommandsTest.run(new TrainMnist(), "--save-every=0"),
        "--save-every must be above 0 and at most 525600, got 0.0");
    assertError(
        CommandsTest.run(new TrainMnist(), "--save-every=NaN"),
        "--save-every must be above 0 and at most 525600, got NaN");
    assertError(
        CommandsTest.run(new TrainMnist(), "--resume", "--keep=0"),
        "--keep must be at least 1, got 0");
  }
}

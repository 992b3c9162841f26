package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Mnist;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Signals to a training in a process of its own. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "it has no kill")
class StopSignalsTest {
  private static final String HEADLESS = "-Djava.awt.headless=true";
  private static final long INT_BIT = 1 << (2 - 1);
  private static final List<String> VECTORS = List.of("weights", "ema", "adam_m", "adam_v");

  @TempDir static Path shared;

  @TempDir Path folder;

  @BeforeAll
  static void makeASet() throws IOException {
    CommandsTest.writeDigits(shared, "train", 20, 8);
  }

  /** A command that trains; what it prints is read as it comes. */
  private final class Training implements AutoCloseable {
    private final Process process;
    private final BufferedReader out;
    private final Path errors = folder.resolve("errors.txt");
    private final List<String> lines = new ArrayList<>();

    Training(String property, String options) throws IOException {
      List<String> command = new ArrayList<>();
      command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
      command.add(property);
      command.addAll(List.of("-cp", System.getProperty("java.class.path")));
      command.add(TrainMnist.class.getName());
      command.addAll(List.of("--data", shared.toString()));
      command.addAll(List.of(options.split(" ")));
      ProcessBuilder builder = new ProcessBuilder(command).redirectError(errors.toFile());
      builder.environment().put("DISPLAY", ":4711");
      process = builder.start();
      out = process.inputReader(StandardCharsets.UTF_8);
    }

    /** Reads up to a line that starts like that. */
    void awaitLine(String start) throws IOException {
      String line;
      do {
        line = out.readLine();
        assertThat(line).as("%s, %s", lines, Files.readString(errors)).isNotNull();
        lines.add(line);
      } while (!line.startsWith(start));
    }

    void send(String signal) throws Exception {
      Process kill =
          new ProcessBuilder("kill", "-" + signal, String.valueOf(process.pid())).start();
      assertThat(kill.waitFor()).isZero();
    }

    /** Waits for the end, as long as a container does and then some; returns the exit code. */
    int end() throws Exception {
      try (Stream<String> more = out.lines()) {
        more.forEach(lines::add);
      }
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
      return process.exitValue();
    }

    String lastLine() {
      return lines.get(lines.size() - 1);
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }

  @Test
  void sigtermSavesATrainingWhoseStepsAreNotKnown() throws Exception {
    Path out = folder.resolve("model");
    String options = "--minutes 60 --batch 64 --channels 8,8 --seed 3 --out " + out;
    try (Training training = new Training(HEADLESS, options)) {
      training.awaitLine("Training step 1/?");
      training.send("TERM");
      assertThat(training.end()).isZero();
      assertThat(training.lastLine())
          .matches("saved " + out + " at step \\d{1,2}; --resume goes on");
    }
    assertThat(out.resolve("samples")).doesNotExist();
    long step = TrainingRunTest.savedStep(out);
    // Not known from the first steps, which take longer than the others.
    assertThat(TrainingRunTest.state(out, "total_steps"))
        .satisfiesAnyOf(
            total -> assertThat(total).isZero(), total -> assertThat(total).isGreaterThan(step));
    assertThat(out.resolve("loss.csv")).content().hasLineCount(1 + Math.toIntExact(step));
  }

  @Test
  void afterCtrlCTrainingGoesOnBitForBit() throws Exception {
    assumeFalse(ignoresCtrlC());
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    String options = "--epochs 30 --batch 8 --channels 8,8 --seed 3 --out ";
    try (Training training = new Training(HEADLESS, options + halves)) {
      training.awaitLine("Training step 1/75");
      training.send("INT");
      assertThat(training.end()).isZero();
      assertThat(training.lastLine())
          .matches("saved " + halves + " at step \\d{1,2}; --resume goes on");
    }
    String data = "--data " + shared + " ";
    Outcome resumed =
        CommandsTest.run(new TrainMnist(), (data + "--resume --out " + halves).split(" "));
    assertThat(resumed.out()).as(resumed.err()).contains("saved " + halves + " at step 75");
    CommandsTest.run(new TrainMnist(), (data + options + whole).split(" "));
    assertSame(halves, whole);
  }

  /** Tells whether it is of no use: who is started in the background of a script ignores it. */
  static boolean ignoresCtrlC() throws IOException {
    return (ignoredSignals() & INT_BIT) != 0;
  }

  private static long ignoredSignals() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.exists(status)) {
      return 0;
    }
    return Files.readAllLines(status).stream()
        .filter(line -> line.startsWith("SigIgn:"))
        .mapToLong(line -> Long.parseUnsignedLong(line.substring(7).strip(), 16))
        .findFirst()
        .orElse(0);
  }

  private static void assertSame(Path actual, Path expected) {
    for (String vector : VECTORS) {
      String file = "training/" + vector + ".safetensors";
      assertThat(actual.resolve(file)).hasSameBinaryContentAs(expected.resolve(file));
    }
  }

  /** Saves a training of which the next step has a great many parts. */
  private Path slow() throws IOException {
    Path out = folder.resolve("model");
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 8).withClasses(10),
            BetaSchedule.linear(20),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults().withBatchSize(100_000).withMicroBatch(1))) {
      trainer.setTotalSteps(5);
      trainer.step(Mnist.train(shared).images(1), 1);
      trainer.save(out);
    }
    return out;
  }

  @Test
  void aStepThatTakesTooLongIsGivenUp() throws Exception {
    Path out = slow();
    Path before = Files.createDirectories(folder.resolve("before/training")).getParent();
    for (String vector : VECTORS) {
      String file = "training/" + vector + ".safetensors";
      Files.copy(out.resolve(file), before.resolve(file));
    }
    try (Training training = new Training(HEADLESS, "--resume --out " + out)) {
      training.awaitLine("v_prediction");
      training.send("TERM");
      training.awaitLine("stopping after this step");
      long start = System.nanoTime();
      assertThat(training.end()).isZero();
      assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(10));
      assertThat(training.lastLine()).isEqualTo("saved " + out + " at step 1; --resume goes on");
    }
    assertSame(out, before);
  }

  @Test
  void aSecondSignalEndsTheProcessAtOnce() throws Exception {
    Path out = slow();
    try (Training training = new Training(HEADLESS, "--resume --out " + out)) {
      training.awaitLine("v_prediction");
      training.send("TERM");
      training.awaitLine("stopping after this step");
      long start = System.nanoTime();
      training.send("TERM");
      assertThat(training.end()).isEqualTo(128 + 15);
      assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(3));
    }
    assertThat(TrainingRunTest.savedStep(out)).isEqualTo(1);
  }

  /** There is no such display, which is an error of the Java runtime as a lack of fonts is. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void aMachineThatCannotDrawTrainsAndSaves() throws Exception {
    Path out = folder.resolve("model");
    String options = "--epochs 0.4 --batch 4 --channels 8,8 --out " + out;
    try (Training training = new Training("-Djava.awt.headless=false", options)) {
      assertThat(training.end()).isZero();
      assertThat(training.lastLine()).isEqualTo("saved " + out + " at step 2");
      assertThat(Files.readAllLines(training.errors))
          .filteredOn(line -> line.startsWith("warning: "))
          .singleElement()
          .asString()
          .startsWith("warning: can't draw the loss curve in " + out + ": ");
    }
    assertThat(out.resolve("samples/step-000002.png")).isNotEmptyFile();
    try (Predictor model = Predictor.load(out)) {
      assertThat(model.info().classes()).isEqualTo(10);
    }
  }
}

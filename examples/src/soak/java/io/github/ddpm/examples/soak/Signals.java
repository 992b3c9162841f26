package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Asks the command TrainMnist to end, at random moments after its first step. */
@Command(
    name = "signals",
    mixinStandardHelpOptions = true,
    description = "SIGTERM and SIGINT at random moments of a training")
final class Signals implements Callable<Integer> {
  /** What a container gives. */
  private static final int SECONDS = 10;

  /** The bar says "12/400". */
  private static final Pattern STEP = Pattern.compile("(\\d+)/(?:\\d+|\\?)  loss");

  @Mixin private Scratch scratch;

  @Option(names = "--signals", defaultValue = "50", description = "how many (${DEFAULT-VALUE})")
  private int signals;

  @Option(
      names = "--steps",
      defaultValue = "600",
      description = "steps of each training (${DEFAULT-VALUE})")
  private int steps;

  @Option(
      names = "--millis",
      defaultValue = "3000",
      description =
          "longest time from the first step to a signal; a training must last longer (${DEFAULT-VALUE})")
  private int millis;

  @Option(names = "--seed", defaultValue = "1", description = "of the moments (${DEFAULT-VALUE})")
  private long seed;

  private MnistRun run;
  private double slowest;

  Signals() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("signals");
    Random random = new Random(seed);
    run = new MnistRun(scratch);
    Path whole = scratch.fresh("signals-undisturbed");
    try (Child training = run.start(whole, steps)) {
      finish(training);
    }
    for (int i = 0; i < signals; i++) {
      tally.begin();
      String signal = i % 2 == 0 ? "TERM" : "INT";
      Path folder = scratch.fresh("signals");
      // Of trainings that take a time, few know their steps yet; what becomes of those is their
      // affair.
      boolean timed = i % 5 == 4;
      int wait = random.nextInt(timed ? 300 : millis);
      if (stopped(tally, timed, folder, signal, wait)) {
        resumed(tally, timed, folder, whole);
      }
    }
    System.out.printf("signals: the slowest took %.1f s to end%n", slowest);
    return tally.print();
  }

  /** Returns whether the training ended as it should. */
  private boolean stopped(Tally tally, boolean timed, Path folder, String signal, int wait)
      throws IOException, InterruptedException {
    try (Child training = timed ? run.startFor(folder, 0.5) : run.start(folder, steps)) {
      training.readUntil("Training step");
      Thread.sleep(wait);
      long start = System.nanoTime();
      training.signal(signal);
      Optional<Integer> code = training.exitCode(SECONDS);
      double seconds = (System.nanoTime() - start) / (double) TimeUnit.SECONDS.toNanos(1);
      if (code.isEmpty()) {
        tally.lose("time", "SIG" + signal + ": not ended after " + SECONDS + " s");
        return false;
      }
      slowest = Math.max(slowest, seconds);
      tally.expect(code.get() == 0, "exit code", "SIG" + signal + ": " + code.get());
      List<String> output = training.rest();
      tally.expect(
          output.stream().anyMatch(line -> line.contains("stopping after this step")),
          "signal",
          "SIG"
              + signal
              + " was not noticed; a shell has what it starts in the background ignore SIGINT");
      long shown = 0;
      for (String line : output) {
        Matcher step = STEP.matcher(line);
        if (step.find()) {
          shown = Long.parseLong(step.group(1));
        }
      }
      long saved = MnistRun.savedStep(folder);
      tally.expect(
          saved >= shown, "steps", "SIG" + signal + ": step " + shown + ", saved " + saved);
      return saved >= 0;
    }
  }

  /** Goes on to the end, and compares. */
  private void resumed(Tally tally, boolean timed, Path folder, Path whole)
      throws IOException, InterruptedException {
    try (Child training = run.resume(folder)) {
      finish(training);
    } catch (IOException e) {
      tally.lose("training", e.getMessage());
      return;
    }
    if (!timed) {
      for (Path file : Scratch.files(whole.resolve("training"))) {
        Path other = folder.resolve("training").resolve(file.getFileName());
        tally.expect(
            Files.exists(other) && Files.mismatch(file, other) == -1,
            "bits",
            file.getFileName() + " is another after going on");
      }
    }
  }

  private static void finish(Child training) throws IOException, InterruptedException {
    training.rest();
    Optional<Integer> code = training.exitCode(60);
    if (!code.equals(Optional.of(0))) {
      throw new IOException("the training ended with " + code + ": " + training.errors());
    }
  }
}

package io.github.ddpm.examples.soak;

import io.github.ddpm.examples.TrainMnist;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Runs the command TrainMnist, with a tiny network and tiny pictures. */
final class MnistRun {
  /** Draws a bar, which says each step, though nobody looks. */
  private static final String BAR = "-Dpicocli.ansi=true";

  private static final Pattern STEP = Pattern.compile("\"step\"\\s*:\\s*(\\d+)");

  private final Path data;
  private final Path log;

  MnistRun(Scratch scratch) throws IOException {
    this(scratch, scratch.path("train-mnist.log"));
  }

  /**
   * Prepares it.
   *
   * @param log gets what the command writes to stderr
   */
  MnistRun(Scratch scratch, Path log) throws IOException {
    data = TinyTraining.writeMnist(scratch.path("mnist"));
    this.log = log;
  }

  /** Starts the command on new training of so many steps. */
  Child start(Path out, int steps, String... more) throws IOException {
    return Child.start(log, command(out, newTraining(steps, more)));
  }

  /** Starts the command on new training of so many minutes. */
  Child startFor(Path out, double minutes) throws IOException {
    return Child.start(log, command(out, options("--minutes", String.valueOf(minutes))));
  }

  /** Starts the command as a root that may not write everywhere. */
  Child startBound(Path out, int steps) throws IOException {
    List<String> command =
        new ArrayList<>(List.of("setpriv", "--bounding-set", "-dac_override", "--"));
    command.addAll(command(out, newTraining(steps)));
    return Child.start(log, command);
  }

  /** Starts the command that goes on with a training. */
  Child resume(Path out) throws IOException {
    return Child.start(log, command(out, List.of("--resume")));
  }

  /** Returns the step of the training that a folder has; -1 if it has none. */
  static long savedStep(Path folder) throws IOException {
    Path state = folder.resolve("training/state.json");
    if (!Files.exists(state)) {
      return -1;
    }
    Matcher step = STEP.matcher(Files.readString(state));
    return step.find() ? Long.parseLong(step.group(1)) : -1;
  }

  private static List<String> newTraining(int steps, String... more) {
    List<String> args = options(more);
    // A step takes 16 of the 64 pictures.
    args.addAll(List.of("--epochs", String.valueOf(steps / 4.0)));
    return args;
  }

  private static List<String> options(String... more) {
    List<String> args =
        new ArrayList<>(
            List.of("--channels", "8", "--batch", "16", "--seed", "5", "--precision", "float32"));
    args.addAll(List.of(more));
    return args;
  }

  private List<String> command(Path out, List<String> more) {
    List<String> args =
        new ArrayList<>(List.of("--data", data.toString(), "--out", out.toString()));
    args.addAll(more);
    List<String> jvm = new ArrayList<>(Child.SMALL_JVM);
    jvm.add(BAR);
    return Child.jvmCommand(jvm, TrainMnist.class, args.toArray());
  }
}

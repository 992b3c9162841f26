package io.github.ddpm.examples.soak;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.base.Splitter;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.Trainer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.List;

/** Trains and saves in a process of its own, as lines on stdin tell it to. */
final class TrainingChild {
  private final Path folder;
  private final Trainer trainer;

  private TrainingChild(Path folder, Trainer trainer) {
    this.folder = folder;
    this.trainer = trainer;
  }

  /**
   * Starts the training or goes on with it. The answer to a line starts with "=", or with "!" and
   * the message of an exception.
   *
   * @param args {@code create} or {@code resume}, and the folder
   */
  public static void main(String... args) throws IOException {
    Path folder = Path.of(args[1]);
    try (Trainer trainer =
        args[0].equals("create") ? TinyTraining.create() : Trainer.resume(folder)) {
      TrainingChild child = new TrainingChild(folder, trainer);
      BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
      say("=" + trainer.stepsTaken());
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        try {
          child.obey(line.split(" ", 2));
        } catch (IOException e) {
          say("!" + e.getMessage());
        }
      }
    }
  }

  /** Starts a process that does this, and waits until it is ready. */
  static Child start(String verb, Path folder, Path log) throws IOException {
    Child child = Child.jvm(log, Child.SMALL_JVM, TrainingChild.class, verb, folder);
    child.readUntil("=");
    return child;
  }

  /**
   * Obeys: {@code train STEPS}, {@code save}, {@code run SAVES} (takes a step before each), {@code
   * convert FROM TO}, or {@code thread}, which answers with this thread's number.
   */
  private void obey(String... command) throws IOException {
    switch (command[0]) {
      case "train" -> {
        TinyTraining.train(trainer, Integer.parseInt(command[1]));
        say("=" + trainer.stepsTaken());
      }
      case "save" -> save();
      case "run" -> {
        for (int i = Integer.parseInt(command[1]); i > 0; i--) {
          TinyTraining.train(trainer, 1);
          save();
        }
        say("=done");
      }
      case "convert" -> {
        List<String> folders = Splitter.on('\t').splitToList(command[1]);
        ModelFiles.convert(
            Path.of(folders.get(0)), Path.of(folders.get(1)), ModelFiles.Storage.FLOAT32);
        say("=converted");
      }
      case "thread" -> say("=" + Path.of("/proc/thread-self").toRealPath().getFileName());
      default -> throw new IllegalArgumentException("no such command: " + command[0]);
    }
  }

  private void save() throws IOException {
    trainer.save(folder);
    say("=" + trainer.stepsTaken());
  }

  private static void say(String line) {
    System.out.println(line);
  }
}

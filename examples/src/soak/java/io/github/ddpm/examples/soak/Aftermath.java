package io.github.ddpm.examples.soak;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** Looks at what a training that came to a sudden end left in its folder. */
final class Aftermath {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Undisturbed undisturbed;
  private final Path spare;

  /**
   * Prepares to look.
   *
   * @param spare a folder for saves to compare with
   */
  Aftermath(Undisturbed undisturbed, Path spare) {
    this.undisturbed = undisturbed;
    this.spare = spare;
  }

  /**
   * Checks that nothing is lost: what diffusers would read, the model and the training are those of
   * one of these steps, bit for bit, and the training goes on and can be saved.
   *
   * @param first the last step whose save had ended
   * @param last the last step whose save may have begun
   * @return the step that was resumed, or -1
   */
  long check(Tally tally, Path folder, long first, long last) {
    long[] steps = LongStream.rangeClosed(first, last).toArray();
    diffusers(tally, folder, steps);
    try {
      Prediction model = TinyTraining.predict(folder);
      boolean known = false;
      for (long step : steps) {
        known |= undisturbed.at(step).prediction().equals(model);
      }
      tally.expect(known, "model", "it is none of the steps " + first + " to " + last);
    } catch (IOException | RuntimeException e) {
      tally.lose("model", e.toString());
    }
    try {
      return training(tally, folder, steps);
    } catch (IOException | RuntimeException e) {
      tally.lose("training", e.toString());
      return -1;
    }
  }

  private void diffusers(Tally tally, Path folder, long... steps) {
    try {
      for (String name : Saved.MODEL) {
        if (name.endsWith(".json")) {
          JSON.readTree(folder.resolve(name).toFile());
        } else {
          ModelFiles.readArrays(folder.resolve(name));
        }
      }
      boolean known = false;
      for (long step : steps) {
        known |= undisturbed.at(step).isModelAt(folder);
      }
      tally.expect(known, "diffusers' view", "the files are not those of one save");
    } catch (IOException | RuntimeException e) {
      tally.lose("diffusers' view", e.toString());
    }
  }

  private long training(Tally tally, Path folder, long... steps) throws IOException {
    Saved found = Saved.resumed(folder, spare);
    long step = found.step();
    if (LongStream.of(steps).noneMatch(allowed -> allowed == step)) {
      tally.lose(
          "training",
          "it is at step " + step + ", not in " + List.of(steps[0], steps[steps.length - 1]));
      return -1;
    }
    tally.expect(
        found.equals(undisturbed.at(step)), "training", "step " + step + " has other bits");
    try (Trainer trainer = Trainer.resume(folder)) {
      TinyTraining.train(trainer, 1);
      trainer.save(folder);
    }
    tally.expect(
        Saved.resumed(folder, spare).equals(undisturbed.at(step + 1)),
        "next save",
        "the step after " + step + " has other bits");
    for (Path place : List.of(folder, folder.resolve("saves"))) {
      tally.expect(staging(place).isEmpty(), "space", "left for ever: " + staging(place));
    }
    return step;
  }

  /** Returns the folders of saves that never ended. */
  private static List<Path> staging(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> paths = Files.list(folder)) {
      return paths
          .filter(path -> Files.isDirectory(path) && path.getFileName().toString().startsWith("."))
          .toList();
    }
  }
}

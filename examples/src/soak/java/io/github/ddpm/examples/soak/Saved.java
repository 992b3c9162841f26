package io.github.ddpm.examples.soak;

import com.google.common.hash.HashCode;
import com.google.common.hash.Hashing;
import com.google.common.io.MoreFiles;
import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A training as it is saved, bit for bit.
 *
 * @param step steps taken
 * @param files the digest of each file, by its name in the folder
 * @param prediction what the saved model answers
 */
record Saved(long step, Map<String, HashCode> files, Prediction prediction) {
  /** The files of the model, which diffusers reads, by their names in the folder. */
  static final List<String> MODEL =
      List.of(
          "model_index.json",
          "unet/config.json",
          "unet/diffusion_pytorch_model.safetensors",
          "scheduler/scheduler_config.json");

  /**
   * Saves a training and reads that.
   *
   * @param spare a folder to save to, which is made new
   */
  static Saved of(Trainer trainer, Path spare) throws IOException {
    Scratch.delete(spare);
    trainer.save(spare);
    Map<String, HashCode> files = new TreeMap<>();
    for (String name : MODEL) {
      files.put(name, digest(spare.resolve(name)));
    }
    for (Path file : Scratch.files(spare.resolve("training"))) {
      files.put(spare.relativize(file).toString(), digest(file));
    }
    return new Saved(trainer.stepsTaken(), files, TinyTraining.predict(spare));
  }

  /** Resumes a training that was left in a folder, and reads what it is. */
  static Saved resumed(Path folder, Path spare) throws IOException {
    try (Trainer trainer = Trainer.resume(folder)) {
      return of(trainer, spare);
    }
  }

  /** Returns whether the model at the folder's root, which diffusers would read, is this one. */
  boolean isModelAt(Path folder) throws IOException {
    for (String name : MODEL) {
      Path file = folder.resolve(name);
      if (!Files.isRegularFile(file) || !digest(file).equals(files.get(name))) {
        return false;
      }
    }
    return true;
  }

  private static HashCode digest(Path file) throws IOException {
    return MoreFiles.asByteSource(file).hash(Hashing.sha256());
  }
}

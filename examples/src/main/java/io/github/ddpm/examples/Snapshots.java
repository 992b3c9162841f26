package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * The models of a training that are kept as they were after some steps: in {@code
 * snapshots/step-000500}, float16, without the state of training. A snapshot is there whole or not
 * at all.
 */
final class Snapshots {
  private final Path folder;

  /** Keeps snapshots of the training in a folder. */
  Snapshots(Path out) {
    folder = out.resolve("snapshots");
  }

  /** Keeps the model as it is now, in place of one that another attempt made of the same step. */
  void add(Trainer trainer) throws IOException {
    Path snapshot = folder.resolve(format("step-%06d", trainer.stepsTaken()));
    if (Files.exists(snapshot)) {
      trainer.saveHalf(snapshot);
      return;
    }
    Path temporary = folder.resolve("." + snapshot.getFileName() + ".tmp");
    deleteIfThere(temporary);
    try {
      trainer.saveHalf(temporary);
      Files.move(temporary, snapshot, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      deleteIfThere(temporary);
    }
  }

  private static void deleteIfThere(Path path) throws IOException {
    if (Files.exists(path)) {
      MoreFiles.deleteRecursively(path, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }
}

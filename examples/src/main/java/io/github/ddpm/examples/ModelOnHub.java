package io.github.ddpm.examples;

import io.github.ddpm.tf.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;

/** A model that {@code --model hub:owner/name} names, or {@code hub:owner/name@revision}. */
final class ModelOnHub {
  /** The revision that is meant where none is named. */
  static final String NEWEST = "main";

  /** No folder is meant by what begins with this: one of that name is {@code ./hub:...}. */
  private static final String PREFIX = "hub:";

  private ModelOnHub() {}

  /**
   * Returns the folder of a model, which is downloaded if it is on a hub and not yet here.
   *
   * @param model as {@code --model} names it; if it names none on a hub, it is returned
   */
  static Path local(Path model) throws IOException {
    if (model == null || !model.toString().startsWith(PREFIX)) {
      return model;
    }
    String[] parts = model.toString().substring(PREFIX.length()).split("@", 2);
    return fetch(parts[0], parts.length > 1 ? parts[1] : NEWEST);
  }

  /** Returns the folder of a model on a hub, and shows how far its download has come. */
  static Path fetch(String name, String revision) throws IOException {
    try (ProgressDisplay display = ProgressDisplay.onErr("Downloading, kB")) {
      return Downloads.announced(
          () ->
              ModelFiles.fetch(
                  name,
                  revision,
                  progress -> {
                    display.show(kilobytes(progress.bytes()), kilobytes(progress.total()));
                    return true;
                  }));
    }
  }

  /** Rounds up, so that what has begun is not 0. */
  private static long kilobytes(long bytes) {
    return (bytes + 999) / 1000;
  }
}

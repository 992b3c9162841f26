package io.github.ddpm.tf.files;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** The names of what is in a folder that models are saved to; see {@link SaveFolder}. */
final class Saves {
  /** The folder of the saves, each of which has a number for a name. */
  static final String FOLDER = "saves";

  /** What else than diffusers reads there may be of a model. */
  static final String TRAINING = "training";

  private Saves() {}

  /** Returns the saves in a folder. */
  static List<Path> newestFirst(Path folder) throws IOException {
    return numbered(folder).filter(Saves::isSave).toList();
  }

  /** Returns a number above all that are used. */
  static long next(Path folder) throws IOException {
    return 1 + numbered(folder).findFirst().map(Saves::number).orElse(0L);
  }

  private static Stream<Path> numbered(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder.resolve(FOLDER))) {
      return entries
          .filter(entry -> entry.getFileName().toString().matches("[1-9]\\d{0,17}"))
          .sorted(Comparator.comparing(Saves::number).reversed())
          .toList()
          .stream();
    } catch (NoSuchFileException | NotDirectoryException e) {
      // None was saved, or the one that was leaves nothing but the model.
      return Stream.of();
    }
  }

  /** Tells whether a folder is one of ours: somebody else may call a folder of his "saves". */
  private static boolean isSave(Path entry) {
    return Files.exists(entry.resolve(Checksums.FILE))
        || Files.exists(entry.resolve("model_index.json"));
  }

  private static long number(Path save) {
    return Long.parseLong(save.getFileName().toString());
  }
}

package io.github.ddpm.examples.soak;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** The folder in which a test works. */
final class Scratch {
  @Option(
      names = "--scratch",
      defaultValue = "target/soak",
      description = "folder to work in (${DEFAULT-VALUE})")
  private Path root;

  Scratch() {}

  /** Returns a new and empty folder of that name. */
  Path fresh(String name) throws IOException {
    Path folder = path(name);
    delete(folder);
    return Files.createDirectory(folder);
  }

  /** Returns a path in the folder, at which nothing may be yet. */
  Path path(String name) throws IOException {
    return Files.createDirectories(root).toAbsolutePath().resolve(name);
  }

  /** Deletes a folder with all that is in it, if it is there. */
  static void delete(Path folder) throws IOException {
    if (Files.exists(folder)) {
      MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  /** Returns the files in a folder and below, in order. */
  static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      return paths.filter(Files::isRegularFile).sorted().toList();
    }
  }
}

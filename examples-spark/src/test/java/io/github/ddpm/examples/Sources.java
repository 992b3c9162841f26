package io.github.ddpm.examples;

import static java.util.stream.Collectors.joining;

import com.google.common.base.Splitter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The sources of all modules, in which tests look for what a page quotes. */
final class Sources {
  /** So far a message's next piece may be from the one before. */
  private static final int GAP = 500;

  private final List<String> texts;

  private final List<String> printed;

  private Sources(List<String> texts) {
    this.texts = texts;
    printed = texts.stream().map(Sources::printed).toList();
  }

  /** Returns the Java files of the modules' main code. */
  static Sources main() throws IOException {
    return java(file -> file.contains("/src/main/"));
  }

  /** Returns the Java files whose paths, with slashes, are wanted. */
  static Sources java(Predicate<String> wanted) throws IOException {
    return new Sources(
        files().stream()
            .filter(file -> wanted.test(file.toString().replace('\\', '/')))
            .map(Sources::read)
            .toList());
  }

  /** Returns the Java files of all modules. */
  static List<Path> files() throws IOException {
    List<Path> found = new ArrayList<>();
    for (Path module : modules()) {
      if (Files.isDirectory(module.resolve("src"))) {
        try (Stream<Path> files = Files.walk(module.resolve("src"))) {
          files.filter(file -> file.toString().endsWith(".java")).forEach(found::add);
        }
      }
    }
    return found;
  }

  /** Returns the folders that have a pom.xml, the root's among them. */
  static List<Path> modules() throws IOException {
    try (Stream<Path> folders = Files.walk(Page.ROOT, 1)) {
      return folders.filter(folder -> Files.exists(folder.resolve("pom.xml"))).toList();
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns what a pattern's group 1 matches in the sources as they are. */
  List<String> find(String pattern) {
    return texts.stream()
        .flatMap(text -> Pattern.compile(pattern).matcher(text).results())
        .map(match -> match.group(1))
        .toList();
  }

  /** Tells whether some source has a text as it is. */
  boolean has(String text) {
    return texts.stream().anyMatch(source -> source.contains(text));
  }

  /**
   * Tells whether some statement has the pieces of a message, in their order.
   *
   * @param message with … for what varies
   */
  boolean hasMessage(String message) {
    List<String> pieces = Splitter.on('…').trimResults().omitEmptyStrings().splitToList(message);
    Pattern pattern =
        Pattern.compile(
            pieces.stream().map(Pattern::quote).collect(joining("[^;]{0," + GAP + "}?")));
    return printed.stream()
        .filter(text -> pieces.stream().allMatch(text::contains))
        .anyMatch(text -> pattern.matcher(text).find());
  }

  /** Returns a source with strings as they are printed, joined where lines end. */
  private static String printed(String source) {
    return source
        .replaceAll("\"\\s*\\+\\s*\"", "")
        .replace("\\\"", "\"")
        .replace("''", "'")
        .replace("%%", "%");
  }
}

package io.github.ddpm.tf.data;

import com.google.common.collect.HashMultiset;
import com.google.common.collect.Multiset;
import com.google.common.collect.Multisets;
import com.google.common.io.MoreFiles;
import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.FileVisitOption;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.StringJoiner;

/** The pictures below a folder, and what else is there. */
final class PictureFiles extends SimpleFileVisitor<Path> {
  private static final Set<String> EXTENSIONS = Set.of("png", "jpg", "jpeg");
  private static final int MOST_SHOWN = 10;

  /** Files that end so hold pictures too, which Java doesn't read, or not as they are meant. */
  private static final Set<String> OTHER_PICTURES =
      Set.of("AVIF", "BMP", "GIF", "HEIC", "HEIF", "JXL", "TIF", "TIFF", "WEBP");

  /** What stands for bytes of a name that are no characters. */
  private static final String NOT_DECODED = "\uFFFD";

  /**
   * A picture.
   *
   * @param name relative to the folder, with slashes on every machine
   * @param path where it is
   * @param bytes how long the file is
   * @param modified when it was written last
   */
  record PictureFile(String name, Path path, long bytes, FileTime modified) {}

  private final Path folder;
  private final List<PictureFile> pictures = new ArrayList<>();

  /** What other files are, such as HEIC. */
  private final Multiset<String> others = HashMultiset.create();

  /** The folders that were not looked into, and why. */
  private final List<String> skippedFolders = new ArrayList<>();

  private PictureFiles(Path folder) {
    this.folder = folder;
  }

  /**
   * Looks for pictures.
   *
   * @throws IOException if it is no folder, or can't be read
   */
  static PictureFiles find(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new IOException(folder + " must be a folder of pictures");
    }
    PictureFiles files = new PictureFiles(folder);
    Files.walkFileTree(folder, EnumSet.of(FileVisitOption.FOLLOW_LINKS), Integer.MAX_VALUE, files);
    // Two names may look alike where their characters are unknown here.
    files.pictures.sort(Comparator.comparing(PictureFile::name).thenComparing(PictureFile::path));
    files.skippedFolders.sort(Comparator.naturalOrder());
    return files;
  }

  /** Returns the pictures, by the UTF-16 code units of their names. */
  List<PictureFile> pictures() {
    return pictures;
  }

  /** Says what was found, in one line, and which folders were not looked into, in another. */
  List<String> report() {
    List<String> lines = new ArrayList<>();
    int skipped = others.size();
    lines.add(
        count(pictures.size(), "picture")
            + (skipped == 0 ? "" : ", " + count(skipped, "other file") + " skipped" + kinds()));
    if (!skippedFolders.isEmpty()) {
      lines.add(
          count(skippedFolders.size(), "folder") + " skipped: " + firstOf(skippedFolders, ", "));
    }
    return lines;
  }

  /** Says which files that were skipped hold pictures, and what to do about them; or nothing. */
  Optional<String> warning() {
    List<String> kinds = new ArrayList<>();
    for (Multiset.Entry<String> kind : Multisets.copyHighestCountFirst(others).entrySet()) {
      if (OTHER_PICTURES.contains(kind.getElement())) {
        kinds.add(count(kind.getCount(), kind.getElement() + " file"));
      }
    }
    return kinds.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "%s in %s can't be read: save them as PNG or JPEG to learn from them"
                .formatted(String.join(", ", kinds), folder));
  }

  private String kinds() {
    StringJoiner kinds = new StringJoiner(", ", " (", ")");
    Multisets.copyHighestCountFirst(others)
        .entrySet()
        .forEach(kind -> kinds.add(kind.getCount() + " " + kind.getElement()));
    return kinds.toString();
  }

  /** Returns a number of things in words. */
  static String count(int number, String thing) {
    return number + " " + thing + (number == 1 ? "" : "s");
  }

  /** Returns the first texts of a list, and how many more there are. */
  static String firstOf(List<String> texts, String separator) {
    String first = String.join(separator, texts.subList(0, Math.min(MOST_SHOWN, texts.size())));
    int more = texts.size() - MOST_SHOWN;
    return more > 0 ? first + separator + "and " + more + " more" : first;
  }

  @Override
  public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) {
    if (!isHidden(path)) {
      return FileVisitResult.CONTINUE;
    }
    skip(path, "hidden");
    return FileVisitResult.SKIP_SUBTREE;
  }

  @Override
  public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) {
    String extension = MoreFiles.getFileExtension(path).toLowerCase(Locale.ROOT);
    if (isHidden(path)) {
      others.add("hidden");
    } else if (attributes.isSymbolicLink()) {
      // Links are followed where they lead anywhere.
      others.add("dangling link");
    } else if (!attributes.isRegularFile()) {
      others.add("special");
    } else if (EXTENSIONS.contains(extension)) {
      pictures.add(
          new PictureFile(name(path), path, attributes.size(), attributes.lastModifiedTime()));
    } else {
      others.add(
          extension.isEmpty()
              ? "without extension"
              : Excerpt.of(extension.toUpperCase(Locale.ROOT)));
    }
    return FileVisitResult.CONTINUE;
  }

  @Override
  public FileVisitResult visitFileFailed(Path path, IOException e) throws IOException {
    Optional<String> why = Optional.empty();
    if (e instanceof AccessDeniedException) {
      why = Optional.of("no permission");
    } else if (e instanceof FileSystemLoopException) {
      why = Optional.of("a link to a folder that it is in");
    } else if (e instanceof NoSuchFileException) {
      why = Optional.of("no longer there");
    }
    if (path.equals(folder) || why.isEmpty()) {
      throw new IOException(path + " cannot be read: " + why.orElse(e.getMessage()), e);
    }
    skip(path, isHidden(path) ? "hidden" : why.get());
    return FileVisitResult.CONTINUE;
  }

  private void skip(Path path, String why) {
    skippedFolders.add(Excerpt.of(name(path)) + " (" + why + ")");
  }

  private boolean isHidden(Path path) {
    return !path.equals(folder) && path.getFileName().toString().startsWith(".");
  }

  private String name(Path path) {
    StringJoiner name = new StringJoiner("/");
    Path at = folder;
    for (Path part : folder.relativize(path)) {
      at = at.resolve(part);
      name.add(part.toString().contains(NOT_DECODED) ? decoded(at) : part.toString());
    }
    return name.toString();
  }

  /**
   * Returns the name of a file that this process's locale has no characters for: it is UTF-8, or
   * else its bytes are percent-encoded.
   */
  private static String decoded(Path path) {
    String uri = path.toUri().getRawPath().replaceFirst("/$", "");
    String encoded = uri.substring(uri.lastIndexOf('/') + 1);
    byte[] bytes =
        URLDecoder.decode(encoded.replace("+", "%2B"), StandardCharsets.ISO_8859_1)
            .getBytes(StandardCharsets.ISO_8859_1);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      return encoded;
    }
  }
}

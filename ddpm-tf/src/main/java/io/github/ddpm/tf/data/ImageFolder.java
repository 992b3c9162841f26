package io.github.ddpm.tf.data;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Joiner;
import com.google.common.collect.ImmutableSortedSet;
import com.google.common.io.MoreFiles;
import io.github.ddpm.Images;
import io.github.ddpm.spi.Heap;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Locale;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/** A folder of PNG and JPEG pictures of any size, made equal in size. */
public final class ImageFolder {
  private static final Set<String> EXTENSIONS = Set.of("png", "jpg", "jpeg");
  private static final int MAX_SIZE = 4096;

  private ImageFolder() {}

  /**
   * Reads every file that ends with {@code .png}, {@code .jpg} or {@code .jpeg}; others are
   * skipped, and so is whatever has a name that begins with a dot. If the folder has sub-folders,
   * each that holds pictures, at any depth, is a class, and classes are numbered from 0 in the
   * order of the sub-folders' names; if it has none, the pictures have no labels. Names are ordered
   * by their UTF-16 code units, so the order is the same on every machine.
   *
   * <p>Each picture is scaled until its shorter side is {@code size}, averaging where it shrinks,
   * and its middle is cut out. Color becomes gray by its luma (ITU-R BT.601), and photos are turned
   * upright as their EXIF orientation says.
   *
   * <p>Without an alpha channel, pictures are laid on white. With one they keep what is
   * transparent: where a picture shrinks or grows, a color counts by its opacity, and where nothing
   * of it shows it is white, so that nothing is learned of colors that nobody sees. What says
   * nothing of alpha is opaque.
   *
   * @param folder holds the pictures, or one sub-folder for each class
   * @param size height and width of the pictures returned, in [1, 4096]
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
   * @throws IOException if there are no pictures, there are pictures beside sub-folders with
   *     pictures, one is broken or neither gray nor RGB, such as a CMYK one, or they, or one as it
   *     is read, don't fit into memory; the message names the file
   * @throws IllegalArgumentException if size or channels is out of range
   */
  public static Dataset load(Path folder, int size, int channels) throws IOException {
    checkSize(size, channels);
    SortedMap<String, Path> files = find(folder);
    if (files.isEmpty()) {
      throw new IOException(
          folder + " must hold pictures: files that end with .png, .jpg or .jpeg");
    }
    Heap.check(folder, Heap.arrays(files.size(), (double) size * size * channels));
    ImmutableSortedSet<String> classes =
        files.keySet().stream()
            .map(ImageFolder::subFolder)
            .collect(ImmutableSortedSet.toImmutableSortedSet(String::compareTo));
    boolean labeled = !classes.contains("");
    if (!labeled && classes.size() > 1) {
      throw new IOException(
          folder
              + " must hold either pictures or sub-folders of pictures, but it holds both, such as "
              + files.keySet().stream().filter(name -> subFolder(name).isEmpty()).findFirst().get()
              + " and the sub-folder "
              + classes.last());
    }
    int[] labels =
        files.keySet().stream()
            .mapToInt(name -> classes.asList().indexOf(subFolder(name)))
            .toArray();
    return Dataset.keeping(
        size,
        size,
        channels,
        readAll(files.values(), size, channels),
        labeled ? classes.size() : 0,
        labeled ? labels : new int[0]);
  }

  /**
   * Makes of one file, which is in memory, what {@link #load} makes of each in a folder.
   *
   * @param name that a message calls it by
   * @param file a PNG or JPEG file
   * @param size as for {@link #load}
   * @param channels as there
   * @return unsigned bytes [size, size, channels], as {@link Dataset#of} takes them
   * @throws IOException if it is broken or neither gray nor RGB, or doesn't fit into memory as it
   *     is read; the message has the name
   * @throws IllegalArgumentException if size or channels is out of range
   */
  public static byte[] decode(String name, byte[] file, int size, int channels) throws IOException {
    checkSize(size, channels);
    return Picture.read(name, file, size, channels);
  }

  /**
   * Refuses a size and a number of channels that {@link #load} can't make pictures of.
   *
   * @throws IllegalArgumentException if one is out of range
   */
  public static void checkSize(int size, int channels) {
    checkArgument(size >= 1 && size <= MAX_SIZE, "size must be in [1, %s], got %s", MAX_SIZE, size);
    checkArgument(
        channels >= 1 && channels <= Images.MAX_CHANNELS,
        "channels must be in [1, %s], got %s",
        Images.MAX_CHANNELS,
        channels);
  }

  /**
   * Finds the pictures below a folder by name, relative to it and with slashes on every machine.
   */
  private static SortedMap<String, Path> find(Path folder) throws IOException {
    SortedMap<String, Path> files = new TreeMap<>();
    if (!Files.isDirectory(folder)) {
      throw new IOException(folder + " must be a folder of pictures");
    }
    try (Stream<Path> paths = Files.walk(folder, FileVisitOption.FOLLOW_LINKS)) {
      paths
          .filter(
              path ->
                  EXTENSIONS.contains(MoreFiles.getFileExtension(path).toLowerCase(Locale.ROOT)))
          .filter(Files::isRegularFile)
          .forEach(path -> files.put(Joiner.on('/').join(folder.relativize(path)), path));
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    files.keySet().removeIf(name -> name.startsWith(".") || name.contains("/."));
    return files;
  }

  private static String subFolder(String name) {
    return name.substring(0, Math.max(0, name.indexOf('/')));
  }

  private static byte[][] readAll(Collection<Path> files, int size, int channels)
      throws IOException {
    try {
      return files.parallelStream()
          .map(
              file -> {
                try {
                  return Picture.read(file, size, channels);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              })
          .toArray(byte[][]::new);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }
}

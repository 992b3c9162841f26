package io.github.ddpm.tf.data;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableSortedSet;
import com.google.common.hash.HashCode;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.github.ddpm.Images;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.data.PictureFiles.PictureFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A folder of PNG and JPEG pictures of any size, made equal in size: what was {@linkplain #find
 * found} in it, and its pictures.
 */
public final class ImageFolder {
  private static final System.Logger LOG = System.getLogger(ImageFolder.class.getName());
  private static final int MAX_SIZE = 4096;

  /** Another one for every change to what pictures are made into. */
  private static final int CACHE_VERSION = 1;

  /** What the parts of a data set are called that others made ready for training. */
  private static final Set<String> SPLITS =
      Set.of("train", "training", "test", "testing", "val", "valid", "validation");

  private final Path folder;
  private final PictureFiles files;
  private final List<String> classNames;

  private ImageFolder(Path folder, PictureFiles files, List<String> classNames) {
    this.folder = folder;
    this.files = files;
    this.classNames = classNames;
  }

  /**
   * Looks for every file that ends with {@code .png}, {@code .jpg} or {@code .jpeg}; others are
   * skipped, and so is whatever has a name that begins with a dot, and folders without permission
   * to read them. If the folder has sub-folders, each that holds pictures, at any depth, is a
   * class, and classes are numbered from 0 in the order of the sub-folders' names; if it has none,
   * the pictures have no labels. Names are ordered by their UTF-16 code units, so the order is the
   * same on every machine.
   *
   * @param folder holds the pictures, or one sub-folder for each class
   * @return what was found, to be read by {@link #load(int, int)}
   * @throws IOException if there are no pictures, or there are pictures beside sub-folders with
   *     pictures
   */
  public static ImageFolder find(Path folder) throws IOException {
    PictureFiles files = PictureFiles.find(folder);
    List<PictureFile> pictures = files.pictures();
    if (pictures.isEmpty()) {
      throw new IOException(
          folder
              + " must hold pictures: files that end with .png, .jpg or .jpeg"
              + (files.report().equals(List.of("0 pictures"))
                  ? ""
                  : "; it has " + String.join("; ", files.report())));
    }
    List<String> classes =
        pictures.stream()
            .map(ImageFolder::subFolder)
            .collect(ImmutableSortedSet.toImmutableSortedSet(String::compareTo))
            .asList();
    boolean labeled = !classes.get(0).isEmpty();
    if (!labeled && classes.size() > 1) {
      throw new IOException(
          folder
              + " must hold either pictures or sub-folders of pictures, but it holds both, such as "
              + pictures.stream().filter(each -> subFolder(each).isEmpty()).findFirst().get().name()
              + " and the sub-folder "
              + classes.get(classes.size() - 1));
    }
    return new ImageFolder(folder, files, labeled ? classes : List.of());
  }

  /**
   * Finds pictures as {@link #find} does, and reads them as {@link #load(int, int)} does.
   *
   * @param folder holds the pictures, or one sub-folder for each class
   * @param size height and width of the pictures returned, in [1, 4096]
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
   * @return the pictures, held in memory
   * @throws IOException as those do
   * @throws IllegalArgumentException if size or channels is out of range
   */
  public static Dataset load(Path folder, int size, int channels) throws IOException {
    checkSize(size, channels);
    return find(folder).load(size, channels);
  }

  /**
   * Makes of one file, which is in memory, what {@link #load} makes of each in a folder.
   *
   * @param name that a message calls it by
   * @param file a PNG or JPEG file
   * @param size as for {@link #load}
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
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
   * @param size height and width in pixels, in [1, 4096]
   * @param channels in [1, 4]
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

  /** {@return the names of the classes, in the order of their numbers; none without labels} */
  public List<String> classNames() {
    return classNames;
  }

  /**
   * Says what was found, for people: how many pictures, what was skipped, and how many of each
   * class there are.
   *
   * @return lines without an end
   */
  public List<String> report() {
    List<String> lines = new ArrayList<>(files.report());
    if (!classNames.isEmpty()) {
      int[] counts = new int[classNames.size()];
      IntStream.of(labels()).forEach(label -> counts[label]++);
      List<String> classes =
          IntStream.range(0, counts.length)
              .mapToObj(i -> "%d = %s (%d)".formatted(i, Excerpt.of(classNames.get(i)), counts[i]))
              .toList();
      lines.add(
          (counts.length == 1 ? "1 class: " : counts.length + " classes: ")
              + PictureFiles.firstOf(classes, ", "));
    }
    return lines;
  }

  /**
   * Says what may not be what was meant, though it can be trained on: pictures of kinds that can't
   * be read, and classes that look like the parts of a data set.
   *
   * @return lines without an end; none if all looks well
   */
  public List<String> warnings() {
    List<String> lines = new ArrayList<>();
    files.warning().ifPresent(lines::add);
    List<String> splits =
        classNames.stream().filter(name -> SPLITS.contains(name.toLowerCase(Locale.ROOT))).toList();
    if (splits.size() >= 2 || (!splits.isEmpty() && splits.size() == classNames.size())) {
      lines.add(
          "%s in %s would be learned as %s, but look%s like part%s of a data set: to learn from one of them, give its own folder"
              .formatted(
                  String.join(" and ", splits),
                  folder,
                  splits.size() == 1 ? "a class" : "classes",
                  splits.size() == 1 ? "s" : "",
                  splits.size() == 1 ? "" : "s"));
    }
    return lines;
  }

  /**
   * Reads the pictures. Each is scaled until its shorter side is {@code size}, averaging where it
   * shrinks, and its middle is cut out. Color becomes gray by its luma (ITU-R BT.601), and photos
   * are turned upright as their EXIF orientation says.
   *
   * <p>Without an alpha channel, pictures are laid on white. With one they keep what is
   * transparent: where a picture shrinks or grows, a color counts by its opacity, and where nothing
   * of it shows it is white, so that nothing is learned of colors that nobody sees. What says
   * nothing of alpha is opaque.
   *
   * <p>Pictures that don't fit into memory are decoded into a temporary file, which a line of the
   * log says, and read from there.
   *
   * @param size height and width of the pictures returned, in [1, 4096]
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
   * @return pictures whose classes have the names of their sub-folders
   * @throws IOException if some are broken or neither gray nor RGB, such as CMYK ones, or one
   *     doesn't fit into memory as it is read; the message names the first ten. If there is no room
   *     for the temporary file
   * @throws IllegalArgumentException if size or channels is out of range
   */
  public Dataset load(int size, int channels) throws IOException {
    checkSize(size, channels);
    int count = files.pictures().size();
    if (!Heap.fits(Heap.arrays(count, (double) size * size * channels))) {
      LOG.log(
          Level.INFO,
          "{0}: {1} pictures of {2}x{2}x{3} don''t fit into memory, so they are decoded into a temporary file",
          folder,
          String.valueOf(count),
          String.valueOf(size),
          String.valueOf(channels));
      PictureCache.Content content = new PictureCache.Content("", count, size, channels);
      return named(
          PictureCache.temporary(
              content, store -> decodeAll(size, channels, store), classNames.size(), labels()));
    }
    byte[][] pictures = new byte[count][];
    decodeAll(size, channels, (index, picture) -> pictures[index] = picture);
    return named(Dataset.keeping(size, size, channels, pictures, classNames.size(), labels()));
  }

  /**
   * Reads the pictures as {@link #load(int, int)} does, but decodes them only once: into a file,
   * which later calls read as long as no picture has another name, length or time of its last
   * change. They take no memory but what the operating system has to spare.
   *
   * @param size height and width of the pictures returned, in [1, 4096]
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
   * @param cache a folder, made if need be, which has one file for each folder of pictures, size
   *     and number of channels
   * @return the pictures, read from the file
   * @throws IOException if pictures can't be read, each named with why, or there is no room for the
   *     file
   * @throws IllegalArgumentException if size or channels is out of range
   */
  public Dataset load(int size, int channels, Path cache) throws IOException {
    checkSize(size, channels);
    Hasher hasher = Hashing.sha256().newHasher();
    hasher.putInt(CACHE_VERSION).putInt(size).putInt(channels);
    for (PictureFile each : files.pictures()) {
      hasher
          .putInt(each.name().length())
          .putUnencodedChars(each.name())
          .putLong(each.bytes())
          .putLong(each.modified().to(TimeUnit.NANOSECONDS));
    }
    PictureCache.Content content =
        new PictureCache.Content(hasher.hash().toString(), files.pictures().size(), size, channels);
    HashCode where = Hashing.sha256().hashUnencodedChars(folder.toRealPath().toString());
    Path file =
        Files.createDirectories(cache)
            .resolve(
                "pictures-%dx%dx%d-%s.bytes"
                    .formatted(size, size, channels, where.toString().substring(0, 12)));
    return named(
        PictureCache.kept(
            file, content, store -> decodeAll(size, channels, store), classNames.size(), labels()));
  }

  private Dataset named(Dataset pictures) {
    return pictures.withClassNames(classNames);
  }

  private static String subFolder(PictureFile picture) {
    return picture.name().substring(0, Math.max(0, picture.name().indexOf('/')));
  }

  private int[] labels() {
    return classNames.isEmpty()
        ? new int[0]
        : files.pictures().stream()
            .mapToInt(picture -> Collections.binarySearch(classNames, subFolder(picture)))
            .toArray();
  }

  private void decodeAll(int size, int channels, PictureCache.Store store) throws IOException {
    List<PictureFile> pictures = files.pictures();
    IOException[] problems = new IOException[pictures.size()];
    try {
      IntStream.range(0, pictures.size())
          .parallel()
          .forEach(
              i -> {
                byte[] picture;
                try {
                  PictureFile file = pictures.get(i);
                  String name = folder + "/" + file.name();
                  picture = Picture.read(name, file.path(), size, channels);
                } catch (IOException e) {
                  problems[i] = e;
                  return;
                }
                try {
                  store.put(i, picture);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              });
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    List<IOException> broken = Stream.of(problems).filter(Objects::nonNull).toList();
    if (broken.size() == 1) {
      throw broken.get(0);
    }
    if (!broken.isEmpty()) {
      throw new IOException(
          "%d of %d pictures cannot be used: %s"
              .formatted(
                  broken.size(),
                  pictures.size(),
                  PictureFiles.firstOf(broken.stream().map(Throwable::getMessage).toList(), "; ")),
          broken.get(0));
    }
  }
}

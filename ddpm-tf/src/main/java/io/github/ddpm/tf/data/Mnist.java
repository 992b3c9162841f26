package io.github.ddpm.tf.data;

import io.github.ddpm.tf.net.Download;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The MNIST handwritten digits (LeCun, Cortes and Burges): 28x28 gray pictures, white on black, of
 * the digits 0 to 9, 60,000 to train on and 10,000 to test with. A set in the same four files, such
 * as Fashion-MNIST or KMNIST, is read as well.
 *
 * <p>Without a folder, the files come from a public mirror over HTTPS, once: 11 MB, checked against
 * their SHA-256 and kept in {@code $XDG_CACHE_HOME/ddpm/mnist}, which is {@code
 * ~/.cache/ddpm/mnist} unless set otherwise, or in {@code %LOCALAPPDATA%\ddpm\mnist} on Windows.
 * The system property {@code io.github.ddpm.cache} names another folder in place of {@code ddpm}. A
 * download that broke off goes on where it was.
 */
public final class Mnist {
  private static final int CLASSES = 10;
  private static final String IMAGES = "-images-idx3-ubyte";
  private static final String LABELS = "-labels-idx1-ubyte";

  private static final Download MIRRORS =
      new Download(
          List.of(
              URI.create("https://storage.googleapis.com/cvdf-datasets/mnist/"),
              URI.create("https://ossci-datasets.s3.amazonaws.com/mnist/")),
          3,
          Duration.ofSeconds(30),
          Duration.ofSeconds(2),
          // The largest file, of 10 MB, at the pace of a telephone line.
          Duration.ofHours(1));

  private static final Map<String, String> SHA256 =
      Map.of(
          "train-images-idx3-ubyte",
          "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
          "train-labels-idx1-ubyte",
          "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
          "t10k-images-idx3-ubyte",
          "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
          "t10k-labels-idx1-ubyte",
          "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2");

  /** One of the two sets, by what its files' names start with. */
  enum Split {
    TRAIN("train"),
    TEST("t10k");

    private final String prefix;

    Split(String prefix) {
      this.prefix = prefix;
    }
  }

  private Mnist() {}

  /**
   * {@return the 60,000 pictures to train on, downloaded if they are not in the cache}
   *
   * @throws IOException if no mirror has the files, or the cache cannot be written
   */
  public static Dataset train() throws IOException {
    return download(Split.TRAIN, cache(System::getProperty, System::getenv), MIRRORS, SHA256);
  }

  /**
   * {@return the 10,000 pictures to test with, downloaded if they are not in the cache}
   *
   * @throws IOException if no mirror has the files, or the cache cannot be written
   */
  public static Dataset test() throws IOException {
    return download(Split.TEST, cache(System::getProperty, System::getenv), MIRRORS, SHA256);
  }

  /**
   * Reads the pictures of {@code train-images-idx3-ubyte.gz} with the labels of {@code
   * train-labels-idx1-ubyte.gz}, either also without {@code .gz}. They may be of any number and
   * size, with labels 0 to 9; no checksum is asked for, since other sets come under the same names.
   *
   * @param folder holds the two files
   * @return the pictures, with 10 classes
   * @throws IOException if a file is missing, cut short or not in IDX format, a label is none of 0
   *     to 9, or there are more or fewer labels than pictures
   */
  public static Dataset train(Path folder) throws IOException {
    return read(Split.TRAIN, folder);
  }

  /**
   * Reads the pictures of {@code t10k-images-idx3-ubyte.gz} with the labels of {@code
   * t10k-labels-idx1-ubyte.gz}; else as {@link #train(Path)}.
   *
   * @param folder holds the two files
   * @return the pictures, with 10 classes
   * @throws IOException as {@link #train(Path)}
   */
  public static Dataset test(Path folder) throws IOException {
    return read(Split.TEST, folder);
  }

  static Dataset download(Split split, Path cache, Download download, Map<String, String> sums)
      throws IOException {
    for (String name : List.of(split.prefix + IMAGES, split.prefix + LABELS)) {
      download.fetch(name + ".gz", sums.get(name), cache);
    }
    return read(split, cache);
  }

  private static Dataset read(Split split, Path folder) throws IOException {
    return Idx.read(
        find(folder, split.prefix + IMAGES), find(folder, split.prefix + LABELS), CLASSES);
  }

  private static Path find(Path folder, String name) throws IOException {
    for (Path file : List.of(folder.resolve(name + ".gz"), folder.resolve(name))) {
      if (Files.exists(file)) {
        return file;
      }
    }
    throw new IOException(
        "%s must hold %s.gz; MNIST is train%s.gz and train%s.gz to train on, and the same two with"
                .formatted(folder, name, IMAGES, LABELS)
            + " t10k to test with; leave the folder out to have them downloaded");
  }

  /** Returns where downloads are kept, from system properties and environment variables. */
  static Path cache(UnaryOperator<String> property, UnaryOperator<String> variable) {
    return cacheRoot(property, variable).resolve("mnist");
  }

  private static Path cacheRoot(UnaryOperator<String> property, UnaryOperator<String> variable) {
    String chosen = property.apply("io.github.ddpm.cache");
    if (chosen != null) {
      return Path.of(chosen);
    }
    boolean windows = property.apply("os.name").startsWith("Windows");
    String base = variable.apply(windows ? "LOCALAPPDATA" : "XDG_CACHE_HOME");
    // The XDG specification has relative paths ignored.
    return base != null && Path.of(base).isAbsolute()
        ? Path.of(base, "ddpm")
        : Path.of(property.apply("user.home"), ".cache", "ddpm");
  }
}

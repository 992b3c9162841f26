package io.github.ddpm.tf.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MnistTest {
  private static final String IMAGES = "train-images-idx3-ubyte";
  private static final String LABELS = "train-labels-idx1-ubyte";

  /** Two pictures of 2 rows and 3 columns. */
  private static final byte[] TWO_IMAGES =
      idx(2051, new int[] {2, 2, 3}, 1, 2, 3, 4, 5, 6, 250, 251, 252, 253, 254, 255);

  private static final byte[] TWO_LABELS = idx(2049, new int[] {2}, 9, 0);

  @TempDir Path folder;

  @Test
  void readsPicturesAndLabels() throws IOException {
    write(gzip(TWO_IMAGES), gzip(TWO_LABELS));
    Dataset dataset = Mnist.train(folder);
    assertThat(dataset.size()).isEqualTo(2);
    assertThat(dataset.height()).isEqualTo(2);
    assertThat(dataset.width()).isEqualTo(3);
    assertThat(dataset.channels()).isEqualTo(1);
    assertThat(dataset.classes()).isEqualTo(10);
    assertThat(dataset.labels(0, 1)).containsExactly(9, 0);
    assertThat(bytes(dataset, 1)).containsExactly(250, 251, 252, 253, 254, 255);
    assertThat(bytes(dataset, 0)).containsExactly(1, 2, 3, 4, 5, 6);
  }

  @Test
  void readsUncompressedFilesToo() throws IOException {
    Files.write(folder.resolve("t10k-images-idx3-ubyte"), TWO_IMAGES);
    Files.write(folder.resolve("t10k-labels-idx1-ubyte"), TWO_LABELS);
    assertThat(Mnist.test(folder).labels(0, 1)).containsExactly(9, 0);
  }

  @Test
  void saysWhichFilesItNeeds() {
    assertThatIOException()
        .isThrownBy(() -> Mnist.train(folder))
        .withMessageStartingWith(folder + " must hold " + IMAGES + ".gz; MNIST is ")
        .withMessageContaining("train-labels-idx1-ubyte.gz")
        .withMessageContaining("t10k")
        .withMessageEndingWith("leave the folder out to have them downloaded");
  }

  @Test
  void refusesOtherMagicNumbers() throws IOException {
    write(gzip(TWO_LABELS), gzip(TWO_LABELS));
    assertRefused(IMAGES, "the magic number must be 2051, got 2049");
    write(gzip(TWO_IMAGES), gzip(TWO_IMAGES));
    assertRefused(LABELS, "the magic number must be 2049, got 2051");
  }

  @ParameterizedTest
  @CsvSource({
    "0, the header is incomplete",
    "3, the header is incomplete",
    "15, the header is incomplete",
    "16, 'the header promises 2 items, there are 0'",
    "27, 'the header promises 2 items, there are 1'"
  })
  void refusesCutPictures(int length, String message) throws IOException {
    write(gzip(Arrays.copyOf(TWO_IMAGES, length)), gzip(TWO_LABELS));
    assertRefused(IMAGES, "is cut short: " + message);
  }

  @Test
  void refusesCutLabels() throws IOException {
    write(gzip(TWO_IMAGES), gzip(Arrays.copyOf(TWO_LABELS, 9)));
    assertRefused(LABELS, "is cut short");
    // A promise of 16 million labels must not cost 16 MB before the first is there.
    write(gzip(TWO_IMAGES), gzip(idx(2049, new int[] {1 << 24}, 1)));
    assertRefused(LABELS, "the header promises 16777216 items, there are 1");
  }

  @Test
  void refusesCutOrDamagedGzip() throws IOException {
    byte[] whole = gzip(TWO_IMAGES);
    for (int length : new int[] {0, 5, 20, whole.length - 1}) {
      write(Arrays.copyOf(whole, length), gzip(TWO_LABELS));
      assertRefused(IMAGES, "cut short");
    }
    byte[] damaged = whole.clone();
    damaged[whole.length - 6] ^= 1; // in the checksum
    write(damaged, gzip(TWO_LABELS));
    assertRefused(IMAGES, "Corrupt GZIP trailer");
    write("<html>Please log in".getBytes(UTF_8), gzip(TWO_LABELS));
    assertRefused(IMAGES, "Not in GZIP format");
  }

  @Test
  void refusesMoreThanTheHeaderPromises() throws IOException {
    write(gzip(Arrays.copyOf(TWO_IMAGES, TWO_IMAGES.length + 1)), gzip(TWO_LABELS));
    assertRefused(IMAGES, "more bytes follow than the header promises");
  }

  @Test
  void refusesHeadersThatMakeNoSense() throws IOException {
    write(gzip(idx(2051, new int[] {2, 0, 3})), gzip(TWO_LABELS));
    assertRefused(IMAGES, "height and width must be in [1, 4096], got 0 and 3");
    write(gzip(idx(2051, new int[] {2, 3, 1 << 30})), gzip(TWO_LABELS));
    assertRefused(IMAGES, "height and width must be in [1, 4096], got 3 and 1073741824");
    write(gzip(TWO_IMAGES), gzip(idx(2049, new int[] {-1})));
    assertRefused(LABELS, "the number of labels must be in [1, 16777216], got -1");
    write(
        gzip(idx(2051, new int[] {100, 4096, 4096})),
        gzip(idx(2049, new int[] {100}, new int[100])));
    assertRefused(IMAGES, "the pictures must have at most 1073741824 bytes, got 1677721600");
  }

  @Test
  void refusesLabelsThatDoNotFit() throws IOException {
    write(gzip(TWO_IMAGES), gzip(idx(2049, new int[] {2}, 3, 10)));
    assertRefused(LABELS, "labels must be in [0, 10), got 10 for item 1");
    write(gzip(TWO_IMAGES), gzip(idx(2049, new int[] {3}, 1, 2, 3)));
    assertRefused(
        IMAGES,
        "there must be 3 pictures, one for each label in "
            + folder.resolve(LABELS + ".gz")
            + ", got 2");
  }

  @Test
  void keepsDownloadsWhereTheSystemKeepsSuchFiles() {
    Map<String, String> linux = Map.of("os.name", "Linux", "user.home", "/home/me");
    Path home = Path.of("/home/me", ".cache", "ddpm", "mnist");
    assertThat(Mnist.cache(linux::get, name -> null)).isEqualTo(home);
    assertThat(Mnist.cache(linux::get, Map.of("XDG_CACHE_HOME", "relative")::get)).isEqualTo(home);
    String xdg = folder.toAbsolutePath().toString();
    assertThat(Mnist.cache(linux::get, Map.of("XDG_CACHE_HOME", xdg)::get))
        .isEqualTo(folder.resolve("ddpm").resolve("mnist"));
    Map<String, String> windows = Map.of("os.name", "Windows 11", "user.home", "/home/me");
    assertThat(Mnist.cache(windows::get, Map.of("LOCALAPPDATA", xdg)::get))
        .isEqualTo(folder.resolve("ddpm").resolve("mnist"));
    assertThat(Mnist.cache(Map.of("io.github.ddpm.cache", "here")::get, name -> null))
        .isEqualTo(Path.of("here", "mnist"));
  }

  /** Only with {@code -Dio.github.ddpm.test.mnist=}, a folder with the four real files. */
  @Test
  void readsTheRealOne() throws IOException {
    String real = System.getProperty("io.github.ddpm.test.mnist");
    assumeThat(real).isNotNull();
    assertReal(
        Mnist.train(Path.of(real)),
        0.130660,
        0.308108,
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949);
    assertReal(
        Mnist.test(Path.of(real)),
        0.132515,
        0.310480,
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009);
  }

  private static void assertReal(Dataset dataset, double mean, double deviation, int... counts) {
    int[] all = IntStream.range(0, dataset.size()).toArray();
    int[] found = new int[10];
    for (int label : dataset.labels(all)) {
      found[label]++;
    }
    assertThat(found).containsExactly(counts);
    double sum = 0;
    double squares = 0;
    for (int i : all) {
      for (float value : dataset.images(i).toArray()) {
        double pixel = (value + 1) / 2;
        sum += pixel;
        squares += pixel * pixel;
      }
    }
    double n = all.length * 28 * 28;
    assertThat(sum / n).isCloseTo(mean, within(1e-6));
    assertThat(Math.sqrt(squares / n - sum / n * (sum / n))).isCloseTo(deviation, within(1e-6));
  }

  private void write(byte[] images, byte[] labels) throws IOException {
    Files.write(folder.resolve(IMAGES + ".gz"), images);
    Files.write(folder.resolve(LABELS + ".gz"), labels);
  }

  private void assertRefused(String file, String message) {
    assertThatIOException()
        .isThrownBy(() -> Mnist.train(folder))
        .withMessageStartingWith(folder.resolve(file + ".gz") + " ")
        .withMessageContaining(message);
  }

  static int[] bytes(Dataset dataset, int index) {
    float[] floats = dataset.images(index).toArray();
    return IntStream.range(0, floats.length)
        .map(i -> Math.round((floats[i] + 1) * 127.5f))
        .toArray();
  }

  static byte[] idx(int magic, int[] lengths, int... items) {
    ByteBuffer buffer = ByteBuffer.allocate(4 + 4 * lengths.length + items.length).putInt(magic);
    Arrays.stream(lengths).forEach(buffer::putInt);
    Arrays.stream(items).forEach(item -> buffer.put((byte) item));
    return buffer.array();
  }

  static byte[] gzip(byte[] bytes) {
    ByteArrayOutputStream gzip = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(gzip)) {
      out.write(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return gzip.toByteArray();
  }
}

package io.github.ddpm.tf.data;

import com.google.common.base.Strings;
import io.github.ddpm.spi.Heap;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;

/**
 * Reads the two kinds of IDX file that MNIST and the sets made after it consist of, gzipped or not:
 * big-endian headers, then unsigned bytes. Nothing in a file is believed before it is checked.
 */
final class Idx {
  private static final int IMAGES_MAGIC = 2051;
  private static final int LABELS_MAGIC = 2049;
  private static final int MAX_SIDE = 4096;

  // More than any such set has, and little enough that a gzip bomb does no harm.
  private static final int MAX_ITEMS = 1 << 24;
  private static final int MAX_BYTES = 1 << 30;

  /** What a picture takes beside itself: a reference, its label and its place in the order. */
  private static final int BESIDE = 8 + 3 * Integer.BYTES;

  private Idx() {}

  private interface Body<T> {
    T read(DataInputStream in) throws IOException;
  }

  /**
   * Reads gray pictures and their labels.
   *
   * @param classes how many there are; labels must be in [0, classes)
   * @throws IOException that names the file and what is wrong with it, for instance that it doesn't
   *     fit into memory
   */
  static Dataset read(Path imageFile, Path labelFile, int classes) throws IOException {
    int[] labels = labels(labelFile, classes);
    return read(
        imageFile,
        IMAGES_MAGIC,
        in -> {
          int count = in.readInt();
          int height = in.readInt();
          int width = in.readInt();
          check(
              height >= 1 && height <= MAX_SIDE && width >= 1 && width <= MAX_SIDE,
              "height and width must be in [1, %s], got %s and %s",
              MAX_SIDE,
              height,
              width);
          long bytes = (long) labels.length * height * width;
          check(
              count == labels.length,
              "there must be %s pictures, one for each label in %s, got %s",
              labels.length,
              labelFile,
              count);
          check(
              bytes <= MAX_BYTES,
              "the pictures must have at most %s bytes, got %s",
              MAX_BYTES,
              bytes);
          Heap.check(
              "the pictures",
              Heap.arrays(count, (double) height * width) + (double) BESIDE * count);
          byte[][] images = new byte[count][];
          for (int i = 0; i < count; i++) {
            images[i] = in.readNBytes(height * width);
            checkEnd(images[i].length == height * width, i, count);
          }
          return Dataset.keeping(height, width, 1, images, classes, labels);
        });
  }

  private static int[] labels(Path file, int classes) throws IOException {
    return read(
        file,
        LABELS_MAGIC,
        in -> {
          int count = in.readInt();
          check(
              count >= 1 && count <= MAX_ITEMS,
              "the number of labels must be in [1, %s], got %s",
              MAX_ITEMS,
              count);
          // Once as they are read, once put together, once as numbers.
          Heap.check("the labels", (2.0 + Integer.BYTES) * count);
          byte[] bytes = in.readNBytes(count);
          checkEnd(bytes.length == count, bytes.length, count);
          int[] labels = new int[count];
          for (int i = 0; i < count; i++) {
            labels[i] = Byte.toUnsignedInt(bytes[i]);
            check(
                labels[i] < classes,
                "labels must be in [0, %s), got %s for item %s",
                classes,
                labels[i],
                i);
          }
          return labels;
        });
  }

  private static <T> T read(Path file, int magic, Body<T> body) throws IOException {
    try (InputStream raw = Files.newInputStream(file);
        InputStream bytes =
            file.toString().endsWith(".gz") ? new GZIPInputStream(raw, 1 << 16) : raw;
        DataInputStream in = new DataInputStream(new BufferedInputStream(bytes))) {
      int found = in.readInt();
      check(found == magic, "the magic number must be %s, got %s", magic, found);
      T result = body.read(in);
      // Reading the end also makes gzip compare its checksum.
      check(in.read() == -1, "more bytes follow than the header promises");
      return result;
    } catch (EOFException e) {
      String where = e.getMessage() == null ? "the header is incomplete" : e.getMessage();
      throw new IOException(file + " is cut short: " + where, e);
    } catch (IOException e) {
      throw new IOException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static void checkEnd(boolean whole, int items, int promised) throws EOFException {
    if (!whole) {
      throw new EOFException("the header promises " + promised + " items, there are " + items);
    }
  }

  private static void check(boolean condition, String rule, Object... values) throws IOException {
    if (!condition) {
      throw new IOException(Strings.lenientFormat(rule, values));
    }
  }
}

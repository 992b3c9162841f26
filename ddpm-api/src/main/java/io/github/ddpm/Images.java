package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;
import static com.google.common.base.Preconditions.checkPositionIndexes;

import com.google.common.math.LongMath;
import io.github.ddpm.spi.Npy;
import java.awt.Dimension;
import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.Raster;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.UUID;
import javax.imageio.ImageIO;

/**
 * Pictures of one size as floats: [n, height, width, channels] in row-major order, black -1 and
 * white 1.
 *
 * <p>Images never change. Values outside of [-1, 1] are kept (they come from sampling without
 * clipping) and shown as black or white. Files are written whole or not at all: an existing one
 * stays as it is until the new one is complete.
 */
public final class Images {
  private static final int GRID_GAP = 2;

  /** A picture has at most so many channels: RGB and alpha. */
  public static final int MAX_CHANNELS = 4;

  private final int count;
  private final int height;
  private final int width;
  private final int channels;
  private final float[] values;

  private Images(int count, int height, int width, int channels, float[] values) {
    this.count = count;
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.values = values;
  }

  /**
   * {@return pictures of floats}
   *
   * @param count n, at least 0
   * @param height in pixels, at least 1
   * @param width in pixels, at least 1
   * @param channels at least 1
   * @param values n · height · width · channels finite numbers, [n, height, width, channels];
   *     copied
   */
  public static Images of(int count, int height, int width, int channels, float... values) {
    checkArgument(
        count >= 0 && height > 0 && width > 0 && channels > 0,
        "images need a count of at least 0 and sizes of at least 1, got %sx%sx%sx%s",
        count,
        height,
        width,
        channels);
    // Saturated, because the product of four ints may overflow a long.
    long size = LongMath.saturatedMultiply((long) height * width, (long) channels * count);
    checkArgument(
        values.length == size,
        "%sx%sx%sx%s images have %s values, got %s",
        count,
        height,
        width,
        channels,
        size,
        values.length);
    int bad = firstNotFinite(values);
    // Spelled out, because the message divides by the count.
    if (bad >= 0) {
      throw new IllegalArgumentException(
          "image "
              + bad / (values.length / count)
              + " has a value that is not finite: "
              + values[bad]);
    }
    return new Images(count, height, width, channels, values.clone());
  }

  /**
   * Reads PNG files of one size, as {@link #writePng} writes them and others do: gray or RGB, with
   * an alpha channel or without, and up to 16 bits a channel. So that an 8-bit file that is read
   * and written again has the same pixels, a level v of at most m becomes 2·v/m - 1. The levels are
   * taken as they are: neither a gamma or a color profile in the file nor alpha changes one.
   *
   * @param files at least one; picture k is of the k-th
   * @return as many pictures, in the same order
   * @throws IOException if a file can't be read, is damaged, has a palette or a color that is
   *     transparent, or is of another size than the first, or the pictures don't fit into memory;
   *     the message names it and says what is wrong
   */
  public static Images readPng(Path... files) throws IOException {
    checkArgument(files.length > 0, "readPng needs at least 1 file, got none");
    Raster first = Png.read(files[0], files.length);
    int height = first.getHeight();
    int width = first.getWidth();
    int channels = first.getNumBands();
    int size = height * width * channels;
    checkArgument(
        (long) files.length * size <= Integer.MAX_VALUE,
        "%s pictures of %s values are more than 2^31 - 1 values",
        files.length,
        size);
    float[] values = new float[files.length * size];
    for (int i = 0; i < files.length; i++) {
      Raster picture = i == 0 ? first : Png.read(files[i], 0);
      if (picture.getHeight() != height
          || picture.getWidth() != width
          || picture.getNumBands() != channels) {
        throw new IOException(
            "can't read %s: it must be %sx%sx%s, as %s is, got %sx%sx%s"
                .formatted(
                    files[i],
                    height,
                    width,
                    channels,
                    files[0],
                    picture.getHeight(),
                    picture.getWidth(),
                    picture.getNumBands()));
      }
      // Of 8 bits, v / 127.5f - 1.
      float half = ((1 << picture.getSampleModel().getSampleSize(0)) - 1) / 2f;
      for (int y = 0, at = i * size; y < height; y++) {
        for (int level : picture.getPixels(0, y, width, 1, (int[]) null)) {
          values[at++] = level / half - 1;
        }
      }
    }
    return new Images(files.length, height, width, channels, values);
  }

  /** {@return the number of pictures n} */
  public int count() {
    return count;
  }

  /** {@return the height of each picture in pixels} */
  public int height() {
    return height;
  }

  /** {@return the width of each picture in pixels} */
  public int width() {
    return width;
  }

  /** {@return the number of channels: 1 is gray, 3 is RGB, 2 and 4 are the same with alpha} */
  public int channels() {
    return channels;
  }

  /**
   * Returns a read-only view of the values, [n, height, width, channels], for whoever needs no copy
   * of them as {@link #toArray} makes it.
   *
   * @return a buffer of n · height · width · channels numbers from position 0; each call makes one
   */
  public FloatBuffer values() {
    return FloatBuffer.wrap(values).asReadOnlyBuffer();
  }

  /** {@return a copy of the values, [n, height, width, channels]} */
  public float[] toArray() {
    return values.clone();
  }

  /**
   * {@return some of the pictures}
   *
   * @param from in [0, n]
   * @param to end, exclusive, in [from, n]
   */
  public Images slice(int from, int to) {
    checkPositionIndexes(from, to, count);
    int size = height * width * channels;
    return new Images(
        to - from, height, width, channels, Arrays.copyOfRange(values, from * size, to * size));
  }

  /**
   * {@return what is between these images and others, on the arc between the two: noise stays as
   * strong as noise is (spherical linear interpolation, Shoemake 1985, "Animating Rotation with
   * Quaternion Curves")}
   *
   * @param others as many, of the same size
   * @param part 0 for these, 1 for the others
   */
  public Images slerp(Images others, double part) {
    checkArgument(
        count == others.count
            && height == others.height
            && width == others.width
            && channels == others.channels,
        "slerp needs as many images of the same size, got %s and %s",
        this,
        others);
    checkArgument(Double.isFinite(part), "part must be finite, got %s", part);
    float[] between = new float[values.length];
    int size = height * width * channels;
    for (int from = 0; from < values.length; from += size) {
      double dot = 0;
      double square = 0;
      double otherSquare = 0;
      for (int i = from; i < from + size; i++) {
        dot += (double) values[i] * others.values[i];
        square += (double) values[i] * values[i];
        otherSquare += (double) others.values[i] * others.values[i];
      }
      double cosine = dot / Math.sqrt(square * otherSquare);
      double angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
      // Where there is no arc, or more than one, the line is as good.
      boolean line = !(Math.sin(angle) > 1e-6);
      double here = line ? 1 - part : Math.sin((1 - part) * angle) / Math.sin(angle);
      double there = line ? part : Math.sin(part * angle) / Math.sin(angle);
      for (int i = from; i < from + size; i++) {
        between[i] = (float) (here * values[i] + there * others.values[i]);
      }
    }
    return new Images(count, height, width, channels, between);
  }

  /**
   * Draws one picture with 8 bits a channel: byte = round((value + 1) · 127.5).
   *
   * @param index in [0, n)
   * @return a picture of its own, gray or RGB, with alpha or without
   * @throws IllegalStateException if the pictures have more than 4 channels
   */
  public BufferedImage toBufferedImage(int index) {
    checkElementIndex(index, count, "picture");
    BufferedImage picture = blank(width, height);
    draw(index, picture, 0, 0);
    return picture;
  }

  /**
   * Draws all pictures side by side on black, or on nothing if they have alpha, 2 pixels apart.
   *
   * @param columns how many of them a row has, at least 1; if that is more than there are, all are
   *     in one row
   * @return a picture of as many rows as that takes
   * @throws IllegalArgumentException if the grid would have 2^31 - 1 pixels or more
   * @throws IllegalStateException if there is none, or they have more than 4 channels
   */
  public BufferedImage toGrid(int columns) {
    checkArgument(columns >= 1, "columns must be at least 1, got %s", columns);
    if (count == 0) {
      throw new IllegalStateException("a grid needs at least 1 picture, got 0");
    }
    Dimension size = gridSize(count, columns, height, width);
    BufferedImage grid = blank(size.width, size.height);
    for (int i = 0; i < count; i++) {
      draw(i, grid, i % columns * (width + GRID_GAP), i / columns * (height + GRID_GAP));
    }
    return grid;
  }

  /** Returns the size of a grid in pixels, if AWT can make a picture of it. */
  static Dimension gridSize(int count, int columns, int height, int width) {
    int across = Math.min(columns, count);
    int down = (count - 1) / across + 1;
    long gridWidth = across * ((long) width + GRID_GAP) - GRID_GAP;
    long gridHeight = down * ((long) height + GRID_GAP) - GRID_GAP;
    checkArgument(
        LongMath.saturatedMultiply(gridWidth, gridHeight) < Integer.MAX_VALUE,
        "a grid must have fewer than 2^31 - 1 pixels, got %sx%s with %s columns of %s pictures",
        gridHeight,
        gridWidth,
        across,
        count);
    return new Dimension((int) gridWidth, (int) gridHeight);
  }

  /**
   * Writes one picture as PNG.
   *
   * @param index in [0, n)
   * @param file replaced if it exists
   * @throws IllegalStateException if the pictures have more than 4 channels
   * @throws IOException if the file can't be written
   */
  public void writePng(int index, Path file) throws IOException {
    writePng(toBufferedImage(index), file);
  }

  /**
   * Writes all pictures as one PNG, as nearly square as their number allows.
   *
   * @param file replaced if it exists
   * @throws IllegalStateException if there is none, or they have more than 4 channels
   * @throws IOException if the file can't be written
   */
  public void writeGrid(Path file) throws IOException {
    writePng(toGrid(Math.max(1, (int) Math.ceil(Math.sqrt(count)))), file);
  }

  /**
   * Writes the values as NumPy's {@code .npy} (version 1.0): little-endian float32 [n, height,
   * width, channels].
   *
   * @param file replaced if it exists
   * @throws IOException if the file can't be written
   */
  public void writeNpy(Path file) throws IOException {
    replace(
        file,
        out -> {
          out.write(Npy.header(count, height, width, channels));
          Npy.write(values(), out);
        });
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Images that
        && count == that.count
        && height == that.height
        && width == that.width
        && channels == that.channels
        && Arrays.equals(values, that.values);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(values);
  }

  @Override
  public String toString() {
    return "Images[" + count + " of " + height + "x" + width + "x" + channels + "]";
  }

  private BufferedImage blank(int width, int height) {
    return switch (channels) {
      case 1 -> new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
      case 2 -> grayWithAlpha(width, height);
      case 3 -> new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
      case MAX_CHANNELS -> new BufferedImage(width, height, BufferedImage.TYPE_4BYTE_ABGR);
      default ->
          throw new IllegalStateException(
              "a picture needs 1 to " + MAX_CHANNELS + " channels, got " + channels);
    };
  }

  private static BufferedImage grayWithAlpha(int width, int height) {
    ColorModel model =
        new ComponentColorModel(
            ColorSpace.getInstance(ColorSpace.CS_GRAY),
            true,
            false,
            Transparency.TRANSLUCENT,
            DataBuffer.TYPE_BYTE);
    return new BufferedImage(
        model, model.createCompatibleWritableRaster(width, height), false, null);
  }

  private void draw(int index, BufferedImage onto, int left, int top) {
    int[] row = new int[width * channels];
    for (int y = 0, at = index * height * width * channels; y < height; y++) {
      for (int i = 0; i < row.length; i++) {
        row[i] = (int) Math.max(0, Math.min(255, Math.round((values[at++] + 1) * 127.5)));
      }
      // The raster, not setRGB, which would put gray through a color profile.
      onto.getRaster().setPixels(left, top + y, width, 1, row);
    }
  }

  private static void writePng(BufferedImage picture, Path file) throws IOException {
    replace(
        file,
        out -> {
          if (!ImageIO.write(picture, "png", out)) {
            throw new IOException("this Java runtime has no PNG writer");
          }
        });
  }

  /** Returns the position of the first value that is not finite; -1 if all are. */
  static int firstNotFinite(float... values) {
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        return i;
      }
    }
    return -1;
  }

  private static void replace(Path file, Content content) throws IOException {
    // Not Files.createTempFile, whose files only their owner may read.
    Path temporary =
        file.resolveSibling("." + file.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try {
      try (OutputStream out = Files.newOutputStream(temporary, StandardOpenOption.CREATE_NEW)) {
        content.write(out);
      }
      Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new IOException("can't write " + file + ": " + e, e);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private interface Content {
    void write(OutputStream out) throws IOException;
  }
}

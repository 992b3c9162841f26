package io.github.ddpm.tf.data;

import com.google.common.io.ByteSource;
import com.google.common.io.MoreFiles;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.awt.AlphaComposite;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.atomic.AtomicReference;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** One PNG or JPEG file made a square of bytes. */
final class Picture {
  /** More than a camera makes; what claims to be larger would take gigabytes to decode. */
  private static final long MAX_PIXELS = 1 << 27;

  private static final String NEITHER = "it is neither PNG nor JPEG";
  private static final long PNG_SIGNATURE = 0x89504E470D0A1A0AL;

  /** Types of a PNG's chunks: pixels, the end, and texts that may be compressed. */
  private static final int IDAT = 0x49444154;

  private static final int IEND = 0x49454e44;
  private static final int ZTXT = 0x7a545874;
  private static final int ITXT = 0x69545874;

  /** What a byte of zlib's becomes at most. */
  private static final int MOST_INFLATED = 1032;

  /** Pictures too large for all threads to read one at the same time are read one by one. */
  private static final Object LARGE = new Object();

  private Picture() {}

  /**
   * Reads a picture, upright, scaled and cropped around its middle, on white unless the last of the
   * channels is its alpha.
   *
   * @param channels 1 to 4: gray, gray and alpha, RGB, RGB and alpha
   * @return unsigned bytes [size, size, channels]
   * @throws IOException that names the file
   */
  static byte[] read(Path file, int size, int channels) throws IOException {
    return read(
        file,
        () -> ImageIO.createImageInputStream(file.toFile()),
        MoreFiles.asByteSource(file),
        size,
        channels);
  }

  /**
   * Reads a picture of a file that is in memory, as the other method does.
   *
   * @param name of the file
   */
  static byte[] read(String name, byte[] file, int size, int channels) throws IOException {
    return read(name, () -> new InMemory(file), ByteSource.wrap(file), size, channels);
  }

  private interface Opener {
    ImageInputStream open() throws IOException;
  }

  private static byte[] read(Object file, Opener opener, ByteSource content, int size, int channels)
      throws IOException {
    try (ImageInputStream in = opener.open()) {
      Iterator<ImageReader> readers = ImageIO.getImageReaders(in);
      check(readers.hasNext(), NEITHER);
      ImageReader reader = readers.next();
      try {
        String format = reader.getFormatName();
        boolean png = format.equals("png");
        check(png || format.equals("JPEG"), NEITHER);
        double metadata = png ? metadataOfPng(in) : (double) in.length();
        Heap.check("its metadata", metadata);
        int orientation = Exif.orientation(content, png);
        reader.setInput(in, false, true);
        BufferedImage square = read(reader, size, channels % 2 == 0, metadata);
        // Turned last, because a small square is cheaper to turn than a photo.
        return bytes(upright(square, orientation), channels);
      } finally {
        reader.dispose();
      }
    } catch (IOException | RuntimeException e) { // A broken file makes ImageIO throw either.
      throw new IOException(
          file + " cannot be read as a picture: " + Excerpt.of(e.getMessage()), e);
    }
  }

  private static final class InMemory extends MemoryCacheImageInputStream {
    private final long length;

    InMemory(byte[] file) {
      super(new ByteArrayInputStream(file));
      this.length = file.length;
    }

    /** Java's own doesn't know. */
    @Override
    public long length() {
      return length;
    }
  }

  private static BufferedImage read(ImageReader reader, int size, boolean alpha, double metadata)
      throws IOException {
    long pixels = (long) reader.getWidth(0) * reader.getHeight(0);
    check(pixels <= MAX_PIXELS, "it must have at most " + MAX_PIXELS + " pixels, got " + pixels);
    double bytes = metadata + bytes(reader, pixels, size);
    if (Heap.fits(bytes * (1 + ForkJoinPool.getCommonPoolParallelism()))) {
      return square(ofBytes(decode(reader), alpha), size);
    }
    synchronized (LARGE) {
      Heap.check(pixels + " pixels", bytes);
      return square(ofBytes(decode(reader), alpha), size);
    }
  }

  /** Returns what it takes to make the square of a picture. */
  private static double bytes(ImageReader reader, long pixels, int size) throws IOException {
    ImageTypeSpecifier type = reader.getRawImageType(0);
    int stored =
        type == null ? Integer.BYTES : (type.getNumBands() * type.getBitsPerBand(0) + 7) / 8;
    double side = Math.max(reader.getWidth(0), reader.getHeight(0));
    // As it is stored and in RGB; then in RGB and a copy of that, with one color half scaled, and
    // alpha beside it.
    return (double) pixels * (Math.max(stored, Integer.BYTES) + Integer.BYTES)
        + Float.BYTES * (side + 5.0 * size) * size;
  }

  /**
   * Returns the memory that all but the pixels of a PNG may take, of which Java keeps some where
   * there is a palette, and inflates texts. It doesn't look at how the file ends, so that is done
   * here.
   */
  private static double metadataOfPng(ImageInputStream in) throws IOException {
    in.mark();
    check(in.readLong() == PNG_SIGNATURE, NEITHER);
    double bytes = 0;
    int type = 0;
    while (type != IEND) {
      // A chunk is a length, a type, so many bytes, and a checksum.
      boolean whole = in.length() - in.getStreamPosition() >= 3 * Integer.BYTES;
      long length = whole ? in.readUnsignedInt() : 0;
      type = whole ? in.readInt() : 0;
      check(
          whole && length <= in.length() - in.getStreamPosition() - Integer.BYTES,
          "it is cut short");
      bytes +=
          type == IDAT ? 0 : (double) length * (type == ZTXT || type == ITXT ? MOST_INFLATED : 1);
      in.seek(in.getStreamPosition() + length + Integer.BYTES);
    }
    in.reset();
    return bytes;
  }

  private static BufferedImage decode(ImageReader reader) throws IOException {
    // What is missing of a JPEG that was cut short becomes gray, and the reader only warns.
    AtomicReference<String> damage = new AtomicReference<>();
    reader.addIIOReadWarningListener(
        (source, warning) -> {
          if (warning.startsWith("Truncated File") || warning.startsWith("Corrupt JPEG")) {
            damage.set(warning);
          }
        });
    BufferedImage image = reader.read(0);
    check(damage.get() == null, damage.get());
    // Some JDKs read CMYK, but without its profile, so that the colors are wrong.
    int colors = image.getColorModel().getColorSpace().getType();
    check(
        colors == ColorSpace.TYPE_GRAY || colors == ColorSpace.TYPE_RGB,
        "it must be gray or RGB; CMYK has to be converted first");
    return image;
  }

  /**
   * Returns the same picture with 8 bits of red, green and blue, and of alpha, or without that
   * white where it is transparent.
   */
  private static BufferedImage ofBytes(BufferedImage image, boolean alpha) {
    int width = image.getWidth();
    int height = image.getHeight();
    BufferedImage copy =
        new BufferedImage(
            width, height, alpha ? BufferedImage.TYPE_INT_ARGB : BufferedImage.TYPE_INT_RGB);
    if (image.getColorModel().getColorSpace().getType() != ColorSpace.TYPE_GRAY) {
      Graphics2D graphics = copy.createGraphics();
      graphics.setComposite(alpha ? AlphaComposite.Src : AlphaComposite.SrcOver);
      graphics.drawImage(image, 0, 0, alpha ? null : Color.WHITE, null);
      graphics.dispose();
      return copy;
    }
    // By hand, because Java takes gray samples for linear light: drawn, some would be brighter.
    Raster samples = image.getRaster();
    boolean translucent = samples.getNumBands() == 2;
    double max = (1 << image.getColorModel().getComponentSize(0)) - 1;
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        double opacity = translucent ? samples.getSample(x, y, 1) / max : 1;
        double black = (alpha ? 1 : opacity) * (1 - samples.getSample(x, y, 0) / max);
        int rgb = 0x010101 * (int) Math.round(255 * (1 - black));
        copy.setRGB(x, y, (int) Math.round(255 * opacity) << 24 | rgb);
      }
    }
    return copy;
  }

  /**
   * Scales the shorter side to {@code size} and cuts the middle out of the longer. Each color
   * counts by its opacity, and is white where it has none.
   */
  private static BufferedImage square(BufferedImage image, int size) {
    int width = image.getWidth();
    int height = image.getHeight();
    int[] pixels = image.getRGB(0, 0, width, height, null, 0, width);
    float[] opacity = new float[size * size];
    Arrays.fill(opacity, 1);
    if (image.getColorModel().hasAlpha()) {
      opacity = square(pixels, width, height, size, Picture::opacity);
    }
    int[] square = new int[size * size];
    for (int bits : new int[] {0, 8, 16}) {
      float[] channel =
          square(pixels, width, height, size, argb -> (argb >> bits & 0xff) * opacity(argb));
      for (int i = 0; i < square.length; i++) {
        square[i] |= Math.round(channel[i] / opacity[i]) << bits;
      }
    }
    for (int i = 0; i < square.length; i++) {
      int alpha = Math.round(255 * opacity[i]);
      square[i] = alpha == 0 ? 0xffffff : alpha << 24 | square[i];
    }
    BufferedImage result = new BufferedImage(size, size, image.getType());
    result.setRGB(0, 0, size, size, square, 0, size);
    return result;
  }

  private static float opacity(int argb) {
    return (argb >>> 24) / 255f;
  }

  private interface Value {
    float of(int argb);
  }

  /** Scales one value of all pixels. */
  private static float[] square(int[] pixels, int width, int height, int size, Value value) {
    double scale = Math.min(width, height) / (double) size;
    float[] columns = scaled(height, width, size, scale, (y, x) -> value.of(pixels[y * width + x]));
    return scaled(size, height, size, scale, (x, y) -> columns[x * height + y]);
  }

  private interface Pixels {
    float at(int line, int position);
  }

  /**
   * Scales lines by a triangle that is as wide as what a new pixel stands for, but at least two
   * pixels: the filter that Pillow and torchvision call (antialiased) bilinear. Java2D's own one
   * looks at two pixels only, which leaves moiré when it shrinks.
   *
   * @param scale old pixels a new one
   * @return the middle of each line, transposed: [size, lines]
   */
  private static float[] scaled(int lines, int length, int size, double scale, Pixels pixels) {
    float[] result = new float[size * lines];
    double radius = Math.max(1, scale);
    // Whole new pixels are cut off, so that nothing is blurred where nothing is scaled.
    double start = scale * Math.floor((length / scale - size) / 2);
    for (int i = 0; i < size; i++) {
      double center = start + scale * (i + 0.5);
      int from = Math.max(0, (int) Math.floor(center - radius));
      int to = Math.min(length, (int) Math.ceil(center + radius));
      double[] weights = new double[to - from];
      double sum = 0;
      for (int k = from; k < to; k++) {
        weights[k - from] = Math.max(0, 1 - Math.abs(k + 0.5 - center) / radius);
        sum += weights[k - from];
      }
      for (int line = 0; line < lines; line++) {
        double value = 0;
        for (int k = from; k < to; k++) {
          value += weights[k - from] * pixels.at(line, k);
        }
        result[i * lines + line] = (float) (value / sum);
      }
    }
    return result;
  }

  /**
   * Turns and mirrors a picture by its EXIF orientation. Java2D would make black of what is
   * transparent.
   */
  private static int[] upright(BufferedImage square, int orientation) {
    int size = square.getWidth();
    boolean fromRight = orientation == 2 || orientation == 3 || orientation >= 7;
    boolean fromBottom =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int[] pixels = new int[size * size];
    for (int i = 0; i < pixels.length; i++) {
      // From 5 on, what is a row in the file is a column.
      int along = orientation >= 5 ? i / size : i % size;
      int down = orientation >= 5 ? i % size : i / size;
      pixels[i] =
          square.getRGB(fromRight ? size - 1 - along : along, fromBottom ? size - 1 - down : down);
    }
    return pixels;
  }

  private static byte[] bytes(int[] pixels, int channels) {
    byte[] bytes = new byte[pixels.length * channels];
    int at = 0;
    for (int argb : pixels) {
      int red = (argb >> 16) & 0xff;
      int green = (argb >> 8) & 0xff;
      int blue = argb & 0xff;
      if (channels >= 3) {
        bytes[at++] = (byte) red;
        bytes[at++] = (byte) green;
        bytes[at++] = (byte) blue;
      } else {
        bytes[at++] = (byte) ((299 * red + 587 * green + 114 * blue + 500) / 1000);
      }
      if (channels % 2 == 0) {
        bytes[at++] = (byte) (argb >>> 24);
      }
    }
    return bytes;
  }

  private static void check(boolean condition, String rule) throws IOException {
    if (!condition) {
      throw new IOException(rule);
    }
  }
}

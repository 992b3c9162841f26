package io.github.ddpm.tf.data;

import com.google.common.io.ByteSource;
import com.google.common.io.MoreFiles;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Optional;
import java.util.concurrent.ForkJoinPool;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.ImageInputStreamImpl;
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
   * @param name that a message calls it by
   * @param channels 1 to 4: gray, gray and alpha, RGB, RGB and alpha
   * @return unsigned bytes [size, size, channels]
   * @throws IOException that names the file
   */
  static byte[] read(String name, Path file, int size, int channels) throws IOException {
    return read(
        name,
        () -> new OnDisk(Files.newByteChannel(file)),
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

  private static byte[] read(String name, Opener opener, ByteSource content, int size, int channels)
      throws IOException {
    try {
      boolean alpha = channels % 2 == 0;
      Optional<int[]> square = square(opener, content, size, alpha, false);
      if (square.isEmpty()) {
        square = square(opener, content, size, alpha, true);
      }
      return bytes(square.orElseThrow(), channels);
    } catch (IOException | RuntimeException e) { // A broken file makes ImageIO throw either.
      throw new IOException(name + " cannot be read as a picture: " + reason(e), e);
    }
  }

  /**
   * Decodes a picture and makes an upright square of it.
   *
   * @param whole whether to have all of the picture in memory
   * @return nothing if that is needed
   */
  private static Optional<int[]> square(
      Opener opener, ByteSource content, int size, boolean alpha, boolean whole)
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
        reader.setInput(in, false, true);
        // Turned last, because a small square is cheaper to turn than a photo.
        return square(reader, size, alpha, metadata, whole)
            .map(square -> upright(square, size, Exif.orientation(content, png)));
      } finally {
        reader.dispose();
      }
    }
  }

  /** Says what is wrong where an exception says no more than the file's name, or nothing. */
  private static String reason(Exception e) {
    if (e instanceof AccessDeniedException) {
      return "no permission to read it";
    }
    if (e instanceof NoSuchFileException) {
      return "it is no longer there";
    }
    return e.getMessage() == null ? e.getClass().getSimpleName() : Excerpt.of(e.getMessage());
  }

  /** Java's own takes a {@link java.io.File}, which can't name every file. */
  private static final class OnDisk extends ImageInputStreamImpl {
    private final SeekableByteChannel channel;

    OnDisk(SeekableByteChannel channel) {
      this.channel = channel;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : Byte.toUnsignedInt(one[0]);
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      checkClosed();
      bitOffset = 0;
      channel.position(streamPos);
      int count = channel.read(ByteBuffer.wrap(bytes, offset, length));
      streamPos += Math.max(0, count);
      return count;
    }

    @Override
    public long length() {
      try {
        return channel.size();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public void close() throws IOException {
      super.close();
      channel.close();
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

  private static Optional<int[]> square(
      ImageReader reader, int size, boolean alpha, double metadata, boolean whole)
      throws IOException {
    int width = reader.getWidth(0);
    int height = reader.getHeight(0);
    long pixels = (long) width * height;
    check(pixels <= MAX_PIXELS, "it must have at most " + MAX_PIXELS + " pixels, got " + pixels);
    double stored = bytesPerPixel(reader);
    double bytes =
        metadata
            + PictureRows.bytes(width, height, size, stored)
            + squares(size)
            + (whole ? pixels * stored : 0);
    if (Heap.fits(bytes * (1 + ForkJoinPool.getCommonPoolParallelism()))) {
      return square(reader, size, alpha, whole);
    }
    synchronized (LARGE) {
      Heap.check(whole ? pixels + " pixels" : "its rows", bytes);
      return square(reader, size, alpha, whole);
    }
  }

  private static Optional<int[]> square(ImageReader reader, int size, boolean alpha, boolean whole)
      throws IOException {
    return whole
        ? Optional.of(PictureRows.whole(reader, size, alpha))
        : PictureRows.stream(reader, size, alpha);
  }

  private static double bytesPerPixel(ImageReader reader) throws IOException {
    ImageTypeSpecifier type = reader.getRawImageType(0);
    return type == null
        ? Integer.BYTES
        : Math.max(1, type.getNumBands() * type.getBitsPerBand(0) / 8.0);
  }

  /** Returns the bytes of the square that is turned upright, and of what is made of it. */
  private static double squares(int size) {
    return 2.0 * Integer.BYTES * size * size;
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

  /** Turns and mirrors a picture by its EXIF orientation. */
  private static int[] upright(int[] square, int size, int orientation) {
    boolean fromRight = orientation == 2 || orientation == 3 || orientation >= 7;
    boolean fromBottom =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int[] pixels = new int[size * size];
    for (int i = 0; i < pixels.length; i++) {
      // From 5 on, what is a row in the file is a column.
      int along = orientation >= 5 ? i / size : i % size;
      int down = orientation >= 5 ? i % size : i / size;
      pixels[i] =
          square[
              size * (fromBottom ? size - 1 - down : down)
                  + (fromRight ? size - 1 - along : along)];
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

package io.github.ddpm;

import static java.nio.charset.StandardCharsets.US_ASCII;

import com.google.common.base.Throwables;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * Reads PNG files. Java decodes them, but without a look at checksums or at how a file ends, so
 * that is done here.
 */
final class Png {
  private static final long SIGNATURE = 0x89504E470D0A1A0AL;

  /** Where the first chunk says width, height, bits and color type. */
  private static final int HEADER = 16;

  private static final int HEADER_BYTES = 10;

  /** What is beyond is cut off, and then refused for it. */
  private static final int MAX_BYTES = Integer.MAX_VALUE - 8;

  /** Types of colors. */
  private static final int GRAY = 0;

  private static final int RGB = 2;
  private static final int PALETTE = 3;
  private static final int GRAY_ALPHA = 4;
  private static final int RGB_ALPHA = 6;

  private Png() {}

  /**
   * Reads a picture, with alpha if it has that as a channel.
   *
   * @param floats of each of its values that will be wanted beside it
   * @return 1 band of gray levels or 3 of RGB as the file has them, and after them one of alpha if
   *     there is one; at most 2^31 - 1 values in all
   * @throws IOException that names the file
   */
  static Raster read(Path file, int floats) throws IOException {
    byte[] bytes = bytes(file);
    String problem = problem(bytes);
    if (!problem.isEmpty()) {
      throw new IOException("can't read " + file + ": " + problem);
    }
    ByteBuffer header = ByteBuffer.wrap(bytes, HEADER, HEADER_BYTES);
    double pixels = (double) header.getInt() * header.getInt();
    int bits = header.get();
    int channels = channels(header.get());
    Heap.check(
        "can't read " + file,
        pixels * channels * ((bits > 8 ? Short.BYTES : 1) + (double) floats * Float.BYTES));
    return decode(file, bytes);
  }

  private static byte[] bytes(Path file) throws IOException {
    byte[] bytes = {};
    long size;
    // Opened once, so that what is read has the size that was looked at.
    try (SeekableByteChannel channel = Files.newByteChannel(file)) {
      size = channel.size();
      if (Heap.fits((double) size)) {
        ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(size, MAX_BYTES));
        while (buffer.hasRemaining() && channel.read(buffer) >= 0) {}
        bytes = Arrays.copyOf(buffer.array(), buffer.position());
      }
    } catch (IOException e) {
      throw new IOException("can't read " + file + ": " + e, e);
    }
    Heap.check("can't read " + file, (double) size);
    return bytes;
  }

  private static Raster decode(Path file, byte[] bytes) throws IOException {
    ImageReader reader = ImageIO.getImageReadersByFormatName("png").next();
    try {
      // Without metadata, which may be small in the file and large in memory.
      reader.setInput(new MemoryCacheImageInputStream(new ByteArrayInputStream(bytes)), true, true);
      return reader.read(0).getRaster();
    } catch (IOException | RuntimeException e) { // Bad data makes ImageIO throw either.
      throw new IOException(
          "can't read " + file + ": " + Excerpt.of(Throwables.getRootCause(e)), e);
    } finally {
      reader.dispose();
    }
  }

  /** Returns what is wrong with a file as far as its chunks tell; "" if nothing is. */
  private static String problem(byte[] bytes) {
    ByteBuffer in = ByteBuffer.wrap(bytes);
    if (in.remaining() < Long.BYTES || in.getLong() != SIGNATURE) {
      return "it is not a PNG file";
    }
    String type = "";
    String problem = "";
    while (!type.equals("IEND") && problem.isEmpty()) {
      // A chunk is a length, a type, so many bytes, and a checksum of the type and the bytes.
      int length = in.remaining() < 12 ? -1 : in.getInt();
      if (length < 0 || length > in.remaining() - 8) {
        return "it is cut short";
      }
      ByteBuffer chunk = in.slice(in.position(), 4 + length);
      in.position(in.position() + 4 + length);
      CRC32 checksum = new CRC32();
      checksum.update(chunk.duplicate());
      if ((int) checksum.getValue() != in.getInt()) {
        return "it is damaged: a checksum is wrong";
      }
      boolean first = type.isEmpty();
      type = US_ASCII.decode(chunk.slice(0, 4)).toString();
      if (first) {
        problem =
            type.equals("IHDR") && length == 13
                ? problemOfHeader(chunk.getInt(4), chunk.getInt(8), chunk.get(13))
                : "it is damaged: its header is missing";
      } else if (type.equals("tRNS")) {
        problem =
            "it must be opaque or have an alpha channel, but one of its colors is transparent";
      }
    }
    return problem;
  }

  private static String problemOfHeader(int width, int height, byte colors) {
    return switch (colors) {
      case GRAY, RGB, GRAY_ALPHA, RGB_ALPHA ->
          (double) width * height * channels(colors) <= Integer.MAX_VALUE
              ? ""
              : "it must have at most 2^31 - 1 values, got %sx%s pixels".formatted(height, width);
      case PALETTE -> "it must be gray or RGB, but it has a palette";
      default -> "it is damaged: it has colors of type " + colors;
    };
  }

  private static int channels(byte colors) {
    return switch (colors) {
      case GRAY -> 1;
      case GRAY_ALPHA -> 2;
      case RGB_ALPHA -> Images.MAX_CHANNELS;
      default -> 3;
    };
  }
}

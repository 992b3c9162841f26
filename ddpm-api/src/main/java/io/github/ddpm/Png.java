package io.github.ddpm;

import static java.nio.charset.StandardCharsets.US_ASCII;

import com.google.common.base.Throwables;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * Reads PNG files. Java decodes them, but without a look at checksums or at how a file ends, so
 * that is done here.
 */
final class Png {
  private static final long SIGNATURE = 0x89504E470D0A1A0AL;

  private Png() {}

  /**
   * Reads a picture without transparency.
   *
   * @return 1 band of gray levels or 3 of RGB as the file has them, at most 2^31 - 1 in all
   * @throws IOException that names the file
   */
  static Raster read(Path file) throws IOException {
    byte[] bytes;
    BufferedImage picture;
    try {
      bytes = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new IOException("can't read " + file + ": " + e, e);
    }
    String problem = problem(bytes);
    if (!problem.isEmpty()) {
      throw new IOException("can't read " + file + ": " + problem);
    }
    try {
      picture = ImageIO.read(new MemoryCacheImageInputStream(new ByteArrayInputStream(bytes)));
    } catch (IOException | RuntimeException e) { // Bad data makes ImageIO throw either.
      throw new IOException("can't read " + file + ": " + Throwables.getRootCause(e), e);
    }
    if (picture == null) {
      throw new IOException("this Java runtime has no PNG reader");
    }
    return picture.getRaster();
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
        problem = "it must be opaque, but one of its colors is transparent";
      }
    }
    return problem;
  }

  private static String problemOfHeader(int width, int height, byte colors) {
    int channels = colors == 0 ? 1 : 3;
    return switch (colors) {
      case 0, 2 ->
          (double) width * height * channels <= Integer.MAX_VALUE
              ? ""
              : "it must have at most 2^31 - 1 values, got %sx%s pixels".formatted(height, width);
      case 3 -> "it must be gray or RGB, but it has a palette";
      case 4, 6 -> "it must be opaque, but it has an alpha channel";
      default -> "it is damaged: it has colors of type " + colors;
    };
  }
}

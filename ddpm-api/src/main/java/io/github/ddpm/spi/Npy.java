package io.github.ddpm.spi;

import com.google.common.base.Strings;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** NumPy's files {@code .npy} (version 1.0) of pictures: a header, then little-endian float32. */
public final class Npy {
  /** Floats that are written at a time. */
  private static final int CHUNK = 1 << 13;

  private Npy() {}

  /**
   * {@return the header of an array [count, height, width, channels]}
   *
   * @param count of pictures, at least 0
   * @param height in pixels, at least 1
   * @param width in pixels, at least 1
   * @param channels at least 1
   */
  public static byte[] header(int count, int height, int width, int channels) {
    String shape =
        String.format(
            Locale.ROOT,
            "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d, %d, %d), }",
            count,
            height,
            width,
            channels);
    // Magic, version and length are 10 bytes; the whole header is a multiple of 64 and ends in a
    // newline.
    int length = (10 + shape.length() + 1 + 63) / 64 * 64 - 10;
    ByteBuffer header = ByteBuffer.allocate(10 + length).order(ByteOrder.LITTLE_ENDIAN);
    header
        .put((byte) 0x93)
        .put("NUMPY".getBytes(StandardCharsets.US_ASCII))
        .put((byte) 1)
        .put((byte) 0);
    header.putShort((short) length);
    header.put((Strings.padEnd(shape, length - 1, ' ') + "\n").getBytes(StandardCharsets.US_ASCII));
    return header.array();
  }

  /**
   * Writes values that follow the header or others.
   *
   * @param values those from the buffer's position to its limit, which stay as they are
   * @param out stays open
   * @throws IOException if {@code out} doesn't take them
   */
  public static void write(FloatBuffer values, OutputStream out) throws IOException {
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    FloatBuffer rest = values.duplicate();
    while (rest.hasRemaining()) {
      int next = Math.min(CHUNK, rest.remaining());
      chunk.asFloatBuffer().put(rest.slice().limit(next));
      out.write(chunk.array(), 0, next * Float.BYTES);
      rest.position(rest.position() + next);
    }
  }
}

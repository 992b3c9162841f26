package io.github.ddpm.spark;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;

/** Vectors as arrays, which can be sent, unlike buffers. */
final class Bytes {
  private Bytes() {}

  static byte[] of(ByteBuffer vector) {
    byte[] bytes = new byte[vector.remaining()];
    vector.duplicate().get(bytes);
    return bytes;
  }

  static byte[][] of(List<ByteBuffer> vectors) {
    return vectors.stream().map(Bytes::of).toArray(byte[][]::new);
  }

  static List<ByteBuffer> buffers(byte[][] vectors) {
    return Arrays.stream(vectors).map(ByteBuffer::wrap).toList();
  }
}

package io.github.ddpm.tf.files;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/**
 * Room for an array, used again for the next one, so that going through the arrays of a large file
 * leaves no garbage. It is not thread-safe.
 */
final class Scratch {
  private FloatBuffer floats = FloatBuffer.allocate(0);
  private ByteBuffer bytes = ByteBuffer.allocate(0);

  /** Returns room for numbers; what was asked for before is gone. */
  FloatBuffer floats(int count) {
    if (floats.capacity() < count) {
      floats = FloatBuffer.allocate(count);
    }
    return floats.slice(0, count);
  }

  /** Returns room for little-endian bytes; what was asked for before is gone. */
  ByteBuffer bytes(int count) {
    if (bytes.capacity() < count) {
      bytes = ByteBuffer.allocate(count);
    }
    return bytes.slice(0, count).order(ByteOrder.LITTLE_ENDIAN);
  }
}

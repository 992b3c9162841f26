package io.github.ddpm.tf.files;

import com.google.common.primitives.ImmutableLongArray;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.ndarray.Shape;

/**
 * An array in a file, whose place there has been checked.
 *
 * @param strides how many numbers each axis goes on by from one index to the next
 * @param begin of its first number in the file
 */
record StoredArray(
    OpenFile file, String name, DType type, Shape shape, ImmutableLongArray strides, long begin) {
  /** Numbers of an array that fit into 2 GiB as floats. */
  static final int MAX_COUNT = Integer.MAX_VALUE / Float.BYTES;

  /** What is read at once. */
  private static final int CHUNK_BYTES = 1 << 20;

  /** Returns an array whose numbers follow each other, the last axis first. */
  static StoredArray rowMajor(OpenFile file, String name, DType type, Shape shape, long begin) {
    long[] strides = new long[shape.numDimensions()];
    long next = 1;
    for (int axis = strides.length - 1; axis >= 0; axis--) {
      strides[axis] = next;
      next *= shape.get(axis);
    }
    return new StoredArray(file, name, type, shape, ImmutableLongArray.copyOf(strides), begin);
  }

  /** Returns what messages about an array of a file begin with. */
  static String where(OpenFile file, String name) {
    return file.path() + ": array " + Excerpt.of(name);
  }

  /**
   * Reads all arrays of a file.
   *
   * @throws IOException if they don't fit into memory, or the file is no longer what it was
   */
  static Map<String, Weight> readAll(OpenFile file, Map<String, StoredArray> arrays)
      throws IOException {
    double numbers =
        arrays.values().stream().mapToDouble(array -> (double) array.shape().size()).sum();
    Heap.check(file.path(), Float.BYTES * numbers);
    Map<String, Weight> weights = new LinkedHashMap<>();
    for (StoredArray array : arrays.values()) {
      weights.put(array.name(), array.read(new Scratch()));
    }
    return weights;
  }

  /**
   * Reads it.
   *
   * @param scratch holds the result, until it is used again
   * @throws IOException if it doesn't fit into memory, or the file is no longer what it was
   */
  Weight read(Scratch scratch) throws IOException {
    int count = (int) shape.size();
    int span = span();
    boolean inOrder = isRowMajor();
    Heap.check(where(file, name), Float.BYTES * ((double) count + (inOrder ? 0 : span)));
    FloatBuffer values = scratch.floats(count);
    if (inOrder) {
      readNumbers(scratch, values);
    } else {
      FloatBuffer all = FloatBuffer.allocate(span);
      readNumbers(scratch, all);
      gather(all, values);
    }
    return new Weight(shape, values.flip());
  }

  /** Returns how many bytes its numbers take. */
  long bytes() {
    return shape.size() * type.bytes();
  }

  /** Returns how many numbers of the file there are from its first to its last. */
  private int span() {
    if (shape.size() == 0) {
      return 0;
    }
    long last = 0;
    for (int axis = 0; axis < shape.numDimensions(); axis++) {
      last += (shape.get(axis) - 1) * strides.get(axis);
    }
    return (int) last + 1;
  }

  private boolean isRowMajor() {
    long next = 1;
    for (int axis = shape.numDimensions() - 1; axis >= 0; axis--) {
      // The stride of an axis of one is never gone by.
      if (shape.get(axis) != 1 && strides.get(axis) != next) {
        return shape.size() == 0;
      }
      next *= shape.get(axis);
    }
    return true;
  }

  /** Fills a buffer with numbers that follow each other. */
  private void readNumbers(Scratch scratch, FloatBuffer into) throws IOException {
    long end = begin + (long) into.remaining() * type.bytes();
    for (long at = begin; at < end; at += CHUNK_BYTES) {
      ByteBuffer chunk = scratch.bytes((int) Math.min(CHUNK_BYTES, end - at));
      type.read(file.read(at, chunk), into);
    }
  }

  /** Picks this array's numbers, the last axis first, from all that are in between. */
  private void gather(FloatBuffer from, FloatBuffer into) {
    long[] index = new long[shape.numDimensions()];
    int at = 0;
    while (into.hasRemaining()) {
      into.put(from.get(at));
      int axis = index.length - 1;
      while (axis >= 0 && ++index[axis] == shape.get(axis)) {
        at -= (int) ((index[axis] - 1) * strides.get(axis));
        index[axis--] = 0;
      }
      if (axis >= 0) {
        at += (int) strides.get(axis);
      }
    }
  }
}

package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.FloatBuffer;
import java.util.function.IntFunction;
import org.tensorflow.ndarray.Shape;

/**
 * Numbers of a shape, on this side of TensorFlow.
 *
 * @param shape of the array
 * @param values all of them in row-major order, from position 0 to limit; not to be written to
 */
public record Weight(Shape shape, FloatBuffer values) {
  /**
   * Checks that they belong together.
   *
   * @throws IllegalArgumentException if there are more or fewer values than the shape has
   */
  public Weight {
    checkArgument(
        shape.size() == values.remaining(),
        "shape %s has %s values, got %s",
        shape,
        shape.size(),
        values.remaining());
  }

  /**
   * Returns a convolution as PyTorch has it, [out, in, height, width], in TensorFlow's order, and
   * anything else unchanged.
   *
   * @param room answers where the result goes if it is another one than this, for so many numbers
   */
  Weight toTensorFlow(IntFunction<FloatBuffer> room) {
    return shape.numDimensions() == 4 ? transposed(room, 2, 3, 1, 0) : this;
  }

  /**
   * Returns a convolution as TensorFlow has it, [height, width, in, out], in PyTorch's order, and
   * anything else unchanged.
   */
  public Weight toPyTorch() {
    return shape.numDimensions() == 4 ? transposed(3, 2, 0, 1) : this;
  }

  /** Returns the shape that PyTorch has for a weight of this shape in TensorFlow. */
  static Shape inPyTorch(Shape shape) {
    return shape.numDimensions() == 4
        ? Shape.of(shape.get(3), shape.get(2), shape.get(0), shape.get(1))
        : shape;
  }

  /**
   * Returns this with other axes: axis i of the result is axis {@code axes[i]} of this, for four
   * axes.
   */
  public Weight transposed(int... axes) {
    return transposed(FloatBuffer::allocate, axes);
  }

  private Weight transposed(IntFunction<FloatBuffer> room, int... axes) {
    long[] size = new long[4];
    int[] stride = new int[4];
    int[] strides = new int[4];
    int next = 1;
    for (int axis = 3; axis >= 0; axis--) {
      strides[axis] = next;
      next *= (int) shape.get(axis);
    }
    for (int axis = 0; axis < 4; axis++) {
      size[axis] = shape.get(axes[axis]);
      stride[axis] = strides[axes[axis]];
    }
    FloatBuffer result = room.apply(values.remaining());
    for (int a = 0; a < size[0]; a++) {
      for (int b = 0; b < size[1]; b++) {
        for (int c = 0; c < size[2]; c++) {
          int from = a * stride[0] + b * stride[1] + c * stride[2];
          for (int d = 0; d < size[3]; d++) {
            result.put(values.get(from + d * stride[3]));
          }
        }
      }
    }
    return new Weight(Shape.of(size), result.flip());
  }
}

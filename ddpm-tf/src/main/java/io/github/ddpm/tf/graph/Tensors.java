package io.github.ddpm.tf.graph;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/** Shapes and types of images in a graph: [n, height, width, channels], all but n known. */
final class Tensors {
  private Tensors() {}

  static long channels(Operand<?> images) {
    return images.shape().get(3);
  }

  /**
   * Shapes a vector for each image, [n, channels] or [1, channels], so that it can be added to [n,
   * h, w, channels].
   */
  static Operand<TFloat32> perImage(Ops tf, Operand<TFloat32> vector, long channels) {
    return tf.reshape(vector, tf.constant(new long[] {-1, 1, 1, channels}));
  }

  /** Returns the same numbers in another type. */
  static <T extends TFloating> Operand<T> cast(
      Ops tf, Operand<? extends TFloating> x, Class<T> type) {
    if (x.type() == type) {
      @SuppressWarnings("unchecked") // it was looked at
      Operand<T> same = (Operand<T>) x;
      return same;
    }
    return tf.dtypes.cast(x, type);
  }
}

package io.github.ddpm.tf.graph;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/** Shapes and types of images in a graph: [n, height, width, channels], all but n known. */
final class Tensors {
  private Tensors() {}

  /**
   * Tells whether our operations compute images of a type, which TensorFlow's do otherwise: those
   * of float16 are for GPUs. A network of them still has operations of ours beside its images, so
   * it runs as it is built, in which TensorFlow merges no residual into a convolution; see {@link
   * TensorFlowRuntime#runsAtOnce}.
   */
  static boolean haveKernels(Operand<?> images) {
    return TensorFlowRuntime.hasKernels() && images.type() != TFloat16.class;
  }

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

  /** Averages each two by two pixels; height and width are even. */
  static <T extends TFloating> Operand<T> halved(Ops tf, Operand<T> images) {
    Operand<TFloat32> x = cast(tf, images, TFloat32.class);
    List<Long> two = List.of(1L, 2L, 2L, 1L);
    return cast(tf, tf.nn.avgPool(x, two, two, "VALID"), images.type());
  }

  /** Repeats each pixel two by two. */
  static <T extends TFloating> Operand<T> doubled(Ops tf, Operand<T> images) {
    int height = (int) (2 * images.shape().get(1));
    int width = (int) (2 * images.shape().get(2));
    return tf.image.resizeNearestNeighbor(images, tf.constant(new int[] {height, width}));
  }
}

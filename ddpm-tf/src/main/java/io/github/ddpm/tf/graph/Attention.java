package io.github.ddpm.tf.graph;

import java.util.List;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/**
 * Attention over the pixels of images (Vaswani et al. 2017, eq. 1): {@code softmax(query·keyᵀ / √d)
 * value}, in heads of d channels. All is computed in float32 whatever the images are.
 *
 * @param heads divides the channels
 */
record Attention(int heads) {
  /** Our operation; its gradient is {@link #gradient}. */
  static final String KERNEL = "DdpmAttention";

  /** Returns what each pixel attends to; all are [n, height, width, channels], all but n known. */
  <T extends TFloating> Operand<T> apply(
      Ops tf, Operand<T> query, Operand<T> key, Operand<T> value) {
    return Tensors.haveKernels(query)
        ? byKernel(tf, query, key, value)
        : composed(tf, query, key, value);
  }

  <T extends TFloating> Operand<T> byKernel(
      Ops tf, Operand<T> query, Operand<T> key, Operand<T> value) {
    return Kernels.builder(tf, KERNEL)
        .addInput(query.asOutput())
        .addInput(key.asOutput())
        .addInput(value.asOutput())
        .setAttr("heads", heads)
        .build()
        .<T>output(0);
  }

  /** Returns the gradient of {@link #byKernel}; see {@link Convolution#gradient}. */
  static List<Operand<?>> gradient(Ops tf, GraphOperation op, List<Output<?>> gradients) {
    OperationBuilder builder = Kernels.builder(tf, "DdpmAttentionGrad");
    for (int i = 0; i < 3; i++) {
      builder.addInput(op.input(i));
    }
    Operation gradient =
        builder
            .addInput(gradients.get(0))
            .setAttr("heads", op.attributes().getAttrInt("heads"))
            .build();
    return List.of(gradient.output(0), gradient.output(1), gradient.output(2));
  }

  <T extends TFloating> Operand<T> composed(
      Ops tf, Operand<T> query, Operand<T> key, Operand<T> value) {
    Operand<TFloat32> scale =
        tf.constant((float) (1 / Math.sqrt((double) Tensors.channels(query) / heads)));
    Operand<TFloat32> scores =
        tf.train.batchMatMul(
            tf.math.mul(split(tf, query), scale),
            split(tf, key),
            TFloat32.class,
            BatchMatMul.adjY(true));
    Operand<TFloat32> mixed =
        tf.train.batchMatMul(tf.nn.softmax(scores), split(tf, value), TFloat32.class);
    Shape shape = query.shape();
    Operand<TFloat32> merged =
        tf.reshape(
            tf.linalg.transpose(mixed, tf.constant(new int[] {0, 2, 1, 3})),
            tf.constant(new long[] {-1, shape.get(1), shape.get(2), shape.get(3)}));
    return Tensors.cast(tf, merged, query.type());
  }

  /** Turns [n, height, width, channels] into [n, heads, pixels, channels/heads]. */
  private Operand<TFloat32> split(Ops tf, Operand<? extends TFloating> images) {
    Shape shape = images.shape();
    long[] split = {-1, shape.get(1) * shape.get(2), heads, shape.get(3) / heads};
    return tf.linalg.transpose(
        tf.reshape(Tensors.cast(tf, images, TFloat32.class), tf.constant(split)),
        tf.constant(new int[] {0, 2, 1, 3}));
  }
}

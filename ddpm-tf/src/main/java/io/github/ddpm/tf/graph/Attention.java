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
 * value}, in heads of d channels. Softmax is computed in float32 whatever the images are.
 *
 * @param heads divides the channels
 */
record Attention(int heads) {
  /** Our operation; its gradient is {@link #gradient}. */
  static final String KERNEL = "DdpmAttention";

  /** Returns what each pixel attends to; all are [n, height, width, channels], all but n known. */
  <T extends TFloating> Operand<T> apply(
      Ops tf, Operand<T> query, Operand<T> key, Operand<T> value) {
    return TensorFlowRuntime.hasKernels()
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
    Class<T> type = query.type();
    Operand<TFloat32> scale =
        tf.constant((float) (1 / Math.sqrt((double) Tensors.channels(query) / heads)));
    Operand<T> scores =
        tf.train.batchMatMul(
            tf.math.mul(split(tf, query), Tensors.cast(tf, scale, type)),
            split(tf, key),
            type,
            BatchMatMul.adjY(true));
    Operand<T> shares =
        Tensors.cast(tf, tf.nn.softmax(Tensors.cast(tf, scores, TFloat32.class)), type);
    Operand<T> mixed = tf.train.batchMatMul(shares, split(tf, value), type);
    Shape shape = query.shape();
    return tf.reshape(
        tf.linalg.transpose(mixed, tf.constant(new int[] {0, 2, 1, 3})),
        tf.constant(new long[] {-1, shape.get(1), shape.get(2), shape.get(3)}));
  }

  /** Turns [n, height, width, channels] into [n, heads, pixels, channels/heads]. */
  private <T extends TFloating> Operand<T> split(Ops tf, Operand<T> images) {
    Shape shape = images.shape();
    long[] split = {-1, shape.get(1) * shape.get(2), heads, shape.get(3) / heads};
    return tf.linalg.transpose(
        tf.reshape(images, tf.constant(split)), tf.constant(new int[] {0, 2, 1, 3}));
  }
}

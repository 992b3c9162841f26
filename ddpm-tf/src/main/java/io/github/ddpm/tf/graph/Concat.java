package io.github.ddpm.tf.graph;

import java.util.List;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;

/**
 * The channels of two images, one after the other: [n, h, w, a] and [n, h, w, b] to [n, h, w, a +
 * b].
 */
final class Concat {
  /** Our operation; its gradient is {@link #gradient}. */
  static final String KERNEL = "DdpmConcat";

  private Concat() {}

  static <T extends TFloating> Operand<T> apply(Ops tf, Operand<T> a, Operand<T> b) {
    return Tensors.haveKernels(a)
        ? Kernels.builder(tf, KERNEL)
            .addInput(a.asOutput())
            .addInput(b.asOutput())
            .setAttr("first", Tensors.channels(a))
            .build()
            .<T>output(0)
        : tf.concat(List.of(a, b), tf.constant(3));
  }

  /** Returns the gradient of our operation; see {@link Convolution#gradient}. */
  static List<Operand<?>> gradient(Ops tf, GraphOperation op, List<Output<?>> gradients) {
    Operation gradient =
        Kernels.builder(tf, "DdpmConcatGrad")
            .addInput(gradients.get(0))
            .setAttr("first", op.attributes().getAttrInt("first"))
            .build();
    return List.of(gradient.output(0), gradient.output(1));
  }
}

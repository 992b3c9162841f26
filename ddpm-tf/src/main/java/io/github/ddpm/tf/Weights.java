package io.github.ddpm.tf;

import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;

/**
 * Where a network's graph gets its weights from: variables while training, constants while
 * sampling.
 */
@FunctionalInterface
public interface Weights {
  /**
   * The weight with that name. Called once for each weight, in an order that depends on the
   * configuration alone.
   *
   * @param name as diffusers names it, such as {@code down_blocks.0.resnets.0.conv1.weight}
   * @param shape a linear weight is [out, in]; a convolution is [height, width, in, out],
   *     TensorFlow's order
   * @return float32 of that shape
   */
  Operand<TFloat32> get(String name, Shape shape);
}

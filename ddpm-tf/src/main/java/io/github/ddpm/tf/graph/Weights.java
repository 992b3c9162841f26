package io.github.ddpm.tf.graph;

import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;

/** Where a network's graph gets its weights from; {@link UNet#UNet} says what is asked for. */
@FunctionalInterface
interface Weights {
  Operand<TFloat32> get(String name, Shape shape);
}

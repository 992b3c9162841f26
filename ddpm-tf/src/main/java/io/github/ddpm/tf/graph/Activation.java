package io.github.ddpm.tf.graph;

import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * What follows the normalizations of a residual block, and what it learns of timestep and label
 * goes through: a function of each value ({@code act_fn}). Everywhere else the network has SiLU.
 */
public enum Activation {
  /** x·sigmoid(x) (Elfwing, Uchibe and Doya 2018). It is the fastest: our operations have it. */
  SILU,

  /** x·tanh(ln(1 + eˣ)) (Misra 2020). */
  MISH,

  /** x·Φ(x) with the normal distribution itself (Hendrycks and Gimpel 2016), not by tanh. */
  GELU,

  /** max(x, 0). */
  RELU;

  Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
    return switch (this) {
      case SILU -> tf.math.mul(x, tf.math.sigmoid(x));
      case MISH -> tf.math.mul(x, tf.math.tanh(tf.math.softplus(x)));
      case GELU ->
          tf.math.mul(
              tf.math.mul(x, tf.constant(0.5f)),
              tf.math.add(
                  tf.math.erf(tf.math.mul(x, tf.constant((float) Math.sqrt(0.5)))),
                  tf.constant(1f)));
      case RELU -> tf.nn.relu(x);
    };
  }
}

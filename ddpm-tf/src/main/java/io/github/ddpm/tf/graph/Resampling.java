package io.github.ddpm.tf.graph;

/**
 * How a level of a {@link UNet} is made half as large on the way down, or doubled on the way up.
 */
public enum Resampling {
  /** By a convolution alone (Ho et al. 2020): in steps of 2, or after pixels are repeated. */
  CONV,

  /**
   * By a residual block of its own, inside of which pixels are averaged or repeated (Dhariwal and
   * Nichol 2021, section 3).
   */
  RESNET
}

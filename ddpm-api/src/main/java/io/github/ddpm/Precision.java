package io.github.ddpm;

/**
 * The numbers that hidden images and the products with weights are computed in. Weights at rest,
 * statistics of normalizations, softmax, losses, optimizers and the samplers' own arithmetic are
 * float32 in all.
 */
public enum Precision {
  /** Numbers of 24 significant bits: the reference. */
  FLOAT32,

  /**
   * Numbers of 8 significant bits with float32's range: they take half the memory for hidden
   * images, and are the fastest on CPUs with AVX512-BF16; others multiply what is stored in 8 bits
   * as float32.
   */
  BFLOAT16
}

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
  BFLOAT16,

  /**
   * Numbers of 11 significant bits up to 65504: for GPUs that multiply them several times as fast
   * as float32. Training scales the loss, because small gradients would be rounded to 0. A CPU
   * convolves in float32 and rounds what comes out, which is slower than either of the others.
   */
  FLOAT16
}

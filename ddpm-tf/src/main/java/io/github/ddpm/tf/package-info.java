/**
 * Diffusion on TensorFlow Java: the U-Net, its training, and sampling.
 *
 * <p>{@link io.github.ddpm.tf.Trainer} is where a user starts; {@link
 * io.github.ddpm.Predictor#load} finds this module by itself. An image's way from noise: {@code
 * Sampler} (the request) → {@code NoiseScheduler} (the rows) → {@code TfPredictor} (one run of the
 * graph per row) → {@code UNet} and {@code SchedulerOps} (what the graph computes).
 *
 * <p>Graph code is functions from operands to operands. Weights keep diffusers' names everywhere;
 * in memory a convolution is [height, width, in, out], on disk [out, in, height, width]. In
 * training all weights are one variable, so that AdamW and the moving average are a handful of
 * operations; for sampling they are constants of the graph, as a teacher's are in training, or, in
 * a large network, fed.
 *
 * <p>What in TensorFlow Java 1.1.0 the code works around: gradients through {@code square} of a
 * variable bring the process down, so squares are products; the gradient of a gather adds up in an
 * order of its own, so class embeddings are products with one-hot rows; {@code applyAdam} adds ε
 * before it corrects the second moment, so ε is scaled to PyTorch's.
 */
package io.github.ddpm.tf;

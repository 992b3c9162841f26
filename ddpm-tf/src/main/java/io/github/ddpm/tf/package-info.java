/**
 * Diffusion on TensorFlow Java: training, and what stands behind it.
 *
 * <p>{@link io.github.ddpm.tf.Trainer} is where a user starts; {@link
 * io.github.ddpm.Predictor#load} finds this module by itself. These are the rooms of the house,
 * each of which knows only those after it:
 *
 * <ol>
 *   <li>{@code io.github.ddpm.tf}: training. {@code Trainer} is the face of {@code TrainingGraph}
 *       (noise, loss and optimizer), {@code TrainingFolder} (what is saved) and {@code Batches}.
 *   <li>{@code tf.sampling}: {@code TfPredictor}, of which each row of a sampler's table is one run
 *       of {@code SamplingGraph}.
 *   <li>{@code tf.net}: downloads, and models of a hub.
 *   <li>{@code tf.files}: the folders of diffusers. A network asks a {@code WeightSource} for its
 *       weights as it is built, so nobody else has to know which it has.
 *   <li>{@link io.github.ddpm.tf.graph}: the network and the arithmetic of diffusion as graph
 *       functions.
 * </ol>
 *
 * {@link io.github.ddpm.tf.data}, the pictures to train on, stands beside them.
 *
 * <p>An image's way from noise is this: {@code Sampler} (the request) → {@code NoiseScheduler} (the
 * rows) → {@code TfPredictor} (one run of the graph per row) → {@code UNet} and {@code
 * SchedulerOps} (what the graph computes).
 *
 * <p>Weights keep diffusers' names everywhere; in memory a convolution is [height, width, in, out],
 * on disk [out, in, height, width]. In training all weights are one variable, so that AdamW and the
 * moving average are a handful of operations; for sampling they are constants of the graph, as a
 * teacher's are in training, or, in a large network, fed.
 */
package io.github.ddpm.tf;

/** Sampling on TensorFlow: what {@link io.github.ddpm.Predictor#load} opens. */
package io.github.ddpm.tf.sampling;

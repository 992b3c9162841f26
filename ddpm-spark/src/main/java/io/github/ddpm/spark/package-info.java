/**
 * Training and sampling on the machines of an Apache Spark cluster, with the results of one
 * machine: a picture is a function of seed and index, and a step of training is a sum of parts, so
 * it doesn't matter which executor computes what, or how often.
 *
 * <p>{@link io.github.ddpm.spark.SparkSampling} draws pictures as rows of a data frame, {@link
 * io.github.ddpm.spark.SparkImages} reads pictures out of such rows, and {@link
 * io.github.ddpm.spark.SparkTraining} spreads the steps of a {@link io.github.ddpm.tf.Trainer}.
 */
package io.github.ddpm.spark;

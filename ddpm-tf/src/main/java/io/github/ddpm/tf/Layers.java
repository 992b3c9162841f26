package io.github.ddpm.tf;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.linalg.MatMul;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The layers of the U-Net as graph functions. Images are [n, height, width, channels], all but n
 * known when the graph is built; vectors are [n, features].
 */
final class Layers {
  /**
   * Wavelengths of the timestep embedding run up to 2π times this (Vaswani et al. 2017, section
   * 3.5).
   */
  private static final double MAX_PERIOD = 10_000;

  private Layers() {}

  /** A 3x3 convolution that keeps the size. */
  static Operand<TFloat32> conv3x3(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, long channels) {
    return conv(tf, weights, name, x, 3, channels, 1, "SAME");
  }

  /** A 1x1 convolution. */
  static Operand<TFloat32> conv1x1(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, long channels) {
    return conv(tf, weights, name, x, 1, channels, 1, "SAME");
  }

  /**
   * Halves height and width, which are even, by a 3x3 convolution.
   *
   * @param padding 0 pads below and to the right only, which is what TensorFlow's SAME does here; 1
   *     pads all around
   */
  static Operand<TFloat32> downsample(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, int padding) {
    long channels = channels(x);
    if (padding == 0) {
      return conv(tf, weights, name, x, 3, channels, 2, "SAME");
    }
    Operand<TFloat32> padded =
        tf.pad(
            x,
            tf.constant(new int[][] {{0, 0}, {padding, padding}, {padding, padding}, {0, 0}}),
            tf.constant(0f));
    return conv(tf, weights, name, padded, 3, channels, 2, "VALID");
  }

  /** Doubles height and width by repeating pixels, then a 3x3 convolution. */
  static Operand<TFloat32> upsample(Ops tf, Weights weights, String name, Operand<TFloat32> x) {
    int height = (int) (2 * x.shape().get(1));
    int width = (int) (2 * x.shape().get(2));
    Operand<TFloat32> larger =
        tf.image.resizeNearestNeighbor(x, tf.constant(new int[] {height, width}));
    return conv3x3(tf, weights, name, larger, channels(x));
  }

  /** {@code x·weightᵀ + bias}; the weight is [out, in], as in PyTorch. */
  static Operand<TFloat32> linear(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, long features) {
    long in = x.shape().get(x.shape().numDimensions() - 1);
    Operand<TFloat32> weight = weights.get(name + ".weight", Shape.of(features, in));
    Operand<TFloat32> bias = weights.get(name + ".bias", Shape.of(features));
    return tf.math.add(tf.linalg.matMul(x, weight, MatMul.transposeB(true)), bias);
  }

  /** x·sigmoid(x). */
  static Operand<TFloat32> silu(Ops tf, Operand<TFloat32> x) {
    return tf.math.mul(x, tf.math.sigmoid(x));
  }

  /**
   * Group normalization (Wu and He 2018): each group of channels of an image has mean 0 and
   * variance 1, then each channel its own scale and shift.
   *
   * <p>Mean, variance, scale and shift are folded into one multiplication and one addition per
   * value: with statistics of [n, channels] numbers, only those two and the two means pass over the
   * whole image.
   */
  static Operand<TFloat32> groupNorm(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, int groups, double epsilon) {
    long channels = channels(x);
    Operand<TFloat32> gamma = weights.get(name + ".weight", Shape.of(channels));
    Operand<TFloat32> beta = weights.get(name + ".bias", Shape.of(channels));
    Operand<TInt32> pixels = tf.constant(new int[] {1, 2});
    Operand<TFloat32> mean = groupMean(tf, tf.math.mean(x, pixels), groups, channels);
    Operand<TFloat32> meanSquare =
        groupMean(tf, tf.math.mean(tf.math.mul(x, x), pixels), groups, channels);
    Operand<TFloat32> variance =
        tf.math.maximum(tf.math.sub(meanSquare, tf.math.mul(mean, mean)), tf.constant(0f));
    Operand<TFloat32> inverse = tf.math.rsqrt(tf.math.add(variance, tf.constant((float) epsilon)));
    Operand<TFloat32> scale = tf.math.mul(perChannel(tf, inverse, groups, channels), gamma);
    Operand<TFloat32> shift =
        tf.math.sub(beta, tf.math.mul(perChannel(tf, mean, groups, channels), scale));
    return tf.math.add(
        tf.math.mul(x, perImage(tf, scale, channels)), perImage(tf, shift, channels));
  }

  /**
   * Self-attention over the pixels with a residual connection (Vaswani et al. 2017, eq. 1).
   *
   * @param heads divides the channels
   * @param groups of the normalization before it; 0 for none
   */
  static Operand<TFloat32> attention(
      Ops tf,
      Weights weights,
      String name,
      Operand<TFloat32> x,
      int heads,
      int groups,
      double epsilon) {
    long channels = channels(x);
    long pixels = x.shape().get(1) * x.shape().get(2);
    Operand<TFloat32> normed =
        groups == 0 ? x : groupNorm(tf, weights, name + ".group_norm", x, groups, epsilon);
    Operand<TFloat32> rows = tf.reshape(normed, tf.constant(new long[] {-1, channels}));
    Operand<TFloat32> query =
        heads(tf, linear(tf, weights, name + ".to_q", rows, channels), pixels, heads);
    Operand<TFloat32> key =
        heads(tf, linear(tf, weights, name + ".to_k", rows, channels), pixels, heads);
    Operand<TFloat32> value =
        heads(tf, linear(tf, weights, name + ".to_v", rows, channels), pixels, heads);
    float scale = (float) (1 / Math.sqrt((double) channels / heads));
    Operand<TFloat32> scores =
        tf.train.batchMatMul(
            tf.math.mul(query, tf.constant(scale)), key, TFloat32.class, BatchMatMul.adjY(true));
    Operand<TFloat32> mixed = tf.train.batchMatMul(tf.nn.softmax(scores), value, TFloat32.class);
    Operand<TFloat32> joined =
        tf.reshape(
            tf.linalg.transpose(mixed, tf.constant(new int[] {0, 2, 1, 3})),
            tf.constant(new long[] {-1, channels}));
    Operand<TFloat32> out = linear(tf, weights, name + ".to_out.0", joined, channels);
    return tf.math.add(x, tf.reshape(out, withoutCount(tf, x)));
  }

  /**
   * Sines and cosines of the timestep at geometrically spaced frequencies (Vaswani et al. 2017,
   * section 3.5; Ho et al. 2020, appendix B).
   *
   * @param timesteps [n] or [1]
   * @param size number of features, even
   * @param cosineFirst diffusers' {@code flip_sin_to_cos}
   * @param frequencyShift diffusers' {@code freq_shift}: 0 stops short of the lowest frequency, 1
   *     includes it
   * @return [n, size] or [1, size]
   */
  static Operand<TFloat32> timestepEmbedding(
      Ops tf, Operand<TFloat32> timesteps, int size, boolean cosineFirst, double frequencyShift) {
    float[] frequencies = new float[size / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] =
          (float) Math.exp(-Math.log(MAX_PERIOD) * i / (frequencies.length - frequencyShift));
    }
    Operand<TFloat32> angles =
        tf.math.mul(tf.expandDims(timesteps, tf.constant(1)), tf.constant(frequencies));
    Operand<TFloat32> sine = tf.math.sin(angles);
    Operand<TFloat32> cosine = tf.math.cos(angles);
    return tf.concat(cosineFirst ? List.of(cosine, sine) : List.of(sine, cosine), tf.constant(1));
  }

  /**
   * A row of a table for each label. A product with a one-hot matrix, because the gradient of a
   * gather adds up in an order of its own, and training must be repeatable.
   *
   * @param labels [n], each in [0, count)
   */
  static Operand<TFloat32> embedding(
      Ops tf, Weights weights, String name, Operand<TInt32> labels, int count, long features) {
    Operand<TFloat32> table = weights.get(name + ".weight", Shape.of(count, features));
    return tf.linalg.matMul(
        tf.oneHot(labels, tf.constant(count), tf.constant(1f), tf.constant(0f)), table);
  }

  /**
   * A vector for each image, [n, channels] or [1, channels], shaped so that it can be added to [n,
   * h, w, channels].
   */
  static Operand<TFloat32> perImage(Ops tf, Operand<TFloat32> vector, long channels) {
    return tf.reshape(vector, tf.constant(new long[] {-1, 1, 1, channels}));
  }

  static long channels(Operand<TFloat32> x) {
    return x.shape().get(3);
  }

  private static Operand<TFloat32> conv(
      Ops tf,
      Weights weights,
      String name,
      Operand<TFloat32> x,
      long kernel,
      long channels,
      long stride,
      String padding) {
    Operand<TFloat32> weight =
        weights.get(name + ".weight", Shape.of(kernel, kernel, channels(x), channels));
    Operand<TFloat32> bias = weights.get(name + ".bias", Shape.of(channels));
    return tf.nn.biasAdd(tf.nn.conv2d(x, weight, List.of(1L, stride, stride, 1L), padding), bias);
  }

  /** The mean over the channels of each group: [n, channels] to [n, groups, 1]. */
  private static Operand<TFloat32> groupMean(
      Ops tf, Operand<TFloat32> channelMean, int groups, long channels) {
    Operand<TFloat32> grouped =
        tf.reshape(channelMean, tf.constant(new long[] {-1, groups, channels / groups}));
    return tf.expandDims(tf.math.mean(grouped, tf.constant(2)), tf.constant(2));
  }

  /** Each group's value for each of its channels: [n, groups, 1] to [n, channels]. */
  private static Operand<TFloat32> perChannel(
      Ops tf, Operand<TFloat32> perGroup, int groups, long channels) {
    Operand<TFloat32> repeated =
        tf.math.mul(
            perGroup, tf.ones(tf.constant(new long[] {1, 1, channels / groups}), TFloat32.class));
    return tf.reshape(repeated, tf.constant(new long[] {-1, channels}));
  }

  /** [n·pixels, channels] to [n, heads, pixels, channels/heads]. */
  private static Operand<TFloat32> heads(Ops tf, Operand<TFloat32> rows, long pixels, int heads) {
    long channels = rows.shape().get(1);
    Operand<TFloat32> split =
        tf.reshape(rows, tf.constant(new long[] {-1, pixels, heads, channels / heads}));
    return tf.linalg.transpose(split, tf.constant(new int[] {0, 2, 1, 3}));
  }

  private static Operand<TInt32> withoutCount(Ops tf, Operand<TFloat32> x) {
    int[] shape = new int[x.shape().numDimensions()];
    shape[0] = -1;
    for (int i = 1; i < shape.length; i++) {
      shape[i] = (int) x.shape().get(i);
    }
    return tf.constant(shape);
  }
}

package io.github.ddpm.tf;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.linalg.MatMul;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * The layers of the U-Net as graph functions. Images are [n, height, width, channels], all but n
 * known when the graph is built; vectors are [n, features].
 *
 * <p>The type of the images decides the precision: weights, which are float32, are rounded to it
 * where they meet them. Softmax is float32 whatever the images are.
 */
final class Layers {
  /**
   * Wavelengths of the timestep embedding run up to 2π times this (Vaswani et al. 2017, section
   * 3.5).
   */
  private static final double MAX_PERIOD = 10_000;

  private Layers() {}

  /** A 3x3 convolution that keeps the size. */
  static <T extends TFloating> Operand<T> conv3x3(
      Ops tf, Weights weights, String name, Operand<T> x, long channels) {
    return conv(tf, weights, name, x, 3, channels, 1, "SAME");
  }

  /** A 1x1 convolution. */
  static <T extends TFloating> Operand<T> conv1x1(
      Ops tf, Weights weights, String name, Operand<T> x, long channels) {
    return conv(tf, weights, name, x, 1, channels, 1, "SAME");
  }

  /**
   * Halves height and width, which are even, by a 3x3 convolution.
   *
   * @param padding 0 pads below and to the right only, which is what TensorFlow's SAME does here; 1
   *     pads all around
   */
  static <T extends TFloating> Operand<T> downsample(
      Ops tf, Weights weights, String name, Operand<T> x, int padding) {
    long channels = channels(x);
    if (padding == 0) {
      return conv(tf, weights, name, x, 3, channels, 2, "SAME");
    }
    Operand<T> padded =
        tf.pad(
            x,
            tf.constant(new int[][] {{0, 0}, {padding, padding}, {padding, padding}, {0, 0}}),
            cast(tf, tf.constant(0f), x.type()));
    return conv(tf, weights, name, padded, 3, channels, 2, "VALID");
  }

  /** Doubles height and width by repeating pixels, then a 3x3 convolution. */
  static <T extends TFloating> Operand<T> upsample(
      Ops tf, Weights weights, String name, Operand<T> x) {
    int height = (int) (2 * x.shape().get(1));
    int width = (int) (2 * x.shape().get(2));
    Operand<T> larger = tf.image.resizeNearestNeighbor(x, tf.constant(new int[] {height, width}));
    return conv3x3(tf, weights, name, larger, channels(x));
  }

  /** {@code x·weightᵀ + bias}; the weight is [out, in], as in PyTorch. */
  static <T extends TFloating> Operand<T> linear(
      Ops tf, Weights weights, String name, Operand<T> x, long features) {
    long in = x.shape().get(x.shape().numDimensions() - 1);
    Operand<T> weight = cast(tf, weights.get(name + ".weight", Shape.of(features, in)), x.type());
    Operand<T> bias = cast(tf, weights.get(name + ".bias", Shape.of(features)), x.type());
    return tf.math.add(tf.linalg.matMul(x, weight, MatMul.transposeB(true)), bias);
  }

  /** x·sigmoid(x). */
  static <T extends TFloating> Operand<T> silu(Ops tf, Operand<T> x) {
    return tf.math.mul(x, tf.math.sigmoid(x));
  }

  /**
   * Self-attention over the pixels with a residual connection (Vaswani et al. 2017, eq. 1).
   *
   * @param x what the result is added to
   * @param normed the same, normalized
   * @param heads divides the channels
   */
  static <T extends TFloating> Operand<T> attention(
      Ops tf, Weights weights, String name, Operand<T> x, Operand<T> normed, int heads) {
    long channels = channels(x);
    long pixels = x.shape().get(1) * x.shape().get(2);
    Class<T> type = x.type();
    Operand<T> rows = tf.reshape(normed, tf.constant(new long[] {-1, channels}));
    Operand<T> query =
        heads(tf, linear(tf, weights, name + ".to_q", rows, channels), pixels, heads);
    Operand<T> key = heads(tf, linear(tf, weights, name + ".to_k", rows, channels), pixels, heads);
    Operand<T> value =
        heads(tf, linear(tf, weights, name + ".to_v", rows, channels), pixels, heads);
    Operand<TFloat32> scale = tf.constant((float) (1 / Math.sqrt((double) channels / heads)));
    Operand<T> scores =
        tf.train.batchMatMul(
            tf.math.mul(query, cast(tf, scale, type)), key, type, BatchMatMul.adjY(true));
    Operand<T> shares = cast(tf, tf.nn.softmax(cast(tf, scores, TFloat32.class)), type);
    Operand<T> mixed = tf.train.batchMatMul(shares, value, type);
    Operand<T> joined =
        tf.reshape(
            tf.linalg.transpose(mixed, tf.constant(new int[] {0, 2, 1, 3})),
            tf.constant(new long[] {-1, channels}));
    Operand<T> out = linear(tf, weights, name + ".to_out.0", joined, channels);
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

  static long channels(Operand<?> x) {
    return x.shape().get(3);
  }

  /** The same numbers in another type. */
  static <T extends TFloating> Operand<T> cast(
      Ops tf, Operand<? extends TFloating> x, Class<T> type) {
    if (x.type() == type) {
      @SuppressWarnings("unchecked") // it was looked at
      Operand<T> same = (Operand<T>) x;
      return same;
    }
    return tf.dtypes.cast(x, type);
  }

  private static <T extends TFloating> Operand<T> conv(
      Ops tf,
      Weights weights,
      String name,
      Operand<T> x,
      long kernel,
      long channels,
      long stride,
      String padding) {
    Shape shape = Shape.of(kernel, kernel, channels(x), channels);
    Operand<T> weight = cast(tf, weights.get(name + ".weight", shape), x.type());
    Operand<T> bias = cast(tf, weights.get(name + ".bias", Shape.of(channels)), x.type());
    return tf.nn.biasAdd(tf.nn.conv2d(x, weight, List.of(1L, stride, stride, 1L), padding), bias);
  }

  /** [n·pixels, channels] to [n, heads, pixels, channels/heads]. */
  private static <T extends TFloating> Operand<T> heads(
      Ops tf, Operand<T> rows, long pixels, int heads) {
    long channels = rows.shape().get(1);
    Operand<T> split =
        tf.reshape(rows, tf.constant(new long[] {-1, pixels, heads, channels / heads}));
    return tf.linalg.transpose(split, tf.constant(new int[] {0, 2, 1, 3}));
  }

  private static Operand<TInt32> withoutCount(Ops tf, Operand<?> x) {
    int[] shape = new int[x.shape().numDimensions()];
    shape[0] = -1;
    for (int i = 1; i < shape.length; i++) {
      shape[i] = (int) x.shape().get(i);
    }
    return tf.constant(shape);
  }
}

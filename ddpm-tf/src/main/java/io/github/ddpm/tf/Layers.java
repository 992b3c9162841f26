package io.github.ddpm.tf;

import java.util.List;
import java.util.Optional;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
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

  /** Our operation for {@link #concat}; its gradient is {@link #concatGradient}. */
  static final String CONCAT_KERNEL = "DdpmConcat";

  private Layers() {}

  /**
   * A convolution with its weights.
   *
   * @param kernel height and width of the filter, 1 or 3
   * @param channels that come out
   * @param added to what comes out
   */
  static <T extends TFloating> Convolution.Result<T> conv(
      Ops tf,
      Weights weights,
      String name,
      Convolution convolution,
      GroupNorm.Input<T> in,
      long kernel,
      long channels,
      Optional<Operand<T>> added) {
    Shape shape = Shape.of(kernel, kernel, channels(in.images()), channels);
    return convolution.apply(
        tf,
        in,
        weights.get(name + ".weight", shape),
        weights.get(name + ".bias", Shape.of(channels)),
        added);
  }

  /** {@code x·weightᵀ + bias}; the weight is [out, in], as in PyTorch, and x [n, in]. */
  static Operand<TFloat32> linear(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, long features) {
    long in = x.shape().get(1);
    // The rows of x as the pixels of one image.
    Operand<TFloat32> image = tf.reshape(x, tf.constant(new long[] {1, 1, -1, in}));
    Operand<TFloat32> y =
        Convolution.POINTWISE
            .apply(
                tf,
                GroupNorm.Input.of(image),
                weights.get(name + ".weight", Shape.of(features, in)),
                weights.get(name + ".bias", Shape.of(features)),
                Optional.empty())
            .y();
    return tf.reshape(y, tf.constant(new long[] {-1, features}));
  }

  /** x·sigmoid(x). */
  static <T extends TFloating> Operand<T> silu(Ops tf, Operand<T> x) {
    return tf.math.mul(x, tf.math.sigmoid(x));
  }

  /**
   * The same for a few numbers, as {@code h + h·tanh(h)} with h = x/2: TensorFlow makes one of
   * oneDNN's operations of the other form, which takes half a millisecond to begin.
   */
  static Operand<TFloat32> siluOfFew(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> half = tf.math.mul(x, tf.constant(0.5f));
    return tf.math.add(half, tf.math.mul(half, tf.math.tanh(half)));
  }

  /**
   * The channels of two images, one after the other: [n, h, w, a] and [n, h, w, b] to [n, h, w, a +
   * b].
   */
  static <T extends TFloating> Operand<T> concat(Ops tf, Operand<T> a, Operand<T> b) {
    return Kernels.available()
        ? Kernels.builder(tf, CONCAT_KERNEL)
            .addInput(a.asOutput())
            .addInput(b.asOutput())
            .setAttr("first", channels(a))
            .build()
            .<T>output(0)
        : tf.concat(List.of(a, b), tf.constant(3));
  }

  /** The gradient of our operation for {@link #concat}; see {@link Convolution#gradient}. */
  static List<Operand<?>> concatGradient(Ops tf, GraphOperation op, List<Output<?>> gradients) {
    Operation gradient =
        Kernels.builder(tf, "DdpmConcatGrad")
            .addInput(gradients.get(0))
            .setAttr("first", op.attributes().getAttrInt("first"))
            .build();
    return List.of(gradient.output(0), gradient.output(1));
  }

  /**
   * Self-attention over the pixels with a residual connection (Vaswani et al. 2017, eq. 1).
   *
   * @param in what is normalized, and what the result is added to
   * @param heads divides the channels
   */
  static <T extends TFloating> Operand<T> attention(
      Ops tf, Weights weights, String name, GroupNorm.Input<T> in, int heads) {
    // Each takes x from the one before, so that the gradients are added up on the way back.
    Convolution.Result<T> query = pointwise(tf, weights, name + ".to_q", in, Optional.empty());
    Convolution.Result<T> key =
        pointwise(tf, weights, name + ".to_k", in.with(query.x()), Optional.empty());
    Convolution.Result<T> value =
        pointwise(tf, weights, name + ".to_v", in.with(key.x()), Optional.empty());
    Operand<T> mixed = new Attention(heads).apply(tf, query.y(), key.y(), value.y());
    return pointwise(
            tf, weights, name + ".to_out.0", GroupNorm.Input.of(mixed), Optional.of(value.x()))
        .y();
  }

  /** A linear layer on the channels of each pixel, of which it makes as many. */
  private static <T extends TFloating> Convolution.Result<T> pointwise(
      Ops tf, Weights weights, String name, GroupNorm.Input<T> in, Optional<Operand<T>> added) {
    long channels = channels(in.images());
    return Convolution.POINTWISE.apply(
        tf,
        in,
        weights.get(name + ".weight", Shape.of(channels, channels)),
        weights.get(name + ".bias", Shape.of(channels)),
        added);
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
}

package io.github.ddpm.tf.graph;

import java.util.List;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Vectors that stand for timesteps and labels, as graph functions. */
final class Embedding {
  /**
   * Wavelengths of the timestep embedding run up to 2π times this (Vaswani et al. 2017, section
   * 3.5).
   */
  private static final double MAX_PERIOD = 10_000;

  private Embedding() {}

  /**
   * Returns what each residual block learns of timestep and label.
   *
   * @param timesteps [n] or [1]
   * @param labels [n], empty for a network without
   * @return [n, features] or [1, features]
   */
  static Operand<TFloat32> of(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    Operand<TFloat32> time = ofWaves(tf, config, weights, "time_embedding", timesteps);
    Operand<TFloat32> all =
        labels
            .map(chosen -> ofLabels(tf, config, weights, chosen))
            .<Operand<TFloat32>>map(label -> tf.math.add(time, label))
            .orElse(time);
    // Every block starts with its activation, so it is done once.
    return config.activation() == Activation.SILU
        ? silu(tf, all)
        : config.activation().apply(tf, all);
  }

  private static Operand<TFloat32> ofLabels(
      Ops tf, UNetConfig config, Weights weights, Operand<TInt32> labels) {
    if (config.labels().asTimesteps()) {
      Operand<TFloat32> numbers = tf.dtypes.cast(labels, TFloat32.class);
      return ofWaves(tf, config, weights, "class_embedding", numbers);
    }
    int count = config.labels().embeddings();
    Shape shape = Shape.of(count, config.features());
    return ofLabels(tf, labels, count, weights.get("class_embedding.weight", shape));
  }

  /** Puts sines and cosines through two layers, with SiLU whatever the blocks have. */
  private static Operand<TFloat32> ofWaves(
      Ops tf, UNetConfig config, Weights weights, String name, Operand<TFloat32> timesteps) {
    UNetConfig.Conditioning conditioning = config.conditioning();
    Operand<TFloat32> waves =
        ofTimesteps(
            tf,
            timesteps,
            config.levels().channels().get(0),
            conditioning.flipSinToCos(),
            conditioning.freqShift());
    Operand<TFloat32> hidden =
        silu(tf, Convolution.linear(tf, weights, name + ".linear_1", waves, config.features()));
    return Convolution.linear(tf, weights, name + ".linear_2", hidden, config.features());
  }

  /**
   * Returns sines and cosines of the timestep at geometrically spaced frequencies (Vaswani et al.
   * 2017, section 3.5; Ho et al. 2020, appendix B).
   *
   * @param timesteps [n] or [1]
   * @param size number of features, even
   * @param cosineFirst diffusers' {@code flip_sin_to_cos}
   * @param frequencyShift diffusers' {@code freq_shift}: 0 stops short of the lowest frequency, 1
   *     includes it
   * @return [n, size] or [1, size]
   */
  private static Operand<TFloat32> ofTimesteps(
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
   * Returns a row of a table for each label. It is a product with a one-hot matrix, because the
   * gradient of a gather adds up in an order of its own, and training must be repeatable.
   *
   * @param labels [n], each in [0, count)
   * @param table [count, features]
   * @return [n, features]
   */
  private static Operand<TFloat32> ofLabels(
      Ops tf, Operand<TInt32> labels, int count, Operand<TFloat32> table) {
    return tf.linalg.matMul(
        tf.oneHot(labels, tf.constant(count), tf.constant(1f), tf.constant(0f)), table);
  }

  /**
   * Computes {@code x·sigmoid(x)} of a few numbers, as {@code h + h·tanh(h)} with h = x/2:
   * TensorFlow makes one of oneDNN's operations of the other form, which takes half a millisecond
   * to begin.
   */
  private static Operand<TFloat32> silu(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> half = tf.math.mul(x, tf.constant(0.5f));
    return tf.math.add(half, tf.math.mul(half, tf.math.tanh(half)));
  }
}

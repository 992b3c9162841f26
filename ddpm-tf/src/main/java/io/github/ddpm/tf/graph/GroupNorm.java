package io.github.ddpm.tf.graph;

import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Group normalization (Wu and He 2018) and what stands around it in a U-Net: each group of channels
 * of {@code x + shift} gets mean 0 and variance 1 within its image, then each channel {@code ·gamma
 * + beta}, then an activation. Statistics are computed in float32 at least, whatever the type of
 * the images.
 *
 * @param groups divides the channels
 * @param epsilon added to the variance, above 0
 * @param activation that follows, if any
 */
record GroupNorm(int groups, double epsilon, Optional<Activation> activation) {
  /**
   * Images that a layer reads, and how they are normalized first, if at all. It is left to the
   * layer to do so, which may save a pass over memory.
   *
   * @param images [n, height, width, channels]
   * @param shift added to the images first, [n, channels] or [1, channels]
   * @param gamma [n, channels] or [1, channels], and there if {@code norm} is
   * @param beta likewise
   */
  record Input<T extends TFloating>(
      Operand<T> images,
      Optional<GroupNorm> norm,
      Optional<Operand<TFloat32>> shift,
      Optional<Operand<TFloat32>> gamma,
      Optional<Operand<TFloat32>> beta) {

    /** Takes images as they are. */
    static <T extends TFloating> Input<T> of(Operand<T> images) {
      return new Input<>(
          images, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());
    }

    /** Returns the same with other images. */
    Input<T> with(Operand<T> others) {
      return new Input<>(others, norm, shift, gamma, beta);
    }

    /**
     * Returns the same for an operation of ours. Those have SiLU built in; what another activation
     * follows is normalized by TensorFlow's operations first.
     */
    Input<T> forKernel(Ops tf) {
      boolean builtIn =
          norm.flatMap(GroupNorm::activation).filter(a -> a != Activation.SILU).isEmpty();
      return builtIn ? this : of(normalized(tf));
    }

    /** Returns what the layer sees, by TensorFlow's operations. */
    Operand<T> normalized(Ops tf) {
      return norm.isPresent()
          ? norm.get().composed(tf, images, shift, gamma.orElseThrow(), beta.orElseThrow())
          : images;
    }
  }

  /**
   * Normalizes by TensorFlow's operations. The mean is taken off before anything is squared, and
   * what rounding left of it is taken off after (Chan, Golub and LeVeque 1983, "Algorithms for
   * Computing the Sample Variance", eq. 1.7): a mean that is large beside the deviation costs no
   * digits. Variance, gamma and beta are folded into one multiplication and one addition per value.
   */
  <T extends TFloating> Operand<T> composed(
      Ops tf,
      Operand<T> images,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    long channels = Tensors.channels(images);
    Operand<TFloat32> unshifted = Tensors.cast(tf, images, TFloat32.class);
    Operand<TFloat32> x =
        shift
            .<Operand<TFloat32>>map(s -> tf.math.add(unshifted, Tensors.perImage(tf, s, channels)))
            .orElse(unshifted);
    Operand<TInt32> pixels = tf.constant(new int[] {1, 2});
    Operand<TFloat32> mean = groupMean(tf, tf.math.mean(x, pixels), channels);
    Operand<TFloat32> centered =
        tf.math.sub(x, Tensors.perImage(tf, perChannel(tf, mean, channels), channels));
    Operand<TFloat32> rest = groupMean(tf, tf.math.mean(centered, pixels), channels);
    Operand<TFloat32> meanSquare =
        groupMean(tf, tf.math.mean(tf.math.mul(centered, centered), pixels), channels);
    Operand<TFloat32> variance =
        tf.math.maximum(tf.math.sub(meanSquare, tf.math.mul(rest, rest)), tf.constant(0f));
    Operand<TFloat32> inverse = tf.math.rsqrt(tf.math.add(variance, tf.constant((float) epsilon)));
    Operand<TFloat32> scale = tf.math.mul(perChannel(tf, inverse, channels), gamma);
    Operand<TFloat32> offset =
        tf.math.sub(beta, tf.math.mul(perChannel(tf, rest, channels), scale));
    Operand<TFloat32> z =
        tf.math.add(
            tf.math.mul(centered, Tensors.perImage(tf, scale, channels)),
            Tensors.perImage(tf, offset, channels));
    Operand<TFloat32> y = activation.map(function -> function.apply(tf, z)).orElse(z);
    return Tensors.cast(tf, y, images.type());
  }

  /** Returns the mean over the channels of each group: [n, channels] to [n, groups, 1]. */
  private Operand<TFloat32> groupMean(Ops tf, Operand<TFloat32> channelMean, long channels) {
    Operand<TFloat32> grouped =
        tf.reshape(channelMean, tf.constant(new long[] {-1, groups, channels / groups}));
    return tf.expandDims(tf.math.mean(grouped, tf.constant(2)), tf.constant(2));
  }

  /** Returns each group's value for each of its channels: [n, groups, 1] to [n, channels]. */
  private Operand<TFloat32> perChannel(Ops tf, Operand<TFloat32> perGroup, long channels) {
    Operand<TFloat32> repeated =
        tf.math.mul(
            perGroup, tf.fill(tf.constant(new long[] {1, 1, channels / groups}), tf.constant(1f)));
    return tf.reshape(repeated, tf.constant(new long[] {-1, channels}));
  }
}

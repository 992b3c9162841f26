package io.github.ddpm.tf;

import java.util.List;
import java.util.Optional;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Group normalization (Wu and He 2018) and what stands around it in a U-Net: each group of channels
 * of {@code x + shift} gets mean 0 and variance 1 within its image, then each channel {@code ·gamma
 * + beta}, then SiLU.
 *
 * <p>Images have any floating type, statistics are computed in float32 at least. Two ways give the
 * same: one operation of our own, or a dozen of TensorFlow's.
 *
 * @param groups divides the channels
 * @param epsilon added to the variance, above 0
 * @param silu whether x·sigmoid(x) follows
 */
record GroupNorm(int groups, double epsilon, boolean silu) {
  /** Our operation; its gradient is {@link #gradient}. */
  static final String KERNEL = "DdpmGroupNorm";

  private static final String GRADIENT_KERNEL = "DdpmGroupNormGrad";

  /**
   * What comes out.
   *
   * @param y the normalized images
   * @param x the images that went in. Whoever else uses those should take them from here: then
   *     their gradient is added to ours while that is computed, not in a pass of its own.
   */
  record Result<T extends TFloating>(Operand<T> y, Operand<T> x) {}

  /**
   * Normalizes images.
   *
   * @param x [n, height, width, channels]
   * @param shift added to x first, [n, channels] or [1, channels]
   * @param gamma [n, channels] or [1, channels]
   * @param beta likewise
   */
  <T extends TFloating> Result<T> apply(
      Ops tf,
      Operand<T> x,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    return Kernels.available()
        ? byKernel(tf, x, shift, gamma, beta)
        : new Result<>(composed(tf, x, shift, gamma, beta), x);
  }

  <T extends TFloating> Result<T> byKernel(
      Ops tf,
      Operand<T> x,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    Operand<TFloat32> none =
        tf.zeros(tf.constant(new long[] {0, Layers.channels(x)}), TFloat32.class);
    Operation op =
        builder(tf, KERNEL)
            .addInput(x.asOutput())
            .addInput(shift.orElse(none).asOutput())
            .addInput(gamma.asOutput())
            .addInput(beta.asOutput())
            .setAttr("groups", groups)
            .setAttr("epsilon", (float) epsilon)
            .setAttr("silu", silu)
            .build();
    return new Result<>(op.<T>output(0), op.<T>output(2));
  }

  /**
   * The gradient of {@link #byKernel}. While it runs TensorFlow holds the graph's lock, so nothing
   * may be asked here of a shape or a type.
   *
   * @param gradients of y, of the statistics (which nobody uses) and of x as it was passed on
   */
  static List<Operand<?>> gradient(Ops tf, GraphOperation op, List<Output<?>> gradients) {
    Output<?> ofY = gradients.get(0);
    Output<?> ofX = gradients.get(2);
    OperationBuilder builder = builder(tf, GRADIENT_KERNEL);
    for (int i = 0; i < 4; i++) {
      builder.addInput(op.input(i));
    }
    builder
        .addInput(op.output(1))
        .addInput(ofY)
        // A tensor without values, for TensorFlow's zeros where nobody used x.
        .addInput(ofX.op().type().equals("ZerosLike") ? empty(tf, ofY) : ofX)
        .setAttr("groups", op.attributes().getAttrInt("groups"))
        .setAttr("epsilon", op.attributes().getAttrFloat("epsilon"))
        .setAttr("silu", op.attributes().getAttrBool("silu"));
    Operation gradient = builder.build();
    return List.of(gradient.output(0), gradient.output(1), gradient.output(2), gradient.output(3));
  }

  /**
   * Mean, variance, gamma and beta are folded into one multiplication and one addition per value:
   * with statistics of [n, channels] numbers, only those two and the two means pass over the whole
   * image.
   */
  <T extends TFloating> Operand<T> composed(
      Ops tf,
      Operand<T> images,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    long channels = Layers.channels(images);
    Operand<TFloat32> unshifted = Layers.cast(tf, images, TFloat32.class);
    Operand<TFloat32> x =
        shift
            .<Operand<TFloat32>>map(s -> tf.math.add(unshifted, Layers.perImage(tf, s, channels)))
            .orElse(unshifted);
    Operand<TInt32> pixels = tf.constant(new int[] {1, 2});
    Operand<TFloat32> mean = groupMean(tf, tf.math.mean(x, pixels), channels);
    Operand<TFloat32> meanSquare = groupMean(tf, tf.math.mean(tf.math.mul(x, x), pixels), channels);
    Operand<TFloat32> variance =
        tf.math.maximum(tf.math.sub(meanSquare, tf.math.mul(mean, mean)), tf.constant(0f));
    Operand<TFloat32> inverse = tf.math.rsqrt(tf.math.add(variance, tf.constant((float) epsilon)));
    Operand<TFloat32> scale = tf.math.mul(perChannel(tf, inverse, channels), gamma);
    Operand<TFloat32> offset =
        tf.math.sub(beta, tf.math.mul(perChannel(tf, mean, channels), scale));
    Operand<TFloat32> z =
        tf.math.add(
            tf.math.mul(x, Layers.perImage(tf, scale, channels)),
            Layers.perImage(tf, offset, channels));
    return Layers.cast(tf, silu ? Layers.silu(tf, z) : z, images.type());
  }

  /** The mean over the channels of each group: [n, channels] to [n, groups, 1]. */
  private Operand<TFloat32> groupMean(Ops tf, Operand<TFloat32> channelMean, long channels) {
    Operand<TFloat32> grouped =
        tf.reshape(channelMean, tf.constant(new long[] {-1, groups, channels / groups}));
    return tf.expandDims(tf.math.mean(grouped, tf.constant(2)), tf.constant(2));
  }

  /** Each group's value for each of its channels: [n, groups, 1] to [n, channels]. */
  private Operand<TFloat32> perChannel(Ops tf, Operand<TFloat32> perGroup, long channels) {
    Operand<TFloat32> repeated =
        tf.math.mul(
            perGroup, tf.ones(tf.constant(new long[] {1, 1, channels / groups}), TFloat32.class));
    return tf.reshape(repeated, tf.constant(new long[] {-1, channels}));
  }

  private static OperationBuilder builder(Ops tf, String type) {
    return tf.scope().opBuilder(type, type);
  }

  private static Output<?> empty(Ops tf, Output<?> like) {
    return builder(tf, "Slice")
        .addInput(like)
        .addInput(tf.constant(new int[4]).asOutput())
        .addInput(tf.constant(new int[4]).asOutput())
        .build()
        .output(0);
  }
}

package io.github.ddpm.tf.graph;

import java.util.Optional;
import java.util.function.IntFunction;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TFloating;

/**
 * The blocks that one forward pass of a {@link UNet} is made of. Images are [n, height, width,
 * channels], all but n known.
 *
 * @param <T> the type of the images
 */
final class Blocks<T extends TFloating> {
  private final Ops tf;
  private final UNetConfig config;
  private final Weights weights;
  private final Optional<IntFunction<Operand<TInt64>>> dropoutSeeds;
  private int drops;

  /**
   * Makes the blocks of a network.
   *
   * @param dropoutSeeds answers the seed [2] of each draw of dropout, numbered from 0; empty for
   *     none
   */
  Blocks(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Optional<IntFunction<Operand<TInt64>>> dropoutSeeds) {
    this.tf = tf;
    this.config = config;
    this.weights = weights;
    this.dropoutSeeds = dropoutSeeds;
  }

  /** Applies a 3x3 convolution to images as they are. */
  Operand<T> conv(String name, Convolution convolution, Operand<T> x, int channels) {
    return conv(name, convolution, GroupNorm.Input.of(x), channels);
  }

  /** Normalizes and activates by SiLU, whatever the residual blocks have, and then convolves. */
  Operand<T> last(String norm, String name, Operand<T> x, int channels) {
    return conv(
        name, Convolution.SAME, norm(norm, x, usual(Optional.of(Activation.SILU))), channels);
  }

  private Operand<T> conv(
      String name, Convolution convolution, GroupNorm.Input<T> in, int channels) {
    return convolution.layer(tf, weights, name, in, 3, channels, Optional.empty()).y();
  }

  /** Applies a residual block. */
  Operand<T> resnet(String name, Operand<T> x, Operand<TFloat32> embedding, int channels) {
    Convolution.Result<T> first =
        Convolution.SAME.layer(
            tf, weights, name + ".conv1", firstNorm(name, x), 3, channels, Optional.empty());
    Operand<T> shortcut =
        Tensors.channels(x) == channels
            ? first.x()
            : Convolution.POINTWISE
                .layer(
                    tf,
                    weights,
                    name + ".conv_shortcut",
                    GroupNorm.Input.of(first.x()),
                    1,
                    channels,
                    Optional.empty())
                .y();
    return second(name, first.y(), shortcut, embedding);
  }

  /** Applies a residual block that halves height and width by averages of four pixels. */
  Operand<T> halvingResnet(String name, Operand<T> x, Operand<TFloat32> embedding) {
    int channels = (int) Tensors.channels(x);
    Operand<T> seen = Tensors.halved(tf, firstNorm(name, x).normalized(tf));
    Operand<T> first = conv(name + ".conv1", Convolution.SAME, seen, channels);
    return second(name, first, Tensors.halved(tf, x), embedding);
  }

  /** Applies a residual block that doubles height and width by repeating pixels. */
  Operand<T> doublingResnet(String name, Operand<T> x, Operand<TFloat32> embedding) {
    int channels = (int) Tensors.channels(x);
    // What normalization and activation make of a pixel, they make of its copies.
    Convolution.Result<T> first =
        Convolution.DOUBLING.layer(
            tf, weights, name + ".conv1", firstNorm(name, x), 3, channels, Optional.empty());
    return second(name, first.y(), Tensors.doubled(tf, first.x()), embedding);
  }

  private GroupNorm.Input<T> firstNorm(String name, Operand<T> x) {
    return norm(name + ".norm1", x, usual(Optional.of(config.activation())));
  }

  /** The second half of a residual block, which is told of timestep and label. */
  private Operand<T> second(
      String name, Operand<T> h, Operand<T> shortcut, Operand<TFloat32> embedding) {
    int channels = (int) Tensors.channels(h);
    GroupNorm.Input<T> in = conditionedNorm(name, h, embedding, channels);
    if (config.dropout() > 0 && dropoutSeeds.isPresent()) {
      // What is dropped must be seen, so it can't be left to the convolution.
      in = GroupNorm.Input.of(dropped(in.normalized(tf), dropoutSeeds.get().apply(drops++)));
    }
    return Convolution.SAME
        .layer(tf, weights, name + ".conv2", in, 3, channels, Optional.of(shortcut))
        .y();
  }

  /** Sets a share of the hidden values to 0 and scales up the others. */
  private Operand<T> dropped(Operand<T> hidden, Operand<TInt64> seed) {
    float kept = (float) (1 - config.dropout());
    Operand<TFloat32> draw = tf.random.statelessRandomUniform(tf.shape(hidden), seed);
    Operand<TFloat32> mask =
        tf.math.mul(
            tf.dtypes.cast(tf.math.less(draw, tf.constant(kept)), TFloat32.class),
            tf.constant(1 / kept));
    return tf.math.mul(hidden, tf.stopGradient(Tensors.cast(tf, mask, hidden.type())));
  }

  /**
   * Tells the second normalization of the timestep by a shift before it or a scale and shift after.
   */
  private GroupNorm.Input<T> conditionedNorm(
      String name, Operand<T> h, Operand<TFloat32> embedding, int channels) {
    String norm = name + ".norm2";
    Operand<TFloat32> gamma = row(norm + ".weight", channels);
    Operand<TFloat32> beta = row(norm + ".bias", channels);
    GroupNorm usual = usual(Optional.of(config.activation()));
    boolean scaleShift = config.conditioning().scaleShift();
    Operand<TFloat32> condition =
        Convolution.linear(
            tf, weights, name + ".time_emb_proj", embedding, scaleShift ? 2L * channels : channels);
    if (!scaleShift) {
      return normalized(h, usual, Optional.of(condition), gamma, beta);
    }
    // (gamma·xhat + beta)·scale + shift, of which only the numbers per channel are computed here.
    Operand<TFloat32> scale = tf.math.add(columns(condition, 0, channels), tf.constant(1f));
    Operand<TFloat32> offset =
        tf.math.add(tf.math.mul(beta, scale), columns(condition, channels, channels));
    return normalized(h, usual, Optional.empty(), tf.math.mul(gamma, scale), offset);
  }

  /** Applies self-attention after the usual normalization. */
  Operand<T> attention(String name, Operand<T> x) {
    return attention(name, x, Optional.of(usual(Optional.empty())));
  }

  /**
   * Applies self-attention over the pixels with a residual connection (Vaswani et al. 2017, eq. 1).
   */
  private Operand<T> attention(String name, Operand<T> x, Optional<GroupNorm> norm) {
    GroupNorm.Input<T> in =
        norm.map(n -> norm(name + ".group_norm", x, n)).orElseGet(() -> GroupNorm.Input.of(x));
    long channels = Tensors.channels(x);
    int heads = config.attention().heads((int) channels);
    long inner = (long) heads * config.attention().headDim().orElse((int) channels);
    // Each takes x from the one before, so that the gradients are added up on the way back.
    Convolution.Result<T> query = pointwise(name + ".to_q", in, inner, Optional.empty());
    Convolution.Result<T> key =
        pointwise(name + ".to_k", in.with(query.x()), inner, Optional.empty());
    Convolution.Result<T> value =
        pointwise(name + ".to_v", in.with(key.x()), inner, Optional.empty());
    Operand<T> mixed = new Attention(heads).apply(tf, query.y(), key.y(), value.y());
    return pointwise(
            name + ".to_out.0", GroupNorm.Input.of(mixed), channels, Optional.of(value.x()))
        .y();
  }

  /** Applies the blocks in the middle. */
  Operand<T> middle(UNetConfig.Middle middle, Operand<T> x, Operand<TFloat32> embedding) {
    int channels = (int) Tensors.channels(x);
    Operand<T> h = divided(resnet("mid_block.resnets.0", x, embedding, channels), middle);
    if (config.attention().middle()) {
      // Like diffusers: with scale-shift conditioning this one attention has no normalization
      // unless its groups are given.
      Optional<GroupNorm> norm =
          middle.attentionGroups().isPresent()
              ? Optional.of(
                  new GroupNorm(
                      middle.attentionGroups().getAsInt(),
                      config.normalization().epsilon(),
                      Optional.empty()))
              : config.conditioning().scaleShift()
                  ? Optional.empty()
                  : Optional.of(usual(Optional.empty()));
      h = divided(attention("mid_block.attentions.0", h, norm), middle);
    }
    return divided(resnet("mid_block.resnets.1", h, embedding, channels), middle);
  }

  private Operand<T> divided(Operand<T> x, UNetConfig.Middle middle) {
    if (middle.scaleFactor() == 1) {
      return x;
    }
    Operand<TFloat32> factor = tf.constant((float) (1 / middle.scaleFactor()));
    return Tensors.cast(tf, tf.math.mul(Tensors.cast(tf, x, TFloat32.class), factor), x.type());
  }

  private Convolution.Result<T> pointwise(
      String name, GroupNorm.Input<T> in, long channels, Optional<Operand<T>> added) {
    return Convolution.pointwise(tf, weights, name, in, channels, added);
  }

  private GroupNorm usual(Optional<Activation> activation) {
    UNetConfig.Normalization normalization = config.normalization();
    return new GroupNorm(normalization.groups(), normalization.epsilon(), activation);
  }

  private GroupNorm.Input<T> norm(String name, Operand<T> x, GroupNorm norm) {
    long channels = Tensors.channels(x);
    Operand<TFloat32> gamma = row(name + ".weight", channels);
    Operand<TFloat32> beta = row(name + ".bias", channels);
    return normalized(x, norm, Optional.empty(), gamma, beta);
  }

  private GroupNorm.Input<T> normalized(
      Operand<T> x,
      GroupNorm norm,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    return new GroupNorm.Input<>(
        x, Optional.of(norm), shift, Optional.of(gamma), Optional.of(beta));
  }

  private Operand<TFloat32> row(String name, long channels) {
    return tf.expandDims(weights.get(name, Shape.of(channels)), tf.constant(0));
  }

  private Operand<TFloat32> columns(Operand<TFloat32> x, int from, int count) {
    return tf.slice(x, tf.constant(new int[] {0, from}), tf.constant(new int[] {-1, count}));
  }
}

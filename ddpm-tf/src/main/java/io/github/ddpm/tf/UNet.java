package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Precision;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * The U-Net of Ho et al. 2020 (appendix B) as a graph function: diffusers' {@code UNet2DModel},
 * with its names for the weights.
 *
 * @param <T> the type of the images, hidden ones too, which decides the precision. Weights, the
 *     embedding of the timestep, statistics and softmax are float32 whatever it is.
 */
public final class UNet<T extends TFloating> {
  private final Ops tf;
  private final UNetConfig config;
  private final Weights weights;
  private final Dropout dropout;

  private UNet(Ops tf, UNetConfig config, Weights weights, Dropout dropout) {
    this.tf = tf;
    this.config = config;
    this.weights = weights;
    this.dropout = dropout;
  }

  /**
   * What the network makes of noisy images.
   *
   * @param weights asked for each weight once
   * @param x noisy images [n, height, width, channels], all but n known, about [-4, 4]; their type
   *     decides the precision
   * @param timesteps [n], or [1] for the same timestep for all; in [0, T-1], whole or fractional
   * @param labels [n], each in [0, {@code config.classEmbeddings()}); empty for a network without
   *     class embeddings
   * @return the prediction [n, height, width, channels]
   */
  public static <T extends TFloating> Operand<T> forward(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Operand<T> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    return forward(tf, config, weights, x, timesteps, labels, Dropout.NONE);
  }

  /**
   * As above for float32 images in and out, whatever the precision in between, and with what is to
   * be done to the hidden images where {@code config.dropout()} applies.
   */
  static Operand<TFloat32> forward(
      Ops tf,
      UNetConfig config,
      Precision precision,
      Weights weights,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels,
      Dropout dropout) {
    return switch (precision) {
      case FLOAT32 -> forward(tf, config, weights, x, timesteps, labels, dropout);
      case BFLOAT16 -> {
        Operand<TBfloat16> rounded = Layers.cast(tf, x, TBfloat16.class);
        yield Layers.cast(
            tf, forward(tf, config, weights, rounded, timesteps, labels, dropout), TFloat32.class);
      }
    };
  }

  private static <T extends TFloating> Operand<T> forward(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Operand<T> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels,
      Dropout dropout) {
    checkArgument(
        labels.isPresent() == config.classEmbeddings() > 0,
        "a network with %s class embeddings was given %s",
        config.classEmbeddings(),
        labels.isPresent() ? "labels" : "no labels");
    return new UNet<T>(tf, config, weights, dropout).forward(x, timesteps, labels);
  }

  private Operand<T> forward(
      Operand<T> x, Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    List<Integer> channels = config.blockOutChannels();
    int levels = channels.size();
    Operand<TFloat32> embedding = embedding(timesteps, labels);

    Deque<Operand<T>> skips = new ArrayDeque<>();
    Operand<T> h = conv("conv_in", Convolution.SAME, plain(x), channels.get(0));
    skips.push(h);
    for (int level = 0; level < levels; level++) {
      String block = "down_blocks." + level;
      for (int i = 0; i < config.layersPerBlock(); i++) {
        h = resnet(block + ".resnets." + i, h, embedding, channels.get(level));
        if (config.downAttention().get(level)) {
          h = attention(block + ".attentions." + i, h, true);
        }
        skips.push(h);
      }
      if (level < levels - 1) {
        h =
            conv(
                block + ".downsamplers.0.conv",
                Convolution.halving(config.downsamplePadding()),
                plain(h),
                channels.get(level));
        skips.push(h);
      }
    }

    int deepest = channels.get(levels - 1);
    h = resnet("mid_block.resnets.0", h, embedding, deepest);
    if (config.addAttention()) {
      // Like diffusers: with scale-shift conditioning this one attention has no normalization.
      h = attention("mid_block.attentions.0", h, !config.scaleShift());
    }
    h = resnet("mid_block.resnets.1", h, embedding, deepest);

    for (int level = 0; level < levels; level++) {
      String block = "up_blocks." + level;
      int width = channels.get(levels - 1 - level);
      for (int i = 0; i < config.layersPerBlock() + 1; i++) {
        h = Layers.concat(tf, h, skips.pop());
        h = resnet(block + ".resnets." + i, h, embedding, width);
        if (config.upAttention().get(level)) {
          h = attention(block + ".attentions." + i, h, true);
        }
      }
      if (level < levels - 1) {
        h = conv(block + ".upsamplers.0.conv", Convolution.DOUBLING, plain(h), width);
      }
    }

    GroupNorm.Input<T> last = norm("conv_norm_out", h, true);
    Operand<T> out = conv("conv_out", Convolution.SAME, last, config.outChannels());
    return config.learnedVariance()
        ? tf.slice(
            out,
            tf.constant(new int[] {0, 0, 0, 0}),
            tf.constant(new int[] {-1, config.height(), config.width(), config.channels()}))
        : out;
  }

  /** What each residual block learns of timestep and label: [n, features] or [1, features]. */
  private Operand<TFloat32> embedding(
      Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    int size = config.blockOutChannels().get(0);
    int features = 4 * size;
    Operand<TFloat32> waves =
        Layers.timestepEmbedding(tf, timesteps, size, config.flipSinToCos(), config.freqShift());
    Operand<TFloat32> hidden =
        Layers.siluOfFew(
            tf, Layers.linear(tf, weights, "time_embedding.linear_1", waves, features));
    Operand<TFloat32> time =
        Layers.linear(tf, weights, "time_embedding.linear_2", hidden, features);
    Operand<TFloat32> all =
        labels
            .map(
                chosen ->
                    Layers.embedding(
                        tf, weights, "class_embedding", chosen, config.classEmbeddings(), features))
            .<Operand<TFloat32>>map(label -> tf.math.add(time, label))
            .orElse(time);
    // Every block starts with this activation, so it is done once.
    return Layers.siluOfFew(tf, all);
  }

  private Operand<T> resnet(String name, Operand<T> x, Operand<TFloat32> embedding, int channels) {
    Convolution.Result<T> first =
        Layers.conv(
            tf,
            weights,
            name + ".conv1",
            Convolution.SAME,
            norm(name + ".norm1", x, true),
            3,
            channels,
            Optional.empty());
    Operand<T> shortcut =
        Layers.channels(x) == channels
            ? first.x()
            : Layers.conv(
                    tf,
                    weights,
                    name + ".conv_shortcut",
                    Convolution.POINTWISE,
                    plain(first.x()),
                    1,
                    channels,
                    Optional.empty())
                .y();
    GroupNorm.Input<T> second = conditionedNorm(name, first.y(), embedding, channels);
    if (config.dropout() > 0) {
      // What is dropped must be seen, so it can't be left to the convolution.
      second = plain(dropout.apply(second.normalized(tf)));
    }
    return Layers.conv(
            tf,
            weights,
            name + ".conv2",
            Convolution.SAME,
            second,
            3,
            channels,
            Optional.of(shortcut))
        .y();
  }

  /**
   * The second normalization, told of the timestep by a shift before it or a scale and shift after.
   */
  private GroupNorm.Input<T> conditionedNorm(
      String name, Operand<T> h, Operand<TFloat32> embedding, int channels) {
    String norm = name + ".norm2";
    Operand<TFloat32> gamma = row(norm + ".weight", channels);
    Operand<TFloat32> beta = row(norm + ".bias", channels);
    Optional<Operand<TFloat32>> before = Optional.empty();
    int features = config.scaleShift() ? 2 * channels : channels;
    Operand<TFloat32> condition =
        Layers.linear(tf, weights, name + ".time_emb_proj", embedding, features);
    if (config.scaleShift()) {
      // (gamma·xhat + beta)·scale + shift, of which only the numbers per channel are computed here.
      Operand<TFloat32> scale = tf.math.add(columns(condition, 0, channels), tf.constant(1f));
      gamma = tf.math.mul(gamma, scale);
      beta = tf.math.add(tf.math.mul(beta, scale), columns(condition, channels, channels));
    } else {
      before = Optional.of(condition);
    }
    return normalized(h, true, before, gamma, beta);
  }

  private Operand<T> attention(String name, Operand<T> x, boolean normalized) {
    GroupNorm.Input<T> in = normalized ? norm(name + ".group_norm", x, false) : plain(x);
    return Layers.attention(tf, weights, name, in, config.heads((int) Layers.channels(x)));
  }

  private Operand<T> conv(
      String name, Convolution convolution, GroupNorm.Input<T> in, int channels) {
    return Layers.conv(tf, weights, name, convolution, in, 3, channels, Optional.empty()).y();
  }

  private GroupNorm.Input<T> norm(String name, Operand<T> x, boolean silu) {
    long channels = Layers.channels(x);
    Operand<TFloat32> gamma = row(name + ".weight", channels);
    Operand<TFloat32> beta = row(name + ".bias", channels);
    return normalized(x, silu, Optional.empty(), gamma, beta);
  }

  private GroupNorm.Input<T> normalized(
      Operand<T> x,
      boolean silu,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    GroupNorm norm = new GroupNorm(config.normNumGroups(), config.normEps(), silu);
    return new GroupNorm.Input<>(
        x, Optional.of(norm), shift, Optional.of(gamma), Optional.of(beta));
  }

  private GroupNorm.Input<T> plain(Operand<T> x) {
    return GroupNorm.Input.of(x);
  }

  private Operand<TFloat32> row(String name, long channels) {
    return tf.expandDims(weights.get(name, Shape.of(channels)), tf.constant(0));
  }

  private Operand<TFloat32> columns(Operand<TFloat32> x, int from, int count) {
    return tf.slice(x, tf.constant(new int[] {0, from}), tf.constant(new int[] {-1, count}));
  }
}

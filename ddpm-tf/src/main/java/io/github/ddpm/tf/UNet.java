package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The U-Net of Ho et al. 2020 (appendix B) as a graph function: diffusers' {@code UNet2DModel},
 * with its names for the weights.
 */
public final class UNet {
  private final Ops tf;
  private final UNetConfig config;
  private final Weights weights;
  private final UnaryOperator<Operand<TFloat32>> dropout;

  private UNet(
      Ops tf, UNetConfig config, Weights weights, UnaryOperator<Operand<TFloat32>> dropout) {
    this.tf = tf;
    this.config = config;
    this.weights = weights;
    this.dropout = dropout;
  }

  /**
   * What the network makes of noisy images.
   *
   * @param weights asked for each weight once
   * @param x noisy images [n, height, width, channels], all but n known, about [-4, 4]
   * @param timesteps [n], or [1] for the same timestep for all; in [0, T-1], whole or fractional
   * @param labels [n], each in [0, {@code config.classEmbeddings()}); empty for a network without
   *     class embeddings
   * @return the prediction [n, height, width, channels]
   */
  public static Operand<TFloat32> forward(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    return forward(tf, config, weights, x, timesteps, labels, hidden -> hidden);
  }

  /**
   * As above, with what is to be done to the hidden images where {@code config.dropout()} applies.
   */
  static Operand<TFloat32> forward(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels,
      UnaryOperator<Operand<TFloat32>> dropout) {
    checkArgument(
        labels.isPresent() == config.classEmbeddings() > 0,
        "a network with %s class embeddings was given %s",
        config.classEmbeddings(),
        labels.isPresent() ? "labels" : "no labels");
    return new UNet(tf, config, weights, dropout).forward(x, timesteps, labels);
  }

  private Operand<TFloat32> forward(
      Operand<TFloat32> x, Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    List<Integer> channels = config.blockOutChannels();
    int levels = channels.size();
    Operand<TFloat32> embedding = embedding(timesteps, labels);

    Deque<Operand<TFloat32>> skips = new ArrayDeque<>();
    Operand<TFloat32> h = Layers.conv3x3(tf, weights, "conv_in", x, channels.get(0));
    skips.push(h);
    for (int level = 0; level < levels; level++) {
      String block = "down_blocks." + level;
      for (int i = 0; i < config.layersPerBlock(); i++) {
        h = resnet(block + ".resnets." + i, h, embedding, channels.get(level));
        if (config.downAttention().get(level)) {
          h = attention(block + ".attentions." + i, h, config.normNumGroups());
        }
        skips.push(h);
      }
      if (level < levels - 1) {
        h =
            Layers.downsample(
                tf, weights, block + ".downsamplers.0.conv", h, config.downsamplePadding());
        skips.push(h);
      }
    }

    int deepest = channels.get(levels - 1);
    h = resnet("mid_block.resnets.0", h, embedding, deepest);
    if (config.addAttention()) {
      // Like diffusers: with scale-shift conditioning this one attention has no normalization.
      h = attention("mid_block.attentions.0", h, config.scaleShift() ? 0 : config.normNumGroups());
    }
    h = resnet("mid_block.resnets.1", h, embedding, deepest);

    for (int level = 0; level < levels; level++) {
      String block = "up_blocks." + level;
      int width = channels.get(levels - 1 - level);
      for (int i = 0; i < config.layersPerBlock() + 1; i++) {
        h = tf.concat(List.of(h, skips.pop()), tf.constant(3));
        h = resnet(block + ".resnets." + i, h, embedding, width);
        if (config.upAttention().get(level)) {
          h = attention(block + ".attentions." + i, h, config.normNumGroups());
        }
      }
      if (level < levels - 1) {
        h = Layers.upsample(tf, weights, block + ".upsamplers.0.conv", h);
      }
    }

    h = Layers.silu(tf, groupNorm("conv_norm_out", h));
    return Layers.conv3x3(tf, weights, "conv_out", h, config.channels());
  }

  /** What each residual block learns of timestep and label: [n, features] or [1, features]. */
  private Operand<TFloat32> embedding(
      Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    int size = config.blockOutChannels().get(0);
    int features = 4 * size;
    Operand<TFloat32> waves =
        Layers.timestepEmbedding(tf, timesteps, size, config.flipSinToCos(), config.freqShift());
    Operand<TFloat32> hidden =
        Layers.silu(tf, Layers.linear(tf, weights, "time_embedding.linear_1", waves, features));
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
    return Layers.silu(tf, all);
  }

  private Operand<TFloat32> resnet(
      String name, Operand<TFloat32> x, Operand<TFloat32> embedding, int channels) {
    Operand<TFloat32> h = Layers.silu(tf, groupNorm(name + ".norm1", x));
    h = Layers.conv3x3(tf, weights, name + ".conv1", h, channels);
    String projection = name + ".time_emb_proj";
    if (config.scaleShift()) {
      Operand<TFloat32> both = Layers.linear(tf, weights, projection, embedding, 2L * channels);
      Operand<TFloat32> scale = columns(both, 0, channels);
      Operand<TFloat32> shift = columns(both, channels, channels);
      h =
          tf.math.add(
              tf.math.mul(
                  groupNorm(name + ".norm2", h),
                  Layers.perImage(tf, tf.math.add(scale, tf.constant(1f)), channels)),
              Layers.perImage(tf, shift, channels));
    } else {
      Operand<TFloat32> shift = Layers.linear(tf, weights, projection, embedding, channels);
      h = tf.math.add(h, Layers.perImage(tf, shift, channels));
      h = groupNorm(name + ".norm2", h);
    }
    h = dropout.apply(Layers.silu(tf, h));
    h = Layers.conv3x3(tf, weights, name + ".conv2", h, channels);
    Operand<TFloat32> shortcut =
        Layers.channels(x) == channels
            ? x
            : Layers.conv1x1(tf, weights, name + ".conv_shortcut", x, channels);
    return tf.math.add(shortcut, h);
  }

  private Operand<TFloat32> attention(String name, Operand<TFloat32> x, int groups) {
    int channels = (int) Layers.channels(x);
    return Layers.attention(tf, weights, name, x, config.heads(channels), groups, config.normEps());
  }

  private Operand<TFloat32> groupNorm(String name, Operand<TFloat32> x) {
    return Layers.groupNorm(tf, weights, name, x, config.normNumGroups(), config.normEps());
  }

  private Operand<TFloat32> columns(Operand<TFloat32> x, int from, int count) {
    return tf.slice(x, tf.constant(new int[] {0, from}), tf.constant(new int[] {-1, count}));
  }
}

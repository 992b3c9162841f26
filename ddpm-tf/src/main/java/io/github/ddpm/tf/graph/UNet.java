package io.github.ddpm.tf.graph;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Precision;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.IntFunction;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TFloating;

/**
 * The U-Net of Ho et al. 2020 (appendix B) as a graph function: diffusers' {@code UNet2DModel},
 * with its names for the weights.
 */
public final class UNet {
  private final Ops tf;
  private final UNetConfig config;
  private final Weights weights;
  private final Optional<IntFunction<Operand<TInt64>>> dropoutSeeds;

  /**
   * Makes a network that is to be built.
   *
   * @param tf the graph's operations, of {@link TensorFlowRuntime#ops}
   * @param weights answers the weight of a name and shape, as float32 of that shape. The name is
   *     diffusers', such as {@code down_blocks.0.resnets.0.conv1.weight}; a linear weight is [out,
   *     in]; a convolution is [height, width, in, out], TensorFlow's order. Each forward pass asks
   *     for each weight once, in an order that depends on the configuration alone
   * @throws IllegalArgumentException if no such network can be built; the message names the value
   *     and the rule
   */
  public UNet(Ops tf, UNetConfig config, BiFunction<String, Shape, Operand<TFloat32>> weights) {
    this(tf, config, weights::apply, Optional.empty());
    config.check();
    registerGradients();
  }

  /** Tells TensorFlow the gradients of our operations. */
  static void registerGradients() {
    TensorFlowRuntime.register(
        Map.of(
            Convolution.KERNEL, Convolution::gradient,
            Convolution.HALVING_KERNEL, Convolution::gradient,
            Convolution.DOUBLING_KERNEL, Convolution::gradient,
            Attention.KERNEL, Attention::gradient,
            Concat.KERNEL, Concat::gradient));
  }

  private UNet(
      Ops tf,
      UNetConfig config,
      Weights weights,
      Optional<IntFunction<Operand<TInt64>>> dropoutSeeds) {
    this.tf = tf;
    this.config = config;
    this.weights = weights;
    this.dropoutSeeds = dropoutSeeds;
  }

  /**
   * Returns the weights that a network asks for: their shapes by name, in the order in which it
   * asks. They are read off a graph, so that there is no list beside it that could differ.
   *
   * @throws IllegalArgumentException if no such network can be built
   */
  public static Map<String, Shape> shapes(UNetConfig config) {
    return shapes(config, (name, shape) -> {});
  }

  /**
   * Returns the same for a network that may be larger than what its weights are in.
   *
   * @param asked is told of each weight as it is asked for; what it throws ends it
   */
  public static Map<String, Shape> shapes(UNetConfig config, BiConsumer<String, Shape> asked) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    UNetConfig.Picture picture = config.picture();
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Shape images = Shape.of(-1, picture.height(), picture.width(), picture.channels());
      new UNet(
              tf,
              config,
              (name, shape) -> {
                asked.accept(name, shape);
                checkArgument(
                    shapes.put(name, shape) == null, "weight %s was asked for twice", name);
                return tf.placeholder(TFloat32.class, Placeholder.shape(shape));
              })
          .forward(
              tf.placeholder(TFloat32.class, Placeholder.shape(images)),
              tf.constant(new float[] {0}),
              config.labels().embeddings() == 0
                  ? Optional.empty()
                  : Optional.of(tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)))));
    }
    return shapes;
  }

  /**
   * Returns this network in training: the {@linkplain UNetConfig#dropout share} of hidden values
   * that the configuration says is set to 0, and the others are scaled up.
   *
   * @param seeds answers the seed [2] of each of the draws, which are numbered from 0
   */
  public UNet withDropout(IntFunction<Operand<TInt64>> seeds) {
    return new UNet(tf, config, weights, Optional.of(seeds));
  }

  /**
   * Returns what the network makes of noisy images. Weights, the embedding of the timestep,
   * statistics and softmax are float32 whatever the type of the images.
   *
   * @param x noisy images [n, height, width, channels], all but n known, about [-4, 4]; their type
   *     is that of the hidden images too, which decides the precision
   * @param timesteps [n], or [1] for the same timestep for all; in [0, T-1], whole or fractional
   * @param labels [n], each in [0, {@code config.labels().embeddings()}); empty for a network
   *     without class embeddings
   * @return the prediction [n, height, width, channels]
   */
  public <T extends TFloating> Operand<T> forward(
      Operand<T> x, Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    int embeddings = config.labels().embeddings();
    checkArgument(
        labels.isPresent() == embeddings > 0,
        "a network with %s class embeddings was given %s",
        embeddings,
        labels.isPresent() ? "labels" : "no labels");
    return new Pass<T>().forward(x, embedding(timesteps, labels));
  }

  /** Does as above for float32 images in and out, with the hidden images in that precision. */
  public Operand<TFloat32> forward(
      Precision precision,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    return switch (precision) {
      case FLOAT32 -> forward(x, timesteps, labels);
      case BFLOAT16 ->
          Tensors.cast(
              tf, forward(Tensors.cast(tf, x, TBfloat16.class), timesteps, labels), TFloat32.class);
    };
  }

  /**
   * Returns what each residual block learns of timestep and label: [n, features] or [1, features].
   */
  private Operand<TFloat32> embedding(
      Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    int size = config.levels().channels().get(0);
    int features = 4 * size;
    UNetConfig.Conditioning conditioning = config.conditioning();
    Operand<TFloat32> waves =
        Embedding.ofTimesteps(
            tf, timesteps, size, conditioning.flipSinToCos(), conditioning.freqShift());
    Operand<TFloat32> hidden =
        Embedding.silu(tf, linear("time_embedding.linear_1", waves, features));
    Operand<TFloat32> time = linear("time_embedding.linear_2", hidden, features);
    int count = config.labels().embeddings();
    Operand<TFloat32> all =
        labels
            .map(
                chosen ->
                    Embedding.ofLabels(
                        tf,
                        chosen,
                        count,
                        weights.get("class_embedding.weight", Shape.of(count, features))))
            .<Operand<TFloat32>>map(label -> tf.math.add(time, label))
            .orElse(time);
    // Every block starts with this activation, so it is done once.
    return Embedding.silu(tf, all);
  }

  private Operand<TFloat32> linear(String name, Operand<TFloat32> x, long features) {
    return Convolution.linear(tf, weights, name, x, features);
  }

  private Operand<TFloat32> row(String name, long channels) {
    return tf.expandDims(weights.get(name, Shape.of(channels)), tf.constant(0));
  }

  private Operand<TFloat32> columns(Operand<TFloat32> x, int from, int count) {
    return tf.slice(x, tf.constant(new int[] {0, from}), tf.constant(new int[] {-1, count}));
  }

  /**
   * One forward pass.
   *
   * @param <T> the type of the images
   */
  private final class Pass<T extends TFloating> {
    private int drops;

    Operand<T> forward(Operand<T> x, Operand<TFloat32> embedding) {
      List<Integer> channels = config.levels().channels();
      int levels = channels.size();
      int layers = config.levels().layersPerBlock();

      Deque<Operand<T>> skips = new ArrayDeque<>();
      Operand<T> h = conv("conv_in", Convolution.SAME, plain(x), channels.get(0));
      skips.push(h);
      for (int level = 0; level < levels; level++) {
        String block = "down_blocks." + level;
        for (int i = 0; i < layers; i++) {
          h = resnet(block + ".resnets." + i, h, embedding, channels.get(level));
          if (config.attention().down().get(level)) {
            h = attention(block + ".attentions." + i, h, true);
          }
          skips.push(h);
        }
        if (level < levels - 1) {
          h =
              conv(
                  block + ".downsamplers.0.conv",
                  Convolution.halving(config.levels().downsamplePadding()),
                  plain(h),
                  channels.get(level));
          skips.push(h);
        }
      }

      int deepest = channels.get(levels - 1);
      h = resnet("mid_block.resnets.0", h, embedding, deepest);
      if (config.attention().middle()) {
        // Like diffusers: with scale-shift conditioning this one attention has no normalization.
        h = attention("mid_block.attentions.0", h, !config.conditioning().scaleShift());
      }
      h = resnet("mid_block.resnets.1", h, embedding, deepest);

      for (int level = 0; level < levels; level++) {
        String block = "up_blocks." + level;
        int width = channels.get(levels - 1 - level);
        for (int i = 0; i < layers + 1; i++) {
          h = Concat.apply(tf, h, skips.pop());
          h = resnet(block + ".resnets." + i, h, embedding, width);
          if (config.attention().up().get(level)) {
            h = attention(block + ".attentions." + i, h, true);
          }
        }
        if (level < levels - 1) {
          h = conv(block + ".upsamplers.0.conv", Convolution.DOUBLING, plain(h), width);
        }
      }

      GroupNorm.Input<T> last = norm("conv_norm_out", h, true);
      UNetConfig.Picture picture = config.picture();
      Operand<T> out = conv("conv_out", Convolution.SAME, last, picture.outChannels());
      return picture.learnedVariance()
          ? tf.slice(
              out,
              tf.constant(new int[] {0, 0, 0, 0}),
              tf.constant(new int[] {-1, picture.height(), picture.width(), picture.channels()}))
          : out;
    }

    private Operand<T> resnet(
        String name, Operand<T> x, Operand<TFloat32> embedding, int channels) {
      Convolution.Result<T> first =
          Convolution.SAME.layer(
              tf,
              weights,
              name + ".conv1",
              norm(name + ".norm1", x, true),
              3,
              channels,
              Optional.empty());
      Operand<T> shortcut =
          Tensors.channels(x) == channels
              ? first.x()
              : Convolution.POINTWISE
                  .layer(
                      tf,
                      weights,
                      name + ".conv_shortcut",
                      plain(first.x()),
                      1,
                      channels,
                      Optional.empty())
                  .y();
      GroupNorm.Input<T> second = conditionedNorm(name, first.y(), embedding, channels);
      if (config.dropout() > 0 && dropoutSeeds.isPresent()) {
        // What is dropped must be seen, so it can't be left to the convolution.
        second = plain(dropped(second.normalized(tf), dropoutSeeds.get().apply(drops++)));
      }
      return Convolution.SAME
          .layer(tf, weights, name + ".conv2", second, 3, channels, Optional.of(shortcut))
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
     * Tells the second normalization of the timestep by a shift before it or a scale and shift
     * after.
     */
    private GroupNorm.Input<T> conditionedNorm(
        String name, Operand<T> h, Operand<TFloat32> embedding, int channels) {
      String norm = name + ".norm2";
      Operand<TFloat32> gamma = row(norm + ".weight", channels);
      Operand<TFloat32> beta = row(norm + ".bias", channels);
      boolean scaleShift = config.conditioning().scaleShift();
      Operand<TFloat32> condition =
          linear(name + ".time_emb_proj", embedding, scaleShift ? 2L * channels : channels);
      if (!scaleShift) {
        return normalized(h, true, Optional.of(condition), gamma, beta);
      }
      // (gamma·xhat + beta)·scale + shift, of which only the numbers per channel are computed here.
      Operand<TFloat32> scale = tf.math.add(columns(condition, 0, channels), tf.constant(1f));
      Operand<TFloat32> offset =
          tf.math.add(tf.math.mul(beta, scale), columns(condition, channels, channels));
      return normalized(h, true, Optional.empty(), tf.math.mul(gamma, scale), offset);
    }

    /**
     * Applies self-attention over the pixels with a residual connection (Vaswani et al. 2017, eq.
     * 1).
     */
    private Operand<T> attention(String name, Operand<T> x, boolean normalized) {
      GroupNorm.Input<T> in = normalized ? norm(name + ".group_norm", x, false) : plain(x);
      // Each takes x from the one before, so that the gradients are added up on the way back.
      Convolution.Result<T> query = pointwise(name + ".to_q", in, Optional.empty());
      Convolution.Result<T> key = pointwise(name + ".to_k", in.with(query.x()), Optional.empty());
      Convolution.Result<T> value = pointwise(name + ".to_v", in.with(key.x()), Optional.empty());
      Attention heads = new Attention(config.attention().heads((int) Tensors.channels(x)));
      Operand<T> mixed = heads.apply(tf, query.y(), key.y(), value.y());
      return pointwise(name + ".to_out.0", plain(mixed), Optional.of(value.x())).y();
    }

    private Convolution.Result<T> pointwise(
        String name, GroupNorm.Input<T> in, Optional<Operand<T>> added) {
      return Convolution.pointwise(tf, weights, name, in, Tensors.channels(in.images()), added);
    }

    private Operand<T> conv(
        String name, Convolution convolution, GroupNorm.Input<T> in, int channels) {
      return convolution.layer(tf, weights, name, in, 3, channels, Optional.empty()).y();
    }

    private GroupNorm.Input<T> norm(String name, Operand<T> x, boolean silu) {
      long channels = Tensors.channels(x);
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
      UNetConfig.Normalization usual = config.normalization();
      GroupNorm norm = new GroupNorm(usual.groups(), usual.epsilon(), silu);
      return new GroupNorm.Input<>(
          x, Optional.of(norm), shift, Optional.of(gamma), Optional.of(beta));
    }

    private GroupNorm.Input<T> plain(Operand<T> x) {
      return GroupNorm.Input.of(x);
    }
  }
}

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
import org.tensorflow.types.TFloat16;
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
   * @param config the network's shape
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
   * {@return the weights that a network asks for: their shapes by name, in the order in which it
   * asks} They are read off a graph, so that there is no list beside it that could differ.
   *
   * @param config the network's shape
   * @throws IllegalArgumentException if no such network can be built
   */
  public static Map<String, Shape> shapes(UNetConfig config) {
    return shapes(config, (name, shape) -> {});
  }

  /**
   * {@return the same for a network that may be larger than what its weights are in}
   *
   * @param config the network's shape
   * @param asked is told of each weight as it is asked for; what it throws ends it
   */
  public static Map<String, Shape> shapes(UNetConfig config, BiConsumer<String, Shape> asked) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    UNetConfig.Picture picture = config.picture();
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Shape images = Shape.of(-1, picture.height(), picture.width(), picture.inChannels());
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
   * {@return this network in training: the {@linkplain UNetConfig#dropout share} of hidden values
   * that the configuration says is set to 0, and the others are scaled up}
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
   * @param <T> type of the images, in and out: float32, bfloat16 or float16
   * @param x noisy images [n, height, width, inChannels], all but n known, about [-4, 4]; their
   *     type is that of the hidden images too, which decides the precision
   * @param timesteps [n], or [1] for the same timestep for all; in [0, T-1], whole or fractional
   * @param labels [n], each in [0, {@code config.labels().embeddings()}); empty for a network
   *     without class embeddings
   * @return the prediction [n, height, width, channels]
   */
  public <T extends TFloating> Operand<T> forward(
      Operand<T> x, Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    return prediction(outputs(x, timesteps, labels));
  }

  private <T extends TFloating> Operand<T> outputs(
      Operand<T> x, Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels) {
    int embeddings = config.labels().embeddings();
    checkArgument(
        labels.isPresent() == embeddings > 0,
        "a network with %s class embeddings was given %s",
        embeddings,
        labels.isPresent() ? "labels" : "no labels");
    return outputs(x, Embedding.of(tf, config, weights, timesteps, labels));
  }

  /**
   * Does as above for float32 images in and out, with the hidden images in that precision.
   *
   * @param precision of the hidden images
   * @param x noisy images [n, height, width, inChannels], float32
   * @param timesteps [n], or [1] for the same timestep for all; in [0, T-1]
   * @param labels [n]; empty for a network without class embeddings
   * @return the prediction [n, height, width, channels]
   */
  public Operand<TFloat32> forward(
      Precision precision,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    return prediction(outputs(precision, x, timesteps, labels));
  }

  /**
   * Does the same, with all that the network makes: the channels of the {@link #prediction}, and
   * after them those of the {@link #variance}, if it learned one.
   *
   * @param precision of the hidden images
   * @param x noisy images [n, height, width, inChannels], float32
   * @param timesteps [n], or [1] for the same timestep for all; in [0, T-1]
   * @param labels [n]; empty for a network without class embeddings
   * @return [n, height, width, outChannels]
   */
  public Operand<TFloat32> outputs(
      Precision precision,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    return switch (precision) {
      case FLOAT32 -> outputs(x, timesteps, labels);
      case BFLOAT16 -> outputs(TBfloat16.class, x, timesteps, labels);
      case FLOAT16 -> outputs(TFloat16.class, x, timesteps, labels);
    };
  }

  private Operand<TFloat32> outputs(
      Class<? extends TFloating> hidden,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    return Tensors.cast(
        tf, outputs(Tensors.cast(tf, x, hidden), timesteps, labels), TFloat32.class);
  }

  /**
   * {@return what the network predicts, of its outputs}
   *
   * @param <T> type of the outputs
   * @param outputs [n, height, width, outChannels]
   */
  public <T extends TFloating> Operand<T> prediction(Operand<T> outputs) {
    return config.picture().learnedVariance() ? channels(outputs, 0) : outputs;
  }

  /**
   * {@return the variance that the network learned, of its outputs, of which -1 is the least and 1
   * the most; see {@link io.github.ddpm.Predictor#predictVariance}}
   *
   * @param outputs [n, height, width, outChannels]
   */
  public Operand<TFloat32> variance(Operand<TFloat32> outputs) {
    checkArgument(config.picture().learnedVariance(), "the network learned no variance");
    Operand<TFloat32> half = tf.constant(0.5f);
    return tf.math.add(tf.math.mul(channels(outputs, config.picture().channels()), half), half);
  }

  /** Returns as many channels as a picture has, from one of them on. */
  private <T extends TFloating> Operand<T> channels(Operand<T> outputs, int first) {
    UNetConfig.Picture picture = config.picture();
    return tf.slice(
        outputs,
        tf.constant(new int[] {0, 0, 0, first}),
        tf.constant(new int[] {-1, picture.height(), picture.width(), picture.channels()}));
  }

  private <T extends TFloating> Operand<T> outputs(Operand<T> noisy, Operand<TFloat32> embedding) {
    Blocks<T> blocks = new Blocks<>(tf, config, weights, dropoutSeeds);
    UNetConfig.Levels shape = config.levels();
    List<Integer> channels = shape.channels();
    int levels = channels.size();
    int layers = shape.layersPerBlock();
    UNetConfig.Picture picture = config.picture();

    Operand<T> x = picture.centered() ? centered(noisy) : noisy;
    Deque<Operand<T>> skips = new ArrayDeque<>();
    Operand<T> h = blocks.conv("conv_in", Convolution.SAME, x, channels.get(0));
    skips.push(h);
    for (int level = 0; level < levels; level++) {
      String block = "down_blocks." + level;
      for (int i = 0; i < layers; i++) {
        h = blocks.resnet(block + ".resnets." + i, h, embedding, channels.get(level));
        if (config.attention().down().get(level)) {
          h = blocks.attention(block + ".attentions." + i, h);
        }
        skips.push(h);
      }
      if (level < levels - 1) {
        String name = block + ".downsamplers.0";
        h =
            switch (shape.down().get(level)) {
              case CONV ->
                  blocks.conv(
                      name + ".conv",
                      Convolution.halving(shape.downsamplePadding()),
                      h,
                      channels.get(level));
              case RESNET -> blocks.halvingResnet(name, h, embedding);
            };
        skips.push(h);
      }
    }

    if (config.middle().isPresent()) {
      h = blocks.middle(config.middle().get(), h, embedding);
    }

    for (int level = 0; level < levels; level++) {
      String block = "up_blocks." + level;
      int width = channels.get(levels - 1 - level);
      for (int i = 0; i < layers + 1; i++) {
        h = Concat.apply(tf, h, skips.pop());
        h = blocks.resnet(block + ".resnets." + i, h, embedding, width);
        if (config.attention().up().get(level)) {
          h = blocks.attention(block + ".attentions." + i, h);
        }
      }
      if (level < levels - 1) {
        String name = block + ".upsamplers.0";
        h =
            switch (shape.up().get(level)) {
              case CONV -> blocks.conv(name + ".conv", Convolution.DOUBLING, h, width);
              case RESNET -> blocks.doublingResnet(name, h, embedding);
            };
      }
    }

    return blocks.last("conv_norm_out", "conv_out", h, picture.outChannels());
  }

  /** Returns 2x - 1. */
  private <T extends TFloating> Operand<T> centered(Operand<T> x) {
    Operand<TFloat32> wide = Tensors.cast(tf, x, TFloat32.class);
    return Tensors.cast(tf, tf.math.sub(tf.math.add(wide, wide), tf.constant(1f)), x.type());
  }
}

package io.github.ddpm.tf.graph;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * A convolution and what stands around it in a U-Net: a normalization before, images that are added
 * after. Along each axis output o sees, through weight k of the kernel, input {@code floor((o·down
 * + k - padding) / up)}, or zero outside of the image.
 *
 * <p>Images have any floating type, filters and biases are float32. Two ways give the same: one
 * operation of our own, or a chain of TensorFlow's.
 *
 * @param padding zeros before the first row and column, 0 or 1
 * @param down 2 halves height and width, 1 leaves them
 * @param up 2 doubles them by repeating pixels first, 1 leaves them
 */
record Convolution(int padding, int down, int up) {
  /** A 3x3 convolution that keeps the size. */
  static final Convolution SAME = new Convolution(1, 1, 1);

  /** A linear layer on the channels of each pixel. */
  static final Convolution POINTWISE = new Convolution(0, 1, 1);

  /** Doubles height and width by repeating pixels, then a 3x3 convolution. */
  static final Convolution DOUBLING = new Convolution(1, 1, 2);

  /** Our operations, by what they do to the size; the gradient of all is {@link #gradient}. */
  static final String KERNEL = "DdpmConv";

  static final String HALVING_KERNEL = "DdpmConvHalving";
  static final String DOUBLING_KERNEL = "DdpmConvDoubling";

  /**
   * Halves height and width, which are even, by a 3x3 convolution.
   *
   * @param padding 0 pads below and to the right only, which is what TensorFlow's SAME does here; 1
   *     pads all around
   */
  static Convolution halving(int padding) {
    return new Convolution(padding, 2, 1);
  }

  /**
   * What comes out.
   *
   * @param y the images
   * @param x the images that went in. Whoever else uses those should take them from here: then
   *     their gradient is added to that of the normalization while it is computed, not in a pass of
   *     its own.
   */
  record Result<T extends TFloating>(Operand<T> y, Operand<T> x) {}

  /**
   * Convolves images with weights of a network.
   *
   * @param weights have {@code name.weight}, [kernel, kernel, in, channels], and {@code name.bias}
   * @param in images [n, height, width, in], all but n known
   * @param kernel height and width of the filter, 1 or 3
   * @param channels that come out
   * @param added to the result, of its shape
   */
  <T extends TFloating> Result<T> layer(
      Ops tf,
      Weights weights,
      String name,
      GroupNorm.Input<T> in,
      long kernel,
      long channels,
      Optional<Operand<T>> added) {
    Shape filter = Shape.of(kernel, kernel, Tensors.channels(in.images()), channels);
    return apply(tf, weights, name, in, filter, channels, added);
  }

  /**
   * Applies a linear layer to the channels of each pixel, with weights of a network.
   *
   * @param weights have {@code name.weight}, which is [channels, in], as in PyTorch, and {@code
   *     name.bias}
   * @param channels that come out
   * @param added to the result, of its shape
   */
  static <T extends TFloating> Result<T> pointwise(
      Ops tf,
      Weights weights,
      String name,
      GroupNorm.Input<T> in,
      long channels,
      Optional<Operand<T>> added) {
    Shape filter = Shape.of(channels, Tensors.channels(in.images()));
    return POINTWISE.apply(tf, weights, name, in, filter, channels, added);
  }

  private <T extends TFloating> Result<T> apply(
      Ops tf,
      Weights weights,
      String name,
      GroupNorm.Input<T> in,
      Shape filter,
      long channels,
      Optional<Operand<T>> added) {
    return apply(
        tf,
        in,
        weights.get(name + ".weight", filter),
        weights.get(name + ".bias", Shape.of(channels)),
        added);
  }

  /** Computes {@code x·weightᵀ + bias} of vectors: [n, in] to [n, features]. */
  static Operand<TFloat32> linear(
      Ops tf, Weights weights, String name, Operand<TFloat32> x, long features) {
    // The rows of x as the pixels of one image.
    Operand<TFloat32> image = tf.reshape(x, tf.constant(new long[] {1, 1, -1, x.shape().get(1)}));
    Operand<TFloat32> y =
        pointwise(tf, weights, name, GroupNorm.Input.of(image), features, Optional.empty()).y();
    return tf.reshape(y, tf.constant(new long[] {-1, features}));
  }

  /**
   * Convolves images.
   *
   * @param in images [n, height, width, in], all but n known
   * @param filter [kernel, kernel, in, out], with a kernel of 1 or 3; or of a linear layer, [out,
   *     in]
   * @param bias [out]
   * @param added to the result, of its shape
   */
  <T extends TFloating> Result<T> apply(
      Ops tf,
      GroupNorm.Input<T> in,
      Operand<TFloat32> filter,
      Operand<TFloat32> bias,
      Optional<Operand<T>> added) {
    return Tensors.haveKernels(in.images())
        ? byKernel(tf, in, filter, bias, added)
        : composed(tf, in, filter, bias, added);
  }

  <T extends TFloating> Result<T> byKernel(
      Ops tf,
      GroupNorm.Input<T> given,
      Operand<TFloat32> filter,
      Operand<TFloat32> bias,
      Optional<Operand<T>> added) {
    GroupNorm.Input<T> in = given.forKernel(tf);
    Operand<T> x = in.images();
    Operand<TFloat32> none =
        tf.fill(tf.constant(new long[] {0, Tensors.channels(x)}), tf.constant(0f));
    Operand<T> nothing =
        tf.fill(tf.constant(new long[] {0, 1, 1, 1}), Tensors.cast(tf, tf.constant(0f), x.type()));
    Operation op =
        Kernels.builder(tf, down == 2 ? HALVING_KERNEL : up == 2 ? DOUBLING_KERNEL : KERNEL)
            .addInput(x.asOutput())
            .addInput(in.shift().orElse(none).asOutput())
            .addInput(in.gamma().orElse(none).asOutput())
            .addInput(in.beta().orElse(none).asOutput())
            .addInput(filter.asOutput())
            .addInput(bias.asOutput())
            .addInput(added.orElse(nothing).asOutput())
            .setAttr("padding", padding)
            .setAttr("down", down)
            .setAttr("up", up)
            .setAttr("groups", in.norm().map(GroupNorm::groups).orElse(0))
            .setAttr("epsilon", in.norm().map(GroupNorm::epsilon).orElse(0.0).floatValue())
            .setAttr("silu", in.norm().flatMap(GroupNorm::activation).isPresent())
            // Then it is packed for the processor once.
            .setAttr("frozen", FrozenWeights.mayBePacked(filter.op()))
            .build();
    return new Result<>(op.<T>output(0), in.norm().isPresent() ? op.<T>output(2) : given.images());
  }

  /**
   * Returns the gradient of {@link #byKernel}. While it runs TensorFlow holds the graph's lock, so
   * nothing may be asked here of a shape or a type.
   *
   * @param gradients of y, of the statistics (which nobody uses) and of x as it was passed on
   */
  static List<Operand<?>> gradient(Ops tf, GraphOperation op, List<Output<?>> gradients) {
    Output<?> ofY = gradients.get(0);
    Output<?> ofX = gradients.get(2);
    Operation images =
        attributes(
                Kernels.builder(tf, "DdpmConvGradImages").addInput(op.input(4)).addInput(ofY), op)
            .build();
    OperationBuilder filter = Kernels.builder(tf, "DdpmConvGradFilter");
    for (int i = 0; i < 4; i++) {
      filter.addInput(op.input(i));
    }
    Operation weights =
        attributes(filter.addInput(op.output(1)).addInput(op.input(4)).addInput(ofY), op).build();
    List<Operand<?>> result = new ArrayList<>();
    if (op.attributes().getAttrInt("groups") > 0) {
      OperationBuilder norm = Kernels.builder(tf, "DdpmGroupNormGrad");
      for (int i = 0; i < 4; i++) {
        norm.addInput(op.input(i));
      }
      Operation ofNorm =
          norm.addInput(op.output(1))
              .addInput(images.output(0))
              // A tensor without values, for TensorFlow's zeros where nobody used x.
              .addInput(ofX.op().type().equals("ZerosLike") ? empty(tf, ofY) : ofX)
              .setAttr("groups", op.attributes().getAttrInt("groups"))
              .setAttr("silu", op.attributes().getAttrBool("silu"))
              .build();
      for (int i = 0; i < 4; i++) {
        result.add(ofNorm.output(i));
      }
    } else {
      result.add(images.output(0));
      for (int i = 1; i < 4; i++) {
        // There is none: these are constants without values.
        result.add(op.input(i));
      }
    }
    result.add(weights.output(0));
    result.add(weights.output(1));
    result.add(ofY);
    return result;
  }

  <T extends TFloating> Result<T> composed(
      Ops tf,
      GroupNorm.Input<T> in,
      Operand<TFloat32> filter,
      Operand<TFloat32> bias,
      Optional<Operand<T>> added) {
    Operand<T> x = in.normalized(tf);
    if (up == 2) {
      x = Tensors.doubled(tf, x);
    }
    boolean padded = down == 2 && padding == 1;
    if (padded) {
      x =
          tf.pad(
              x,
              tf.constant(new int[][] {{0, 0}, {1, 1}, {1, 1}, {0, 0}}),
              Tensors.cast(tf, tf.constant(0f), x.type()));
    }
    Operand<TFloat32> kernel = filter;
    if (filter.shape().numDimensions() == 2) {
      Operand<TInt32> transposed = tf.constant(new int[] {1, 0});
      kernel =
          tf.expandDims(
              tf.expandDims(tf.linalg.transpose(filter, transposed), tf.constant(0)),
              tf.constant(0));
    }
    String border = padded ? "VALID" : "SAME";
    Operand<T> y =
        TensorFlowRuntime.hasGpu()
            ? convolved(tf, x, kernel, bias, border)
            // On CPUs, TensorFlow adds up gradients in bfloat16, and those of the images are not
            // initialized where one channel comes out; of float16 it multiplies number by number.
            : Tensors.cast(
                tf,
                convolved(tf, Tensors.cast(tf, x, TFloat32.class), kernel, bias, border),
                x.type());
    return new Result<>(added.isPresent() ? tf.math.add(added.get(), y) : y, in.images());
  }

  private <T extends TFloating> Operand<T> convolved(
      Ops tf, Operand<T> x, Operand<TFloat32> filter, Operand<TFloat32> bias, String border) {
    return tf.nn.biasAdd(
        tf.nn.conv2d(
            x,
            Tensors.cast(tf, filter, x.type()),
            List.of(1L, (long) down, (long) down, 1L),
            border),
        Tensors.cast(tf, bias, x.type()));
  }

  private static OperationBuilder attributes(OperationBuilder builder, GraphOperation like) {
    for (String name : List.of("padding", "down", "up", "groups")) {
      builder.setAttr(name, like.attributes().getAttrInt(name));
    }
    return builder
        .setAttr("epsilon", like.attributes().getAttrFloat("epsilon"))
        .setAttr("silu", like.attributes().getAttrBool("silu"))
        .setAttr("frozen", false);
  }

  private static Output<?> empty(Ops tf, Output<?> like) {
    return Kernels.builder(tf, "Slice")
        .addInput(like)
        .addInput(tf.constant(new int[4]).asOutput())
        .addInput(tf.constant(new int[4]).asOutput())
        .build()
        .output(0);
  }
}

package io.github.ddpm.examples.measures;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/** The network of the digit classifier, as functions from operands to operands. */
final class ClassifierNetwork {
  /** Pictures have this height and width. */
  static final int SIZE = 28;

  static final int CLASSES = 10;

  /** A feature vector has this length. */
  static final int FEATURES = 128;

  /** The weights in TensorFlow's order of axes. */
  static final Map<String, Shape> SHAPES = new LinkedHashMap<>();

  static {
    SHAPES.put("conv1.weight", Shape.of(5, 5, 1, 32));
    SHAPES.put("conv1.bias", Shape.of(32));
    SHAPES.put("conv2.weight", Shape.of(3, 3, 32, 64));
    SHAPES.put("conv2.bias", Shape.of(64));
    SHAPES.put("conv3.weight", Shape.of(3, 3, 64, 128));
    SHAPES.put("conv3.bias", Shape.of(128));
    SHAPES.put("linear1.weight", Shape.of(3 * 3 * 128, FEATURES));
    SHAPES.put("linear1.bias", Shape.of(FEATURES));
    SHAPES.put("linear2.weight", Shape.of(FEATURES, CLASSES));
    SHAPES.put("linear2.bias", Shape.of(CLASSES));
  }

  private ClassifierNetwork() {}

  /** Returns the place for pictures [n, 28, 28, 1] with values in [-1, 1]. */
  static Placeholder<TFloat32> images(Ops tf) {
    return tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, SIZE, SIZE, 1)));
  }

  /** Returns pictures as a tensor to feed. */
  static TFloat32 tensor(float[] pixels) {
    return TFloat32.tensorOf(
        Shape.of(pixels.length / (SIZE * SIZE), SIZE, SIZE, 1), DataBuffers.of(pixels));
  }

  /**
   * Computes what the network sees in pictures.
   *
   * @param weights gives those of each name in {@link #SHAPES}
   * @param x pictures [n, 28, 28, 1]
   * @return [n, 128]
   */
  static Operand<TFloat32> features(
      Ops tf, Function<String, Operand<TFloat32>> weights, Operand<TFloat32> x) {
    Operand<TFloat32> hidden = x;
    for (String layer : List.of("conv1", "conv2", "conv3")) {
      Operand<TFloat32> convolved =
          tf.nn.conv2d(hidden, weights.apply(layer + ".weight"), List.of(1L, 1L, 1L, 1L), "SAME");
      hidden =
          tf.nn.maxPool(
              tf.nn.relu(tf.nn.biasAdd(convolved, weights.apply(layer + ".bias"))),
              tf.constant(new int[] {1, 2, 2, 1}),
              tf.constant(new int[] {1, 2, 2, 1}),
              "VALID");
    }
    Operand<TFloat32> flat = tf.reshape(hidden, tf.constant(new int[] {-1, 3 * 3 * 128}));
    return tf.nn.relu(linear(tf, weights, "linear1", flat));
  }

  /**
   * Computes the logits of the classes.
   *
   * @param weights gives those of each name in {@link #SHAPES}
   * @param features [n, 128]
   * @return [n, 10]
   */
  static Operand<TFloat32> logits(
      Ops tf, Function<String, Operand<TFloat32>> weights, Operand<TFloat32> features) {
    return linear(tf, weights, "linear2", features);
  }

  private static Operand<TFloat32> linear(
      Ops tf, Function<String, Operand<TFloat32>> weights, String layer, Operand<TFloat32> x) {
    return tf.math.add(
        tf.linalg.matMul(x, weights.apply(layer + ".weight")), weights.apply(layer + ".bias"));
  }
}

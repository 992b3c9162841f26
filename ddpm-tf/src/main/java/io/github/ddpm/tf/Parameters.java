package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.FloatBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.tensorflow.Graph;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The weights that a network has: names and shapes in the order in which its graph asks for them,
 * laid end to end in one vector.
 *
 * @param shapes by name, in TensorFlow's order of axes
 */
record Parameters(Map<String, Shape> shapes) {
  /** Reads them off the graph, so that there is no list beside it that could differ. */
  static Parameters of(UNetConfig config) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    try (Graph graph = Sessions.graph()) {
      Ops tf = Ops.create(graph);
      UNet.forward(
          tf,
          config,
          (name, shape) -> {
            checkArgument(shapes.put(name, shape) == null, "weight %s was asked for twice", name);
            return tf.placeholder(TFloat32.class, Placeholder.shape(shape));
          },
          tf.placeholder(
              TFloat32.class,
              Placeholder.shape(Shape.of(-1, config.height(), config.width(), config.channels()))),
          tf.constant(new float[] {0}),
          config.classEmbeddings() == 0
              ? Optional.empty()
              : Optional.of(tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)))));
    }
    return new Parameters(shapes);
  }

  /** The length of the vector. */
  int size() {
    return Math.toIntExact(shapes.values().stream().mapToLong(Shape::size).sum());
  }

  /**
   * The vector of these weights.
   *
   * @param weights exactly those that the network has, in PyTorch's order of axes
   */
  float[] pack(Map<String, Weight> weights) {
    FloatBuffer vector = FloatBuffer.allocate(size());
    shapes.forEach(
        (name, shape) -> vector.put(weights.get(name).toTensorFlow().values().duplicate()));
    return vector.array();
  }

  /** The weights of a vector, in PyTorch's order of axes. */
  Map<String, Weight> unpack(float[] vector) {
    Map<String, Weight> weights = new LinkedHashMap<>();
    int offset = 0;
    for (Map.Entry<String, Shape> entry : shapes.entrySet()) {
      int size = (int) entry.getValue().size();
      FloatBuffer values = FloatBuffer.wrap(vector, offset, size).slice();
      weights.put(entry.getKey(), new Weight(entry.getValue(), values).toPyTorch());
      offset += size;
    }
    return weights;
  }

  /**
   * A vector to start training from, initialized as PyTorch does: weights and biases of
   * convolutions and linear layers are uniform in ±1/√(inputs), normalizations start as the
   * identity, embeddings are N(0, 1).
   */
  float[] initial(long seed) {
    // java.util.Random, because its documentation fixes the numbers.
    Random random = new Random(seed);
    FloatBuffer vector = FloatBuffer.allocate(size());
    shapes.forEach(
        (name, shape) -> {
          Shape weight = shapes.get(name.replaceFirst("bias$", "weight"));
          for (long i = 0; i < shape.size(); i++) {
            if (weight.numDimensions() == 1) {
              vector.put(name.endsWith("bias") ? 0 : 1);
            } else if (name.equals("class_embedding.weight")) {
              vector.put((float) random.nextGaussian());
            } else {
              vector.put(
                  (float) ((2 * random.nextDouble() - 1) / Math.sqrt((double) inputs(weight))));
            }
          }
        });
    return vector.array();
  }

  /**
   * Inputs of one output: [height, width, in, out] of a convolution, [out, in] of a linear layer.
   */
  private static long inputs(Shape weight) {
    return weight.numDimensions() == 4
        ? weight.get(0) * weight.get(1) * weight.get(2)
        : weight.get(1);
  }
}

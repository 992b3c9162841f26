package io.github.ddpm.tf;

import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.files.WeightSource;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.tensorflow.ndarray.Shape;

/**
 * How the weights of a network in training lie end to end in one vector: names and shapes in the
 * order in which the network's graph asks for them.
 *
 * @param shapes by name, in TensorFlow's order of axes
 */
record WeightLayout(Map<String, Shape> shapes) {
  /** Returns the length of the vector. */
  int size() {
    return Math.toIntExact(shapes.values().stream().mapToLong(Shape::size).sum());
  }

  /**
   * Returns the vector of some weights.
   *
   * @param weights exactly those that the network has
   * @throws IOException if they are not, or can't be read
   */
  float[] pack(WeightSource weights) throws IOException {
    FloatBuffer vector = FloatBuffer.allocate(size());
    for (Map.Entry<String, Shape> entry : shapes.entrySet()) {
      vector.put(weights.get(entry.getKey(), entry.getValue()).values().duplicate());
    }
    weights.checkNothingLeft();
    return vector.array();
  }

  /** Returns the weights of a vector, in PyTorch's order of axes. */
  Map<String, Weight> unpack(float[] vector) {
    Map<String, Weight> weights = new LinkedHashMap<>();
    slices(vector).forEach((name, weight) -> weights.put(name, weight.toPyTorch()));
    return weights;
  }

  /** Returns the weights of a vector, for a network of this layout. */
  WeightSource source(float[] vector) {
    Map<String, Weight> slices = slices(vector);
    return new WeightSource() {
      @Override
      public Weight get(String name, Shape shape) {
        return slices.get(name);
      }

      @Override
      public void checkNothingLeft() {}
    };
  }

  private Map<String, Weight> slices(float[] vector) {
    Map<String, Weight> weights = new LinkedHashMap<>();
    int offset = 0;
    for (Map.Entry<String, Shape> entry : shapes.entrySet()) {
      int size = (int) entry.getValue().size();
      FloatBuffer values = FloatBuffer.wrap(vector, offset, size).slice();
      weights.put(entry.getKey(), new Weight(entry.getValue(), values));
      offset += size;
    }
    return weights;
  }

  /**
   * Returns a vector to start training from, initialized as PyTorch does: weights and biases of
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
   * Counts the inputs of one output: [height, width, in, out] of a convolution, [out, in] of a
   * linear layer.
   */
  private static long inputs(Shape weight) {
    return weight.numDimensions() == 4
        ? weight.get(0) * weight.get(1) * weight.get(2)
        : weight.get(1);
  }
}

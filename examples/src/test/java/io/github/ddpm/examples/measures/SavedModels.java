package io.github.ddpm.examples.measures;

import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.BiFunction;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Session;
import org.tensorflow.Signature;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.StdArrays;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TFloat32;

/** SavedModels whose features are known in advance, made by TensorFlow itself. */
public final class SavedModels {
  private SavedModels() {}

  /**
   * Writes one that multiplies the means of the channels by weights.
   *
   * @param size of the pictures; -1 for any
   * @param weights [channels, features], kept as a variable
   * @return the folder
   */
  public static Path ofMeans(Path folder, int size, float[]... weights) throws IOException {
    return write(
        folder,
        size,
        weights.length,
        weights,
        (tf, x) -> tf.math.mean(x, tf.constant(new int[] {1, 2})));
  }

  /** Writes one whose features are all values of a picture. */
  static Path ofPixels(Path folder, int size, int channels) throws IOException {
    int all = size * size * channels;
    float[][] identity = new float[all][all];
    for (int i = 0; i < all; i++) {
      identity[i][i] = 1;
    }
    return write(
        folder,
        size,
        channels,
        identity,
        (tf, x) -> tf.reshape(x, tf.constant(new int[] {-1, all})));
  }

  private static Path write(
      Path folder,
      int size,
      int channels,
      float[][] weights,
      BiFunction<Ops, Operand<TFloat32>, Operand<TFloat32>> vectors)
      throws IOException {
    return write(
        folder,
        tf -> {
          Placeholder<TFloat32> x = input(tf, Shape.of(-1, size, size, channels));
          return Signature.builder()
              .input("pictures", x)
              .output("features", tf.linalg.matMul(vectors.apply(tf, x), variable(tf, weights)))
              .build();
        });
  }

  static Placeholder<TFloat32> input(Ops tf, Shape shape) {
    return tf.placeholder(TFloat32.class, Placeholder.shape(shape));
  }

  private static Variable<TFloat32> variable(Ops tf, float[]... values) {
    return tf.variable(tf.constant(StdArrays.ndCopyOf(values)));
  }

  /** What a SavedModel computes, and what it says of that. */
  interface Content {
    Signature build(Ops tf);
  }

  /** Writes one signature or more of one graph. */
  static Path write(Path folder, Content... contents) throws IOException {
    try (Graph graph = TensorFlowRuntime.graph();
        Session session = TensorFlowRuntime.session(graph)) {
      Ops tf = TensorFlowRuntime.ops(graph);
      SavedModelBundle.Exporter exporter =
          SavedModelBundle.exporter(folder.toString()).withSession(session);
      for (Content content : contents) {
        exporter.withSignature(content.build(tf));
      }
      session.initialize();
      exporter.export();
    }
    return folder;
  }
}

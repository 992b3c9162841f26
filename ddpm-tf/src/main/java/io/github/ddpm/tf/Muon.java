package io.github.ddpm.tf;

import io.github.ddpm.tf.graph.NewtonSchulz;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BinaryOperator;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * The directions of Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural
 * networks"): each matrix goes along its orthogonalized momentum, with steps as long as AdamW's
 * (Liu et al. 2025, "Muon is Scalable for LLM Training", eq. 4), so that both take the same
 * learning rates. What is no matrix, and what the network begins and ends with, goes as by AdamW.
 */
final class Muon {
  /** A step of AdamW has about this root mean square. */
  private static final double ROOT_MEAN_SQUARE = 0.2;

  private final Ops tf;
  private final double beta;
  private final List<Shape> shapes;

  /** The places in the layout of the weights that this is for. */
  private final List<Integer> hidden = new ArrayList<>();

  /** The places of all others. */
  private final List<Integer> others = new ArrayList<>();

  /**
   * Prepares the directions.
   *
   * @param beta share of the momentum that a step keeps
   */
  Muon(Ops tf, WeightLayout layout, double beta) {
    this.tf = tf;
    this.beta = beta;
    this.shapes = List.copyOf(layout.shapes().values());
    int place = 0;
    for (Map.Entry<String, Shape> weight : layout.shapes().entrySet()) {
      (isHiddenMatrix(weight.getKey(), weight.getValue()) ? hidden : others).add(place);
      place++;
    }
  }

  /** Tells whether a weight is one that Muon is for. */
  static boolean isHiddenMatrix(String name, Shape shape) {
    return shape.numDimensions() > 1
        && !name.startsWith("conv_in.")
        && !name.startsWith("conv_out.")
        && !name.startsWith("class_embedding.");
  }

  /**
   * Returns the vector of directions.
   *
   * @param gradient a vector of the layout
   * @param first the moving average of the gradient
   * @param second that of its square
   * @param adam makes AdamW's directions of both
   */
  Operand<TFloat32> directions(
      Operand<TFloat32> gradient,
      Operand<TFloat32> first,
      Operand<TFloat32> second,
      BinaryOperator<Operand<TFloat32>> adam) {
    List<Output<TFloat32>> gradients = split(gradient, shapes);
    List<Output<TFloat32>> firsts = split(first, shapes);
    List<Operand<TFloat32>> directions = new ArrayList<>(firsts);
    List<Operand<TFloat32>> matrices = new ArrayList<>();
    for (int place : hidden) {
      // Nesterov's momentum.
      Operand<TFloat32> momentum =
          tf.math.add(
              tf.math.mul(firsts.get(place), tf.constant((float) beta)),
              tf.math.mul(gradients.get(place), tf.constant((float) (1 - beta))));
      matrices.add(matrix(momentum, shapes.get(place)));
    }
    List<Operand<TFloat32>> orthogonal = NewtonSchulz.orthogonalize(tf, matrices);
    for (int i = 0; i < hidden.size(); i++) {
      directions.set(hidden.get(i), direction(orthogonal.get(i), matrices.get(i).shape()));
    }
    List<Output<TFloat32>> byAdam =
        split(
            adam.apply(others(firsts), others(split(second, shapes))),
            others.stream().map(shapes::get).toList());
    for (int i = 0; i < others.size(); i++) {
      directions.set(others.get(i), byAdam.get(i));
    }
    return tf.concat(directions, tf.constant(0));
  }

  private List<Output<TFloat32>> split(Operand<TFloat32> vector, List<Shape> parts) {
    int[] sizes = parts.stream().mapToInt(part -> (int) part.size()).toArray();
    return tf.splitV(vector, tf.constant(sizes), tf.constant(0), (long) sizes.length).output();
  }

  /** Returns those parts of a vector that Muon is not for, end to end. */
  private Operand<TFloat32> others(List<Output<TFloat32>> parts) {
    List<Operand<TFloat32>> chosen = new ArrayList<>();
    others.forEach(place -> chosen.add(parts.get(place)));
    return tf.concat(chosen, tf.constant(0));
  }

  /** Returns a weight as a matrix: a convolution has a column for each of its outputs. */
  private Operand<TFloat32> matrix(Operand<TFloat32> values, Shape shape) {
    long columns = shape.get(shape.numDimensions() - 1);
    return tf.reshape(values, tf.constant(new long[] {shape.size() / columns, columns}));
  }

  private Operand<TFloat32> direction(Operand<TFloat32> orthogonal, Shape matrix) {
    double length = ROOT_MEAN_SQUARE * Math.sqrt((double) Math.max(matrix.get(0), matrix.get(1)));
    return tf.math.mul(
        tf.reshape(orthogonal, tf.constant(new long[] {matrix.size()})),
        tf.constant((float) length));
  }
}

package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

class NewtonSchulzTest {
  /** Some that are stacked, some by themselves, and two that are too large for a stack. */
  private static final int[][] SHAPES = {
    {72, 8}, {8, 24}, {8, 8}, {16, 40}, {130, 300}, {300, 130}, {1, 5}
  };

  /** The iteration enlarges small singular values, and what rounding did to them. */
  @Test
  void matricesAreWhatTheIterationOfThePaperMakesOfThem() {
    List<float[]> matrices = new ArrayList<>();
    Random random = new Random(1);
    for (int[] shape : SHAPES) {
      float[] values = new float[shape[0] * shape[1]];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) random.nextGaussian() / 100;
      }
      matrices.add(values);
    }
    List<float[]> results = orthogonalized(matrices);
    for (int i = 0; i < SHAPES.length; i++) {
      Operands.assertClose(
          results.get(i), defined(matrices.get(i), SHAPES[i][0], SHAPES[i][1]), 1e-3);
    }
  }

  @Test
  void singularValuesComeNearToOne() {
    float[] diagonal = {3, 0, 0, 0, 0.01f, 0};
    float[] orthogonal = orthogonalized(List.of(new int[] {2, 3}), List.of(diagonal)).get(0);
    assertThat(orthogonal[0]).isBetween(0.65f, 1.25f);
    assertThat(orthogonal[4]).isBetween(0.65f, 1.25f);
    assertThat(orthogonal[1]).isZero();
  }

  @Test
  void aMatrixOfZerosStaysWhatItIs() {
    float[] result = orthogonalized(List.of(new int[] {4, 6}), List.of(new float[24])).get(0);
    assertThat(result).containsOnly(0f);
  }

  private static List<float[]> orthogonalized(List<float[]> matrices) {
    return orthogonalized(Arrays.asList(SHAPES), matrices);
  }

  private static List<float[]> orthogonalized(List<int[]> shapes, List<float[]> matrices) {
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      List<Operand<TFloat32>> operands = new ArrayList<>();
      for (int i = 0; i < matrices.size(); i++) {
        operands.add(tf.reshape(tf.constant(matrices.get(i)), tf.constant(shapes.get(i))));
      }
      List<Operand<TFloat32>> results = NewtonSchulz.orthogonalize(tf, operands);
      try (Session session = TensorFlowRuntime.session(graph)) {
        return Operands.run(session, results);
      }
    }
  }

  /** X ← aX + b(XXᵀ)X + c(XXᵀ)²X, five times from X / ‖X‖, in double precision. */
  private static float[] defined(float[] matrix, int rows, int columns) {
    double norm = 0;
    for (float value : matrix) {
      norm += (double) value * value;
    }
    double[] x = new double[matrix.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = matrix[i] / Math.sqrt(norm);
    }
    for (int step = 0; step < 5; step++) {
      double[] square = product(x, transposed(x, rows, columns), rows, columns, rows);
      double[] polynomial = product(square, square, rows, rows, rows);
      for (int i = 0; i < polynomial.length; i++) {
        polynomial[i] = -4.7750 * square[i] + 2.0315 * polynomial[i];
      }
      double[] more = product(polynomial, x, rows, rows, columns);
      for (int i = 0; i < x.length; i++) {
        x[i] = 3.4445 * x[i] + more[i];
      }
    }
    float[] result = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      result[i] = (float) x[i];
    }
    return result;
  }

  private static double[] transposed(double[] x, int rows, int columns) {
    double[] result = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      result[i % columns * rows + i / columns] = x[i];
    }
    return result;
  }

  private static double[] product(double[] a, double[] b, int rows, int inner, int columns) {
    double[] result = new double[rows * columns];
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < inner; k++) {
        for (int j = 0; j < columns; j++) {
          result[i * columns + j] += a[i * inner + k] * b[k * columns + j];
        }
      }
    }
    return result;
  }
}

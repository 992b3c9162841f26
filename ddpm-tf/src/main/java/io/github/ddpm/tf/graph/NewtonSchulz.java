package io.github.ddpm.tf.graph;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;

/**
 * The orthogonalization of matrices by a Newton-Schulz iteration, as Muon does it (Jordan et al.
 * 2024, "Muon: An optimizer for hidden layers in neural networks").
 */
public final class NewtonSchulz {
  private static final int STEPS = 5;

  /** Each step takes a singular value s to as + bs³ + cs⁵. */
  private static final float A = 3.4445f;

  private static final float B = -4.7750f;
  private static final float C = 2.0315f;

  /** Keeps a matrix of zeros what it is. */
  private static final float EPSILON = 1e-12f;

  /**
   * TensorFlow multiplies matrices of a stack up to this size by one thread each, so that the bits
   * of what comes out don't depend on how many there are.
   */
  private static final int MOST_IN_STACK = 128;

  private NewtonSchulz() {}

  /**
   * {@return matrices with the singular vectors of others, and with singular values of about 1, in
   * [0.7, 1.2], in the place of those that are not below a thousandth of the Frobenius norm} A
   * matrix of zeros stays what it is.
   *
   * @param tf operations of the graph
   * @param matrices each [rows, columns], both known
   */
  public static List<Operand<TFloat32>> orthogonalize(Ops tf, List<Operand<TFloat32>> matrices) {
    List<Operand<TFloat32>> results = new ArrayList<>(matrices);
    IntStream.range(0, matrices.size())
        .boxed()
        .collect(Collectors.groupingBy(i -> size(matrices.get(i))))
        .forEach(
            (size, group) -> {
              List<Operand<TFloat32>> squares = new ArrayList<>();
              group.forEach(i -> squares.add(square(tf, matrices.get(i))));
              List<Output<TFloat32>> factors =
                  tf.unstack(
                          factors(tf, tf.stack(squares), group.size(), size), (long) group.size())
                      .output();
              for (int i = 0; i < group.size(); i++) {
                Operand<TFloat32> matrix = matrices.get(group.get(i));
                Operand<TFloat32> factor = factors.get(i);
                results.set(
                    group.get(i),
                    isWide(matrix)
                        // Symmetric but for rounding.
                        ? times(tf, factor, transposed(tf, matrix))
                        : times(tf, matrix, factor));
              }
            });
    return results;
  }

  private static boolean isWide(Operand<?> matrix) {
    return matrix.shape().get(1) > matrix.shape().get(0);
  }

  private static int size(Operand<?> matrix) {
    return (int) matrix.shape().get(isWide(matrix) ? 0 : 1);
  }

  /** Returns the smaller one of the two products of a matrix and its transpose. */
  private static Operand<TFloat32> square(Ops tf, Operand<TFloat32> matrix) {
    Operand<TFloat32> rows = isWide(matrix) ? matrix : transposed(tf, matrix);
    return times(tf, rows, rows);
  }

  /**
   * Returns what takes matrices to orthogonal ones. The iteration multiplies a matrix by
   * polynomials of its square, so these are all that is iterated: they are symmetric and commute.
   *
   * @param squares [count, size, size]
   */
  private static Operand<TFloat32> factors(Ops tf, Operand<TFloat32> squares, int count, int size) {
    Operand<TFloat32> identity = identity(tf, size);
    Operand<TFloat32> norms =
        tf.math.sqrt(
            tf.reduceSum(
                tf.math.mul(squares, identity),
                tf.constant(new int[] {1, 2}),
                ReduceSum.keepDims(true)));
    Operand<TFloat32> scale = tf.math.reciprocal(tf.math.add(norms, tf.constant(EPSILON)));
    Operand<TFloat32> square = tf.math.mul(squares, tf.math.mul(scale, scale));
    Operand<TFloat32> factor = tf.math.mul(identity, scale);
    for (int i = 0; i < STEPS; i++) {
      Operand<TFloat32> polynomial =
          tf.math.add(
              tf.math.mul(identity, tf.constant(A)),
              tf.math.add(
                  tf.math.mul(square, tf.constant(B)),
                  tf.math.mul(products(tf, square, square, count, size), tf.constant(C))));
      factor = products(tf, factor, polynomial, count, size);
      if (i < STEPS - 1) {
        Operand<TFloat32> half = products(tf, square, polynomial, count, size);
        square = products(tf, half, polynomial, count, size);
      }
    }
    return factor;
  }

  private static Operand<TFloat32> identity(Ops tf, int size) {
    float[][] values = new float[size][size];
    for (int i = 0; i < size; i++) {
      values[i][i] = 1;
    }
    return tf.constant(new float[][][] {values});
  }

  /** Multiplies symmetric matrices that commute, each with the one in its place. */
  private static Operand<TFloat32> products(
      Ops tf, Operand<TFloat32> left, Operand<TFloat32> right, int count, int size) {
    if (count > 1 && size <= MOST_IN_STACK) {
      return tf.train.batchMatMul(left, right, TFloat32.class);
    }
    List<Output<TFloat32>> lefts = tf.unstack(left, (long) count).output();
    List<Output<TFloat32>> rights = tf.unstack(right, (long) count).output();
    List<Operand<TFloat32>> products = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      products.add(times(tf, lefts.get(i), rights.get(i)));
    }
    return tf.stack(products);
  }

  private static Operand<TFloat32> transposed(Ops tf, Operand<TFloat32> matrix) {
    return tf.linalg.transpose(matrix, tf.constant(new int[] {1, 0}));
  }

  /** Returns left·rightᵀ, as a linear layer computes it. */
  private static Operand<TFloat32> times(Ops tf, Operand<TFloat32> left, Operand<TFloat32> right) {
    long rows = left.shape().get(0);
    long inner = left.shape().get(1);
    long columns = right.shape().get(0);
    Operand<TFloat32> image = tf.reshape(left, tf.constant(new long[] {1, 1, rows, inner}));
    Operand<TFloat32> bias = tf.constant(new float[(int) columns]);
    Operand<TFloat32> product =
        Convolution.POINTWISE
            .apply(tf, GroupNorm.Input.of(image), right, bias, Optional.empty())
            .y();
    return tf.reshape(product, tf.constant(new long[] {rows, columns}));
  }
}

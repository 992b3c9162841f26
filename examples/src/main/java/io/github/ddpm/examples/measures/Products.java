package io.github.ddpm.examples.measures;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * The products of all pairs of vectors are made a few rows at a time, since all together are too
 * many.
 */
final class Products {
  private static final int ROWS = 64;

  private Products() {}

  interface Row {
    /**
     * Takes the products of one vector of the first set with all of the second. Rows are told of in
     * several threads at once.
     *
     * @param i index of the vector
     * @param products not to be kept
     */
    void accept(int i, double[] products);
  }

  /** Goes through all rows of {@code a·bᵀ}. */
  static void forEachRow(DMatrixRMaj a, DMatrixRMaj b, Row row) {
    DMatrixRMaj transposed = CommonOps_DDRM.transpose(b, null);
    int blocks = (a.numRows + ROWS - 1) / ROWS;
    IntStream.range(0, blocks)
        .parallel()
        .forEach(
            block -> {
              int from = block * ROWS;
              int to = Math.min(a.numRows, from + ROWS);
              DMatrixRMaj some = CommonOps_DDRM.extract(a, from, to, 0, a.numCols);
              DMatrixRMaj result = CommonOps_DDRM.mult(some, transposed, null);
              double[] products = new double[b.numRows];
              for (int i = from; i < to; i++) {
                System.arraycopy(result.data, (i - from) * b.numRows, products, 0, b.numRows);
                row.accept(i, products);
              }
            });
  }

  /** Returns the squared length of each vector. */
  static double[] squaredLengths(DMatrixRMaj x) {
    double[] lengths = new double[x.numRows];
    Arrays.setAll(
        lengths,
        i -> {
          double sum = 0;
          for (int j = 0; j < x.numCols; j++) {
            sum += x.unsafe_get(i, j) * x.unsafe_get(i, j);
          }
          return sum;
        });
    return lengths;
  }
}

package io.github.ddpm.examples.measures;

import java.util.Arrays;
import org.ejml.concurrency.EjmlConcurrency;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.CommonOps_MT_DDRM;

/**
 * The products of all pairs of vectors are made a few rows at a time, since all together are too
 * many.
 */
final class Products {
  private static final int ROWS = 256;

  private Products() {}

  interface Row {
    /**
     * Takes the products of one vector of the first set with all of the second.
     *
     * @param i index of the vector
     * @param products reused for the next row
     */
    void accept(int i, double[] products);
  }

  /** Goes through all rows of {@code a·bᵀ}. */
  static void forEachRow(DMatrixRMaj a, DMatrixRMaj b, Row row) {
    DMatrixRMaj transposed = CommonOps_DDRM.transpose(b, null);
    double[] products = new double[b.numRows];
    for (int from = 0; from < a.numRows; from += ROWS) {
      int to = Math.min(a.numRows, from + ROWS);
      DMatrixRMaj some = CommonOps_DDRM.extract(a, from, to, 0, a.numCols);
      DMatrixRMaj result = new DMatrixRMaj(to - from, b.numRows);
      if (EjmlConcurrency.useConcurrent(some)) {
        CommonOps_MT_DDRM.mult(some, transposed, result);
      } else {
        CommonOps_DDRM.mult(some, transposed, result);
      }
      for (int i = from; i < to; i++) {
        System.arraycopy(result.data, (i - from) * b.numRows, products, 0, b.numRows);
        row.accept(i, products);
      }
    }
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

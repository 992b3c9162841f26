package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.stream.DoubleStream;
import org.ejml.data.DMatrixRMaj;

/**
 * This is the squared maximum mean discrepancy of two sets, without bias, for the cubic kernel
 * {@code k(x, y) = (x·y/d + 1)³} (Bińkowski et al. 2018, "Demystifying MMD GANs", section 4;
 * Gretton et al. 2012, eq. 3). All pairs are taken, not subsets of them.
 *
 * <p>Its mean doesn't depend on the number of pictures, so it can tell few pictures from few
 * others. Sets from one distribution get 0 on average.
 */
public final class KernelDistance {
  private KernelDistance() {}

  /**
   * Computes the distance.
   *
   * @param generated features [m, d], m at least 3
   * @param real features [n, d], n at least 2
   * @return with the standard error of drawing other generated pictures, by the jackknife
   */
  public static Estimate between(DMatrixRMaj generated, DMatrixRMaj real) {
    checkArgument(
        generated.numRows >= 3 && real.numRows >= 2 && generated.numCols == real.numCols,
        "sets of at least 3 and 2 vectors of one length are needed, got [%s, %s] and [%s, %s]",
        generated.numRows,
        generated.numCols,
        real.numRows,
        real.numCols);
    double m = generated.numRows;
    double n = real.numRows;
    double[] within = rowSums(generated, generated, true);
    double[] across = rowSums(generated, real, false);
    double withinAll = DoubleStream.of(within).sum();
    double acrossAll = DoubleStream.of(across).sum();
    double realAll = DoubleStream.of(rowSums(real, real, true)).sum() / (n * (n - 1));
    double value = withinAll / (m * (m - 1)) + realAll - 2 * acrossAll / (m * n);
    // The same with each of the generated pictures left out in turn.
    double[] without = new double[generated.numRows];
    Arrays.setAll(
        without,
        i ->
            (withinAll - 2 * within[i]) / ((m - 1) * (m - 2))
                + realAll
                - 2 * (acrossAll - across[i]) / ((m - 1) * n));
    double mean = DoubleStream.of(without).average().orElseThrow();
    double squares = DoubleStream.of(without).map(x -> (x - mean) * (x - mean)).sum();
    return new Estimate(value, Math.sqrt((m - 1) / m * squares));
  }

  /**
   * Returns, for each vector of a, the sum of its kernel with all of b.
   *
   * @param same whether both are one set, where a vector's kernel with itself doesn't count
   */
  private static double[] rowSums(DMatrixRMaj a, DMatrixRMaj b, boolean same) {
    double[] sums = new double[a.numRows];
    Products.forEachRow(
        a,
        b,
        (i, products) -> {
          double sum = 0;
          for (double product : products) {
            sum += cube(product / a.numCols + 1);
          }
          sums[i] = same ? sum - cube(products[i] / a.numCols + 1) : sum;
        });
    return sums;
  }

  private static double cube(double x) {
    return x * x * x;
  }
}

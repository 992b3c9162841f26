package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;

/**
 * These are improved precision and recall (Kynkäänniemi et al. 2019, "Improved Precision and Recall
 * Metric for Assessing Generative Models", eq. 1 and 2). A set covers what is within one of the
 * balls around its pictures that reach to their k-th nearest neighbors.
 *
 * @param precision share of the generated pictures that the real ones cover, in [0, 1]: do they
 *     look real?
 * @param recall share of the real pictures that the generated ones cover, in [0, 1]: is all there?
 */
public record PrecisionRecall(double precision, double recall) {
  /** The paper takes this k. */
  public static final int NEIGHBORS = 3;

  /**
   * Computes both.
   *
   * @param generated features [m, d], m above k
   * @param real features [n, d], n above k
   * @param k which neighbor a ball reaches to, at least 1
   */
  public static PrecisionRecall of(DMatrixRMaj generated, DMatrixRMaj real, int k) {
    checkArgument(k >= 1, "k must be at least 1, got %s", k);
    checkArgument(
        generated.numRows > k && real.numRows > k && generated.numCols == real.numCols,
        "two sets of more than %s vectors of one length are needed, got [%s, %s] and [%s, %s]",
        k,
        generated.numRows,
        generated.numCols,
        real.numRows,
        real.numCols);
    double[] lengths = Products.squaredLengths(generated);
    double[] realLengths = Products.squaredLengths(real);
    double[] radii = squaredRadii(generated, lengths, k);
    double[] realRadii = squaredRadii(real, realLengths, k);
    boolean[] covered = new boolean[generated.numRows];
    boolean[] realCovered = new boolean[real.numRows];
    Products.forEachRow(
        generated,
        real,
        (i, products) -> {
          for (int j = 0; j < products.length; j++) {
            double distance = lengths[i] + realLengths[j] - 2 * products[j];
            covered[i] |= distance <= realRadii[j];
            // Rows of several threads come by: a false must never be written over a true.
            if (distance <= radii[i]) {
              realCovered[j] = true;
            }
          }
        });
    return new PrecisionRecall(share(covered), share(realCovered));
  }

  /** Returns the squared distance of each vector to its k-th nearest neighbor. */
  private static double[] squaredRadii(DMatrixRMaj x, double[] lengths, int k) {
    double[] radii = new double[x.numRows];
    Products.forEachRow(
        x,
        x,
        (i, products) -> {
          double[] nearest = new double[k];
          Arrays.fill(nearest, Double.POSITIVE_INFINITY);
          for (int j = 0; j < products.length; j++) {
            double distance = lengths[i] + lengths[j] - 2 * products[j];
            if (j != i && distance < nearest[k - 1]) {
              int at = k - 1;
              for (; at > 0 && nearest[at - 1] > distance; at--) {
                nearest[at] = nearest[at - 1];
              }
              nearest[at] = distance;
            }
          }
          radii[i] = nearest[k - 1];
        });
    return radii;
  }

  private static double share(boolean[] covered) {
    int count = 0;
    for (boolean one : covered) {
      count += one ? 1 : 0;
    }
    return (double) count / covered.length;
  }
}

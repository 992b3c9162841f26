package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;

import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.SingularOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.EigenDecomposition_F64;

/**
 * This is the squared Fréchet distance between the Gaussians that have the mean and covariance of
 * two sets (Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", eq. 6): {@code |m₁
 * - m₂|² + tr(C₁ + C₂ - 2(C₁C₂)^½)}.
 *
 * <p>It falls with the number of pictures, by more than what two models differ in: compare equal
 * counts only.
 */
public final class FrechetDistance {
  private FrechetDistance() {}

  /**
   * Computes the distance.
   *
   * @param a features [m, d], m at least 2
   * @param b features [n, d], n at least 2
   * @return at least 0, but for rounding
   */
  public static double between(DMatrixRMaj a, DMatrixRMaj b) {
    checkArgument(
        a.numRows >= 2 && b.numRows >= 2 && a.numCols == b.numCols,
        "two sets of at least 2 vectors of one length are needed, got [%s, %s] and [%s, %s]",
        a.numRows,
        a.numCols,
        b.numRows,
        b.numCols);
    DMatrixRMaj meanA = mean(a);
    DMatrixRMaj meanB = mean(b);
    DMatrixRMaj rootA = root(covariance(a, meanA));
    DMatrixRMaj rootB = root(covariance(b, meanB));
    double distance = squaredLength(rootA) + squaredLength(rootB);
    for (int i = 0; i < a.numCols; i++) {
      double difference = meanA.get(i) - meanB.get(i);
      distance += difference * difference;
    }
    // With C = R·Rᵀ, the eigenvalues of (C₁C₂)^½ are the singular values of R₁ᵀR₂.
    DMatrixRMaj product = new DMatrixRMaj(a.numCols, a.numCols);
    CommonOps_DDRM.multTransA(rootA, rootB, product);
    return distance - 2 * sumOfSingularValues(product);
  }

  private static DMatrixRMaj mean(DMatrixRMaj x) {
    DMatrixRMaj mean = CommonOps_DDRM.sumCols(x, null);
    CommonOps_DDRM.divide(mean, x.numRows);
    return mean;
  }

  private static DMatrixRMaj covariance(DMatrixRMaj x, DMatrixRMaj mean) {
    DMatrixRMaj centered = new DMatrixRMaj(x.numRows, x.numCols);
    for (int i = 0; i < x.numRows; i++) {
      for (int j = 0; j < x.numCols; j++) {
        centered.unsafe_set(i, j, x.unsafe_get(i, j) - mean.get(j));
      }
    }
    DMatrixRMaj covariance = new DMatrixRMaj(x.numCols, x.numCols);
    CommonOps_DDRM.multInner(centered, covariance);
    CommonOps_DDRM.divide(covariance, x.numRows - 1.0);
    return covariance;
  }

  /** Returns R with R·Rᵀ = C for a symmetric C without negative eigenvalues, but for rounding. */
  private static DMatrixRMaj root(DMatrixRMaj c) {
    EigenDecomposition_F64<DMatrixRMaj> eigen =
        DecompositionFactory_DDRM.eig(c.numRows, true, true);
    checkArgument(eigen.decompose(c.copy()), "the covariance has no eigenvalues: %s", c);
    DMatrixRMaj root = new DMatrixRMaj(c.numRows, c.numRows);
    for (int k = 0; k < c.numRows; k++) {
      double scale = Math.sqrt(Math.max(0, eigen.getEigenvalue(k).getReal()));
      DMatrixRMaj vector = eigen.getEigenVector(k);
      for (int i = 0; i < c.numRows; i++) {
        root.set(i, k, scale * vector.get(i));
      }
    }
    return root;
  }

  /** Returns tr(R·Rᵀ). */
  private static double squaredLength(DMatrixRMaj root) {
    double sum = 0;
    for (int i = 0; i < root.getNumElements(); i++) {
      sum += root.get(i) * root.get(i);
    }
    return sum;
  }

  private static double sumOfSingularValues(DMatrixRMaj x) {
    double sum = 0;
    for (double value : SingularOps_DDRM.singularValues(x)) {
      sum += value;
    }
    return sum;
  }
}

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
 * counts only. Of no more pictures than features, the covariance is singular. The distance is exact
 * all the same, but most of it is then what so few pictures miss of the covariance.
 */
public final class FrechetDistance {
  private final int count;
  private final DMatrixRMaj mean;

  /** R with R·Rᵀ = C, the covariance: [d, d], or [d, n] if there are no more vectors than d. */
  private final DMatrixRMaj root;

  private FrechetDistance(DMatrixRMaj x) {
    count = x.numRows;
    mean = mean(x);
    DMatrixRMaj centered = centered(x, mean);
    root = count > x.numCols ? root(covariance(centered)) : scaled(centered);
  }

  /**
   * Prepares to compute distances from a set.
   *
   * @param real features [n, d], n at least 2
   */
  public static FrechetDistance from(DMatrixRMaj real) {
    checkArgument(
        real.numRows >= 2,
        "a set of at least 2 vectors is needed, got [%s, %s]",
        real.numRows,
        real.numCols);
    return new FrechetDistance(real);
  }

  /**
   * Computes the distance of two sets.
   *
   * @param a features [m, d], m at least 2
   * @param b features [n, d], n at least 2
   * @return at least 0
   */
  public static double between(DMatrixRMaj a, DMatrixRMaj b) {
    return from(b).of(a);
  }

  /**
   * Computes the distance of another set.
   *
   * @param pictures features [m, d], m at least 2
   * @return at least 0
   */
  public double of(DMatrixRMaj pictures) {
    checkArgument(
        pictures.numRows >= 2 && pictures.numCols == root.numRows,
        "two sets of at least 2 vectors of one length are needed, got [%s, %s] and [%s, %s]",
        pictures.numRows,
        pictures.numCols,
        count,
        root.numRows);
    FrechetDistance other = new FrechetDistance(pictures);
    double distance = squaredLength(other.root) + squaredLength(root);
    for (int i = 0; i < root.numRows; i++) {
      double difference = other.mean.get(i) - mean.get(i);
      distance += difference * difference;
    }
    // The eigenvalues of (C₁C₂)^½ are the singular values of R₁ᵀR₂.
    DMatrixRMaj product = new DMatrixRMaj(other.root.numCols, root.numCols);
    CommonOps_DDRM.multTransA(other.root, root, product);
    // Rounding may take it below.
    return Math.max(0, distance - 2 * sumOfSingularValues(product));
  }

  private static DMatrixRMaj mean(DMatrixRMaj x) {
    DMatrixRMaj mean = CommonOps_DDRM.sumCols(x, null);
    CommonOps_DDRM.divide(mean, x.numRows);
    return mean;
  }

  private static DMatrixRMaj centered(DMatrixRMaj x, DMatrixRMaj mean) {
    DMatrixRMaj centered = new DMatrixRMaj(x.numRows, x.numCols);
    for (int i = 0; i < x.numRows; i++) {
      for (int j = 0; j < x.numCols; j++) {
        centered.unsafe_set(i, j, x.unsafe_get(i, j) - mean.get(j));
      }
    }
    return centered;
  }

  private static DMatrixRMaj covariance(DMatrixRMaj centered) {
    DMatrixRMaj covariance = new DMatrixRMaj(centered.numCols, centered.numCols);
    CommonOps_DDRM.multInner(centered, covariance);
    CommonOps_DDRM.divide(covariance, centered.numRows - 1.0);
    return covariance;
  }

  /** Returns R with R·Rᵀ the covariance of few vectors, which needs no eigenvalues. */
  private static DMatrixRMaj scaled(DMatrixRMaj centered) {
    DMatrixRMaj root = CommonOps_DDRM.transpose(centered, null);
    CommonOps_DDRM.divide(root, Math.sqrt(centered.numRows - 1.0));
    return root;
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

package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.junit.jupiter.api.Test;

/** Four points have the mean and covariance that they are placed for, exactly. */
class FrechetDistanceTest {
  private static final double TINY = 1e-12;

  @Test
  void aSetIsAtNoDistanceFromItself() {
    DMatrixRMaj set = cross(2, 3, 0, 5, -7);
    assertThat(FrechetDistance.between(set, set)).isCloseTo(0, within(TINY)).isNotNegative();
    DMatrixRMaj few = turned(set, 1);
    assertThat(FrechetDistance.between(few, few)).isCloseTo(0, within(1e-11)).isNotNegative();
  }

  @Test
  void movedBy3And4ItIsAt25() {
    assertThat(FrechetDistance.between(cross(2, 3, 0, 0, 0), cross(2, 3, 0, 3, 4)))
        .isCloseTo(25, within(TINY));
  }

  @Test
  void alongTheAxesItIsTheDifferenceOfTheDeviations() {
    // Points ±a of 4 have variance 2a²/3, so the deviations are a·√(2/3).
    double expected = 2.0 / 3 * ((5 - 2) * (5 - 2) + (3 - 1) * (3 - 1));
    assertThat(FrechetDistance.between(cross(2, 3, 0, 0, 0), cross(5, 1, 0, 0, 0)))
        .isCloseTo(expected, within(TINY));
  }

  @Test
  void covariancesThatDoNotCommute() {
    // For 2x2, tr(C₁C₂)^½ = √(tr(C₁C₂) + 2√(det C₁ · det C₂)).
    double p = 2.0 / 3 * 16;
    double q = 2.0 / 3;
    double trace = (p + q) * (p + q) / 2;
    double expected = 2 * (p + q) - 2 * Math.sqrt(trace + 2 * p * q);
    assertThat(FrechetDistance.between(cross(4, 1, 0, 0, 0), cross(4, 1, Math.PI / 4, 0, 0)))
        .isCloseTo(expected, within(TINY));
  }

  @Test
  void setsThatLieOnALine() {
    // Neither has a variance across: singular covariances, at a right angle.
    double expected = 2.0 / 3 * (4 + 9);
    assertThat(FrechetDistance.between(cross(2, 0, 0, 0, 0), cross(0, 3, 0, 0, 0)))
        .isCloseTo(expected, within(TINY));
  }

  @Test
  void ofNoMoreVectorsThanFeaturesItIsExactToo() {
    DMatrixRMaj few = cross(4, 1, 0, 0, 0);
    DMatrixRMaj others = cross(5, 2, Math.PI / 3, 3, 4);
    double expected = FrechetDistance.between(few, others);
    // In 6 dimensions, of which 4 are empty, 4 vectors are too few, and 8 are not.
    assertThat(FrechetDistance.between(turned(few, 1), turned(others, 1)))
        .isCloseTo(expected, within(1e-11));
    // The same vectors twice: sums of squares are shared by 7 then, instead of by 3.
    double twice = 7 / 6.0;
    DMatrixRMaj scaled = new DMatrixRMaj(few);
    CommonOps_DDRM.scale(Math.sqrt(twice), scaled);
    assertThat(FrechetDistance.from(turned(others, 1)).of(turned(scaled, 2)))
        .isCloseTo(expected, within(1e-11));
    assertThat(FrechetDistance.from(turned(scaled, 2)).of(turned(others, 1)))
        .isCloseTo(expected, within(1e-11));
  }

  /** Puts vectors of a plane, each so many times, into one of 6 dimensions that is no axis's. */
  private static DMatrixRMaj turned(DMatrixRMaj plane, int times) {
    double[][] axes = {{0.5, 0.5, 0.5, 0.5, 0, 0}, {0.5, -0.5, 0, 0, 0.5, 0.5}};
    DMatrixRMaj all = new DMatrixRMaj(plane.numRows * times, 6);
    for (int i = 0; i < times; i++) {
      CommonOps_DDRM.insert(
          CommonOps_DDRM.mult(plane, new DMatrixRMaj(axes), null), all, i * plane.numRows, 0);
    }
    return all;
  }

  @Test
  void oneVectorHasNoCovariance() {
    assertThatThrownBy(() -> FrechetDistance.between(new DMatrixRMaj(1, 2), cross(1, 1, 0, 0, 0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("got [1, 2] and [4, 2]");
    assertThatThrownBy(() -> FrechetDistance.from(new DMatrixRMaj(1, 2)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("got [1, 2]");
  }

  /** (±a, 0) and (0, ±b), turned and then moved. */
  private static DMatrixRMaj cross(double a, double b, double angle, double x, double y) {
    double cos = Math.cos(angle);
    double sin = Math.sin(angle);
    return new DMatrixRMaj(
        new double[][] {
          {x + a * cos, y + a * sin},
          {x - a * cos, y - a * sin},
          {x - b * sin, y + b * cos},
          {x + b * sin, y - b * cos}
        });
  }
}

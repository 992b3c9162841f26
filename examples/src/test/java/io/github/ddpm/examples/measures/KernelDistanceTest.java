package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.ejml.data.DMatrixRMaj;
import org.junit.jupiter.api.Test;

class KernelDistanceTest {
  @Test
  void byHand() {
    // k(x, y) = (xy + 1)³. Among 0, 1, 2: 1, 1, 27. Of 1 and 3: 64. Across: 1, 1; 8, 64; 27, 343.
    Estimate distance = KernelDistance.between(column(0, 1, 2), column(1, 3));
    assertThat(distance.value()).isCloseTo(29 / 3.0 + 64 - 2 * 444 / 6.0, within(1e-12));
    double mean = -223 / 3.0;
    double squares =
        Math.pow(27 + 64 - 2 * 442 / 4.0 - mean, 2)
            + Math.pow(1 + 64 - 2 * 372 / 4.0 - mean, 2)
            + Math.pow(1 + 64 - 2 * 74 / 4.0 - mean, 2);
    assertThat(distance.standardError()).isCloseTo(Math.sqrt(squares * 2 / 3), within(1e-10));
  }

  @Test
  void theKernelDividesByTheLengthOfTheVectors() {
    // (2/2 + 1)³ = 8 for every pair of (1, 1) and (1, 1); 1 with (0, 0).
    DMatrixRMaj ones = new DMatrixRMaj(new double[][] {{1, 1}, {1, 1}, {1, 1}});
    assertThat(KernelDistance.between(ones, new DMatrixRMaj(2, 2)))
        .isEqualTo(new Estimate(8 + 1 - 2, 0));
  }

  @Test
  void setsOfOneDistributionAreAtAboutZeroAndTheErrorSaysWhatAboutIs() {
    Random random = new Random(1);
    double[] scores = new double[200];
    for (int i = 0; i < scores.length; i++) {
      Estimate distance = KernelDistance.between(normal(random, 40), normal(random, 4000));
      scores[i] = distance.value() / distance.standardError();
    }
    assertThat(Arrays.stream(scores).average().orElseThrow()).isCloseTo(0, within(0.3));
    assertThat(Arrays.stream(scores).filter(score -> Math.abs(score) < 2).count())
        .as("within two standard errors, of 200")
        .isBetween(175L, 200L);
  }

  @Test
  void twoPicturesAreTooFew() {
    assertThatThrownBy(() -> KernelDistance.between(column(1, 2), column(1, 2)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("got [2, 1] and [2, 1]");
  }

  private static DMatrixRMaj normal(Random random, int count) {
    DMatrixRMaj x = new DMatrixRMaj(count, 3);
    Arrays.setAll(x.data, i -> random.nextGaussian());
    return x;
  }

  private static DMatrixRMaj column(double... values) {
    return new DMatrixRMaj(values.length, 1, true, values);
  }
}

package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Random;
import org.ejml.data.DMatrixRMaj;
import org.junit.jupiter.api.Test;

class PrecisionRecallTest {
  @Test
  void byHand() {
    // With k = 1 the balls of 0, 1, 10 and 50 reach 1, 1, 9 and 40 far; those of 3 and 21, 18.
    assertThat(PrecisionRecall.of(column(3, 21), column(0, 1, 10, 50), 1))
        .isEqualTo(new PrecisionRecall(1, 0.75));
    // The ball of 50 ends at 10, and 5 is in that of 10.
    assertThat(PrecisionRecall.of(column(5, -5), column(0, 1, 10, 50), 1))
        .isEqualTo(new PrecisionRecall(0.5, 0.75));
  }

  @Test
  void theKthNeighborCounts() {
    // Neighbors of 0, 1, 3, 7 in second place: 3, 2, 3, 6 away.
    assertThat(
            PrecisionRecall.of(column(-2.5, -3.5, 12.5, 13.5), column(0, 1, 3, 7), 2).precision())
        .isEqualTo(0.5);
  }

  @Test
  void aSetCoversItselfAndNothingFarAway() {
    DMatrixRMaj set = new DMatrixRMaj(600, 4);
    Random random = new Random(1);
    Arrays.setAll(set.data, i -> random.nextGaussian());
    assertThat(PrecisionRecall.of(set, set, 3)).isEqualTo(new PrecisionRecall(1, 1));
    DMatrixRMaj away = set.copy();
    Arrays.setAll(away.data, i -> away.data[i] + 100);
    assertThat(PrecisionRecall.of(away, set, 3)).isEqualTo(new PrecisionRecall(0, 0));
  }

  @Test
  void halfOfTheSetFarAwayIsNotCovered() {
    DMatrixRMaj set = new DMatrixRMaj(600, 4);
    Random random = new Random(2);
    Arrays.setAll(set.data, i -> random.nextGaussian());
    DMatrixRMaj half = set.copy();
    for (int i = 0; i < half.data.length / 2; i++) {
      half.data[i] += 100;
    }
    assertThat(PrecisionRecall.of(half, set, 3).precision()).isEqualTo(0.5);
    assertThat(PrecisionRecall.of(set, half, 3).recall()).isEqualTo(0.5);
  }

  @Test
  void asManyPicturesAsNeighborsAreTooFew() {
    assertThatThrownBy(() -> PrecisionRecall.of(column(1, 2, 3), column(1, 2, 3, 4), 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("more than 3 vectors")
        .hasMessageContaining("got [3, 1]");
  }

  private static DMatrixRMaj column(double... values) {
    return new DMatrixRMaj(values.length, 1, true, values);
  }
}

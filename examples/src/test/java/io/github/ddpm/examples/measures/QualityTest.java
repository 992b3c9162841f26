package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;

import org.ejml.data.DMatrixRMaj;
import org.junit.jupiter.api.Test;

class QualityTest {
  private static final Classified PICTURES =
      new Classified(
          new DMatrixRMaj(new double[][] {{0}, {1}, {2}, {3}, {4}}),
          new DMatrixRMaj(
              new double[][] {
                {0.96, 0.04}, {0.95, 0.05}, {0.03, 0.97}, {0.6, 0.4}, {0.99, 0.01},
              }));

  @Test
  void whatIsCounted() {
    Quality quality = Quality.of(PICTURES, PICTURES);
    assertThat(quality.sure()).as("0.95 is not above 0.95").isEqualTo(3 / 5.0);
    assertThat(quality.rarest()).isEqualTo(1 / 5.0);
    assertThat(quality.precisionRecall()).isEqualTo(new PrecisionRecall(1, 1));
  }

  @Test
  void labelsAskedForCycle() {
    assertThat(PICTURES.accuracy(0, 0, 1, 1, 0)).isEqualTo(4 / 5.0);
    assertThat(PICTURES.accuracy(0, 1)).isEqualTo(2 / 5.0);
    assertThat(PICTURES.label(2)).isEqualTo(1);
    assertThat(PICTURES.confidence(2)).isEqualTo(0.97);
  }
}

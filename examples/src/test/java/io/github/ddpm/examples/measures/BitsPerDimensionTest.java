package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import org.apache.commons.statistics.distribution.NormalDistribution;
import org.junit.jupiter.api.Test;

/** The bound of models whose error is known, against the sum written out. */
class BitsPerDimensionTest {
  private static final double BETA0 = 0.001;
  private static final double BETA1 = 0.2;
  private static final double BETA2 = 0.6;
  private static final double BAR0 = 1 - BETA0;
  private static final double BAR1 = BAR0 * (1 - BETA1);
  private static final double BAR2 = BAR1 * (1 - BETA2);

  /** A shade that 8 bits have, and black. */
  private static final float GRAY = 100 / 127.5f - 1;

  private static final float BLACK = -1;
  private static final double ERROR = 0.01f;

  @Test
  void theSumOverAllTimesteps() {
    double expected =
        prior() + shades() + divergence(BAR0, BAR1, BETA1) + divergence(BAR1, BAR2, BETA2);
    Estimate bits = BitsPerDimension.of(new OffBy(), pictures(), new int[] {3, 4, 3}, 7);
    assertThat(bits.value()).isCloseTo(expected / (2 * Math.log(2)), within(1e-6));
    assertThat(bits.standardError()).isCloseTo(0, within(1e-6));
  }

  @Test
  void badNumbersAreNamed() {
    assertThatThrownBy(
            () -> BitsPerDimension.of(new OffBy(), pictures().slice(0, 1), new int[] {3}, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("at least 2 pictures are needed, got 1");
    Predictor conditioned =
        new OffBy() {
          @Override
          public ModelInfo info() {
            return super.info().withConditionChannels(1);
          }
        };
    assertThatThrownBy(() -> BitsPerDimension.of(conditioned, pictures(), new int[] {3, 4, 3}, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "the bound is of pictures alone, so the model can't have condition channels, got 1");
  }

  /** KL(q(x_2 | x0) ‖ N(0, 1)) of a gray and a black pixel. */
  private static double prior() {
    double sum = 0;
    for (double x0 : new double[] {GRAY, BLACK}) {
      sum += (BAR2 * x0 * x0 + (1 - BAR2) - 1 - Math.log(1 - BAR2)) / 2;
    }
    return sum;
  }

  /** -log p(x0 | x_0): of the black one, all that is below the middle to the next shade. */
  private static double shades() {
    double deviation = Math.sqrt((1 - BAR0) / (1 - BAR1) * BETA1);
    NormalDistribution gray = NormalDistribution.of(GRAY + ERROR, deviation);
    NormalDistribution black = NormalDistribution.of(BLACK + ERROR, deviation);
    return -Math.log(gray.probability(GRAY - 1 / 255.0, GRAY + 1 / 255.0))
        - Math.log(black.cumulativeProbability(BLACK + 1 / 255.0));
  }

  /** Ho et al. 2020, eq. 7 and 8: both pixels' estimates are off by the same. */
  private static double divergence(double before, double bar, double beta) {
    double variance = (1 - before) / (1 - bar) * beta;
    double weight = Math.sqrt(before) * beta / (1 - bar);
    return 2 * weight * weight * ERROR * ERROR / (2 * variance);
  }

  private static Images pictures() {
    return Images.of(3, 1, 2, 1, GRAY, BLACK, GRAY, BLACK, GRAY, BLACK);
  }

  /** Knows the pictures, but for the error. */
  private static class OffBy implements Predictor {
    @Override
    public ModelInfo info() {
      return new ModelInfo(
          1, 2, 1, 10, true, BetaSchedule.of(BETA0, BETA1, BETA2), PredictionType.SAMPLE);
    }

    @Override
    public float[] predict(float[] x, double timestep, int... labels) {
      assertThat(labels).containsExactly(3, 4, 3);
      float[] out = new float[x.length];
      for (int i = 0; i < out.length; i++) {
        out[i] = (float) ((i % 2 == 0 ? GRAY : BLACK) + ERROR);
      }
      return out;
    }

    @Override
    public void close() {}
  }
}

package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.ddpm.Precision;
import io.github.ddpm.tf.TrainingGraph.Outcome;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class LossScaleTest {
  private static final Outcome FINITE = new Outcome(0.5, 2);
  private static final Outcome OVERFLOW = new Outcome(0.5, Double.POSITIVE_INFINITY);

  @ParameterizedTest
  @EnumSource
  void onlyFloat16IsScaled(Precision precision) {
    boolean half = precision == Precision.FLOAT16;
    TrainingOptions options = TrainingOptions.defaults().withPrecision(precision);
    assertThat(options.scalesLoss()).isEqualTo(half);
    assertThat(LossScale.first(options)).isEqualTo(new LossScale(half ? 65536 : 1, 0));
  }

  /** Twice as high after 2000 steps in a row, half of it after a gradient that is not finite. */
  @Test
  void theSequenceIsThatOfGradScaler() {
    LossScale scale = new LossScale(65536, 0);
    scale = after(scale, OVERFLOW, 3);
    assertThat(scale).isEqualTo(new LossScale(8192, 0));
    scale = after(scale, FINITE, 1999);
    assertThat(scale).isEqualTo(new LossScale(8192, 1999));
    assertThat(after(scale, OVERFLOW, 1)).isEqualTo(new LossScale(4096, 0));
    scale = after(scale, FINITE, 1);
    assertThat(scale).isEqualTo(new LossScale(16384, 0));
    scale = after(after(scale, FINITE, 1000), OVERFLOW, 1);
    assertThat(scale).isEqualTo(new LossScale(8192, 0));
    scale = after(scale, FINITE, 4000);
    assertThat(scale).isEqualTo(new LossScale(32768, 0));
  }

  private static LossScale after(LossScale scale, Outcome outcome, int times) {
    LossScale result = scale;
    for (int i = 0; i < times; i++) {
      result = result.after(outcome, 1);
    }
    return result;
  }

  @Test
  void itIsNeverAboveOrBelowItsBounds() {
    assertThat(new LossScale(1 << 24, 1999).after(FINITE, 1)).isEqualTo(new LossScale(1 << 24, 0));
    assertThat(new LossScale(2, 7).after(OVERFLOW, 1)).isEqualTo(new LossScale(1, 0));
    assertThat(new LossScale(1, 7).after(OVERFLOW, 1)).isEqualTo(new LossScale(1, 0));
    assertThat(new LossScale(1, 1999).after(FINITE, 1)).isEqualTo(new LossScale(2, 0));
  }

  @Test
  void stepsOfARoundCountAllButDoubleOnce() {
    assertThat(new LossScale(64, 1990).after(FINITE, 9)).isEqualTo(new LossScale(64, 1999));
    assertThat(new LossScale(64, 1990).after(FINITE, 5000)).isEqualTo(new LossScale(128, 0));
    assertThat(new LossScale(64, 1990).after(OVERFLOW, 5000)).isEqualTo(new LossScale(32, 0));
  }

  /** The loss has no factor, so one that is not finite says nothing of it. */
  @ParameterizedTest
  @CsvSource({
    "0.5, 2, 4, false",
    "0.5, Infinity, 4, true",
    "0.5, NaN, 4, true",
    "0.5, NaN, 1, false",
    "NaN, NaN, 4, false",
    "Infinity, Infinity, 4, false"
  })
  void itIsToBlameForGradientsAlone(double loss, double norm, int factor, boolean toBlame) {
    LossScale scale = new LossScale(factor, 3);
    Outcome outcome = new Outcome(loss, norm);
    assertThat(scale.isToBlame(outcome)).isEqualTo(toBlame);
    assertThat(scale.after(outcome, 1))
        .isEqualTo(
            outcome.isFinite()
                ? new LossScale(factor, 4)
                : new LossScale(toBlame ? factor / 2 : factor, 0));
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0, 'loss scale must be a power of 2 in [1, 16777216], got 0'",
    "-2147483648, 0, 'loss scale must be a power of 2 in [1, 16777216], got -2147483648'",
    "3, 0, 'loss scale must be a power of 2 in [1, 16777216], got 3'",
    "33554432, 0, 'loss scale must be a power of 2 in [1, 16777216], got 33554432'",
    "2, -1, 'steps with a loss scale must be in [0, 1999], got -1'",
    "2, 2000, 'steps with a loss scale must be in [0, 1999], got 2000'"
  })
  void otherNumbersAreRefused(int factor, int steps, String problem) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new LossScale(factor, steps))
        .withMessage(problem);
  }
}

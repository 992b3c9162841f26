package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class StepTest {
  /** The components of a row in their order. */
  private static final double[] ROW = {3, 0.6, 0.8, -1, 2, -3, 4, -5, 6, -7, 8, 9, -10, 11};

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        " 0 | -0.5 | timestep must be at least 0, got -0.5",
        " 1 | -0.1 | signal must be in [0, 1), got -0.1",
        " 1 | 1    | signal must be in [0, 1), got 1.0",
        " 2 | 0    | noise must be in (0, 1], got 0.0",
        " 2 | 1.1  | noise must be in (0, 1], got 1.1",
        " 2 | -0.8 | noise must be in (0, 1], got -0.8",
        "11 | -9   | fromNoise must be at least 0, got -9.0",
      })
  void whatIsOutOfItsRangeIsRefused(int component, double value, String message) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> with(component, value))
        .withMessage(message);
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
  void whatIsNotFiniteIsRefused(double value) {
    for (int component = 0; component < ROW.length; component++) {
      int one = component;
      assertThatIllegalArgumentException()
          .as("component %s", component)
          .isThrownBy(() -> with(one, value))
          .withMessageStartingWith("every weight of a step must be finite at timestep ");
    }
  }

  @Test
  void theEndsOfTheRangesAreInThem() {
    assertThat(with(0, 0).timestep()).isZero();
    assertThat(with(1, 0).signal()).isZero();
    assertThat(with(2, 1).noise()).isEqualTo(1);
    assertThat(with(11, 0).fromNoise()).isZero();
  }

  private static Step with(int component, double value) {
    double[] row = Arrays.copyOf(ROW, ROW.length);
    row[component] = value;
    return new Step(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10],
        row[11], row[12], row[13]);
  }
}

package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SpacingTest {
  static List<JsonNode> lists() {
    return GoldenJson.records("schedules.json", "timesteps");
  }

  static List<JsonNode> differing() {
    return GoldenJson.records("schedules.json", "differing");
  }

  @ParameterizedTest
  @MethodSource("lists")
  void plansAreThoseOfDiffusers(JsonNode list) {
    assertThat(plan(list)).containsExactly(GoldenJson.doubles(list.get("timesteps")));
  }

  /** Here diffusers loses an entry's place to float rounding; the definition has no such cases. */
  @ParameterizedTest
  @MethodSource("differing")
  void plansFollowTheDefinitionWhereDiffusersDoesNot(JsonNode list) {
    assertThat(plan(list))
        .as(list.get("why").asText())
        .containsExactly(GoldenJson.doubles(list.get("exact")))
        .isNotEqualTo(GoldenJson.doubles(list.get("timesteps")));
  }

  private static double[] plan(JsonNode list) {
    int n = list.get("n").asInt();
    Spacing spacing =
        switch (list.get("timestep_spacing").asText()) {
          case "trailing" -> Spacing.trailing(n);
          case "leading" -> Spacing.leading(n);
          case "linspace" -> Spacing.linspace(n);
          default -> throw new AssertionError(list);
        };
    return spacing.timesteps(BetaSchedule.linear(list.get("num_train_timesteps").asInt()));
  }

  /** Every n, against the definition in exact decimal arithmetic. */
  @Test
  void everyPlanIsExactAndFallsStrictly() {
    for (int trainTimesteps : new int[] {1, 2, 7, 300}) {
      for (int n = 1; n <= trainTimesteps; n++) {
        double[] trailing = Spacing.trailing(n).timesteps(BetaSchedule.linear(trainTimesteps));
        assertPlan(trailing, n, trainTimesteps);
        assertThat(trailing[0]).isEqualTo(trainTimesteps - 1);
        for (int i = 0; i < n; i++) {
          assertThat(trailing[i]).isEqualTo(rint((long) trainTimesteps * (n - i), n) - 1);
        }
        if (n > 1) {
          assertPlan(
              Spacing.leading(n).timesteps(BetaSchedule.linear(trainTimesteps)), n, trainTimesteps);
          double[] linspace = Spacing.linspace(n).timesteps(BetaSchedule.linear(trainTimesteps));
          assertPlan(linspace, n, trainTimesteps);
          for (int i = 0; i < n; i++) {
            assertThat(linspace[i])
                .isEqualTo(rint((long) (n - 1 - i) * (trainTimesteps - 1), n - 1));
          }
        }
      }
    }
  }

  private static double rint(long numerator, long denominator) {
    BigDecimal quotient =
        BigDecimal.valueOf(numerator)
            .divide(BigDecimal.valueOf(denominator), MathContext.DECIMAL128);
    return quotient.setScale(0, RoundingMode.HALF_EVEN).doubleValue();
  }

  private static void assertPlan(double[] plan, int n, int trainTimesteps) {
    assertThat(plan).hasSize(n);
    assertThat(plan[0]).isLessThan(trainTimesteps);
    assertThat(plan[n - 1]).isGreaterThanOrEqualTo(0);
    for (int i = 1; i < n; i++) {
      assertThat(plan[i]).isLessThan(plan[i - 1]);
    }
  }

  @Test
  void powerIsTrailingBentTowardNoise() {
    assertThat(Spacing.power(4, 0.5).timesteps(BetaSchedule.linear(1000)))
        .containsExactly(
            new double[] {999, 500 * Math.sqrt(3) - 1, 500 * Math.sqrt(2) - 1, 499}, within(1e-9));
    assertThat(Spacing.power(4, 2).timesteps(BetaSchedule.linear(1600)))
        .containsExactly(1599, 899, 399, 99);
    for (int n = 1; n <= 300; n++) {
      double[] plan = Spacing.power(n, 1).timesteps(BetaSchedule.linear(300));
      assertPlan(plan, n, 300);
      assertThat(plan)
          .containsExactly(
              Spacing.trailing(n).timesteps(BetaSchedule.linear(300)), within(0.5 + 1e-9));
    }
  }

  @Test
  void explicitTakesFractionsAndCopies() {
    double[] timesteps = {9, 3.5, 0};
    Spacing spacing = Spacing.explicit(timesteps);
    timesteps[0] = 1;
    spacing.timesteps(BetaSchedule.linear(10))[0] = 2;
    assertThat(spacing.timesteps(BetaSchedule.linear(10))).containsExactly(9, 3.5, 0);
  }

  @Test
  void badPlansAreRefused() {
    refused(() -> Spacing.trailing(0), "steps must be at least 1, got 0");
    refused(
        () -> Spacing.trailing(11).timesteps(BetaSchedule.linear(10)),
        "steps must be in [1, 10], the model's training timesteps, got 11");
    refused(
        () -> Spacing.leading(1),
        "leading spacing needs at least 2 steps, got 1: its one timestep would be 0");
    refused(
        () -> Spacing.linspace(1),
        "linspace spacing needs at least 2 steps, got 1: its one timestep would be 0");
    refused(() -> Spacing.power(3, 0), "the exponent of a spacing must be above 0, got 0.0");
    refused(
        () -> Spacing.power(11, 0.5).timesteps(BetaSchedule.linear(10)),
        "steps must be in [1, 10], the model's training timesteps, got 11");
    refused(
        () -> Spacing.power(4, 2).timesteps(BetaSchedule.linear(15)),
        "with exponent 2.0 the last of 4 timesteps would be below 0");
    refused(
        () -> Spacing.power(2, 1e-20).timesteps(BetaSchedule.linear(10)),
        "timesteps must fall strictly, got 9.0 after 9.0");
    refused(Spacing::explicit, "explicit spacing needs at least 1 timestep, got none");
    refused(() -> Spacing.explicit(3, 3), "timesteps must fall strictly, got 3.0 after 3.0");
    refused(() -> Spacing.explicit(3, Double.NaN), "timesteps must be at least 0, got NaN");
    refused(
        () -> Spacing.explicit(Double.NaN, 3), "timesteps must fall strictly, got 3.0 after NaN");
    refused(() -> Spacing.explicit(3, -1), "timesteps must be at least 0, got -1.0");
    refused(
        () -> Spacing.explicit(10, 3).timesteps(BetaSchedule.linear(10)),
        "timesteps must be at most 9, got 10.0");
  }

  private static void refused(Runnable call, String message) {
    assertThatIllegalArgumentException().isThrownBy(call::run).withMessage(message);
  }
}

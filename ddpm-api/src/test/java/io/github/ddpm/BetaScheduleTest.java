package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class BetaScheduleTest {
  static List<JsonNode> tables() {
    return GoldenJson.records("schedules.json", "tables");
  }

  static List<JsonNode> forward() {
    return GoldenJson.records("steps.json", "forward");
  }

  @ParameterizedTest
  @MethodSource("tables")
  void tablesAreThoseOfDiffusers(JsonNode table) {
    BetaSchedule schedule = GoldenJson.schedule(table);
    int[] t = GoldenJson.ints(table.get("t"));
    double[] betas = GoldenJson.doubles(table.get("betas"));
    double[] alphaBars = GoldenJson.doubles(table.get("alphas_cumprod"));
    assertThat(schedule.timesteps()).isEqualTo(table.get("num_train_timesteps").asInt());
    assertThat(schedule.name()).isEqualTo(table.get("beta_schedule").asText());
    assertThat(schedule.isZeroTerminalSnr())
        .isEqualTo(table.get("rescale_betas_zero_snr").asBoolean());
    for (int i = 0; i < t.length; i++) {
      assertThat(schedule.alphaBar(t[i])).as("t = %s", t[i]).isCloseTo(alphaBars[i], within(1e-12));
      assertThat(schedule.betas()[t[i]]).as("t = %s", t[i]).isCloseTo(betas[i], within(1e-12));
    }
  }

  /** Forward noising and the velocity target, from signal and noise. */
  @ParameterizedTest
  @MethodSource("forward")
  void noisyImagesAndVelocitiesAreThoseOfDiffusers(JsonNode record) {
    BetaSchedule schedule = GoldenJson.schedule(record);
    int[] timesteps = GoldenJson.ints(record.get("timesteps"));
    for (int i = 0; i < timesteps.length; i++) {
      double signal = Math.sqrt(schedule.alphaBar(timesteps[i]));
      double noise = Math.sqrt(1 - schedule.alphaBar(timesteps[i]));
      double[] x0 = GoldenJson.doubles(record.get("x0").get(i));
      double[] epsilon = GoldenJson.doubles(record.get("noise").get(i));
      double[] x = GoldenJson.doubles(record.get("add_noise").get(i));
      double[] v = GoldenJson.doubles(record.get("get_velocity").get(i));
      PredictionType type = PredictionType.V_PREDICTION;
      for (int k = 0; k < x.length; k++) {
        assertThat(signal * x0[k] + noise * epsilon[k]).isCloseTo(x[k], within(1e-12));
        assertThat(type.fromNoise(signal, noise) * epsilon[k] + type.fromX0(signal, noise) * x0[k])
            .isCloseTo(v[k], within(1e-12));
      }
    }
  }

  @Test
  void betasOfARealTableComeBack() {
    double[] betas = {0.1, 0.2, 0.4};
    BetaSchedule schedule = BetaSchedule.of(betas);
    betas[0] = 0.9;
    assertThat(schedule.betas()).containsExactly(new double[] {0.1, 0.2, 0.4}, within(1e-15));
    assertThat(schedule.alphaBar(2)).isCloseTo(0.9 * 0.8 * 0.6, within(1e-15));
    assertThat(schedule).isEqualTo(BetaSchedule.of(0.1, 0.2, 0.4));
    assertThat(schedule).isNotEqualTo(BetaSchedule.of(0.1, 0.2, 0.3));
  }

  @Test
  void zeroTerminalSnrKeepsTheFirstAndEmptiesTheLast() {
    BetaSchedule schedule = BetaSchedule.linear().zeroTerminalSnr();
    assertThat(schedule.alphaBar(999)).isZero();
    assertThat(schedule.alphaBar(0)).isCloseTo(BetaSchedule.linear().alphaBar(0), within(1e-15));
    assertThat(schedule.zeroTerminalSnr()).isSameAs(schedule);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void betweenTimestepsAlphaBarFallsWithoutJumps(boolean zeroTerminalSnr) {
    BetaSchedule schedule =
        zeroTerminalSnr ? BetaSchedule.cosine(20).zeroTerminalSnr() : BetaSchedule.cosine(20);
    double before = schedule.alphaBar(0);
    for (int i = 1; i <= 19_000; i++) {
      double alphaBar = schedule.alphaBar(i / 1000.0);
      assertThat(alphaBar).isLessThan(before).isGreaterThan(before - 1e-3);
      before = alphaBar;
    }
  }

  @Test
  void badTablesAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BetaSchedule.linear(0))
        .withMessage("a schedule needs at least 1 timestep, got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(BetaSchedule::of)
        .withMessage("a schedule needs at least 1 timestep, got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BetaSchedule.linear(10, 0, 0.02))
        .withMessage("start must be in (0, 1), got 0.0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BetaSchedule.scaledLinear(10, 0.1, Double.NaN))
        .withMessage("end must be in (0, 1), got NaN");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BetaSchedule.of(0.5, 1))
        .withMessage("betas[1] must be in (0, 1), got 1.0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BetaSchedule.linear(1).zeroTerminalSnr())
        .withMessage("zero terminal SNR needs at least 2 timesteps, got 1");
  }

  @ParameterizedTest
  @ValueSource(doubles = {-0.001, 999.001, Double.NaN})
  void timestepsOutsideAreRefused(double timestep) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BetaSchedule.linear().alphaBar(timestep))
        .withMessage("timestep must be in [0, 999], got " + timestep);
  }
}

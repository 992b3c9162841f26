package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NoiseTest {
  @Test
  void schedulesHaveNames() {
    Map<String, BetaSchedule> schedules =
        Map.of(
            "linear", BetaSchedule.linear(),
            "linear:50", BetaSchedule.linear(50),
            "linear:20:0.001:0.3", BetaSchedule.linear(20, 1e-3, 0.3),
            "cosine", BetaSchedule.cosine(),
            "cosine:100", BetaSchedule.cosine(100),
            "scaled_linear:1000:8.5E-4:0.012", BetaSchedule.scaledLinear(1000, 0.00085, 0.012),
            "sigmoid", BetaSchedule.sigmoid(1000, 1e-4, 0.02),
            "laplace:10", BetaSchedule.laplace(10));
    schedules.forEach(
        (option, schedule) -> {
          assertThat(Noise.schedule(option)).isEqualTo(schedule);
          assertThat(Noise.option(schedule)).isEqualTo(option);
        });
    assertThat(Noise.schedule("squaredcos_cap_v2")).isEqualTo(BetaSchedule.cosine());
    assertThat(Noise.schedule("linear:1000:1e-4:0.02")).isEqualTo(BetaSchedule.linear());
  }

  @ParameterizedTest
  @CsvSource({
    "Linear, there is none of that name",
    "'', there is none of that name",
    "linear:, 'it takes timesteps in [1, 1000000], and after them a range of two numbers'",
    "linear:0, 'it takes timesteps in [1, 1000000]'",
    "linear:1000001, 'it takes timesteps in [1, 1000000]'",
    "linear:1000:0.1, 'it takes timesteps in [1, 1000000], and after them a range of two numbers'",
    "linear:1000:a:b, 'it takes timesteps in [1, 1000000], and after them a range of two numbers'",
    "linear:1000:0.1:0.2:0.3, 'it takes timesteps in [1, 1000000], and after them a range of two numbers'",
    "linear:1000:0:0.02, 'start must be in (0, 1), got 0.0'",
    "cosine:1000:1e-4:0.02, cosine has no range",
    "laplace:1000:1e-4:0.02, laplace has no range"
  })
  void othersAreRefused(String option, String why) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Noise.schedule(option))
        .withMessageStartingWith("--schedule must be linear, cosine, scaled_linear, sigmoid or")
        .withMessageContaining(", got " + option + ": " + why);
  }

  @Test
  void predictionTypesHaveNames() {
    assertThat(Noise.prediction("v")).isEqualTo(PredictionType.V_PREDICTION);
    for (PredictionType type : PredictionType.values()) {
      assertThat(Noise.prediction(type.configName())).isEqualTo(type);
    }
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Noise.prediction("flow"))
        .withMessageContaining("got flow");
  }
}

package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Single steps against diffusers.
 *
 * <p>With {@code use_clipped_model_output} off, diffusers goes on with the ε from before clipping:
 * x0 enters with √ᾱ' alone, and ε through x and the output.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class GoldenStepsTest {
  /** Relative to the largest number in the record, at least 1. */
  private static final double DDIM = 1e-12;

  /** The reference clamps the small variance at 1e-20, which leaves 1e-10·z in its last row. */
  private static final double DDPM = 1e-9;

  private final List<JsonNode> steps = GoldenJson.records("steps.json", "steps");
  private final List<JsonNode> deviating = GoldenJson.records("steps.json", "deviating");

  List<String> schedulers() {
    return List.of("DDIMScheduler", "DDPMScheduler");
  }

  @ParameterizedTest
  @MethodSource("schedulers")
  void stepsAreThoseOfDiffusers(String scheduler) {
    int compared = 0;
    for (JsonNode record : steps) {
      if (record.get("scheduler").asText().equals(scheduler)) {
        assertSame(record, row(record, record.get("next_timestep").asInt()));
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(100);
  }

  /** Where diffusers takes t - T/n for the next timestep, we take the next of the plan. */
  @Test
  void nextTimestepIsThatOfThePlan() {
    List<JsonNode> records = deviating("the next timestep is taken");
    assertThat(records).isNotEmpty();
    for (JsonNode record : records) {
      assertSame(record, row(record, record.get("reference_next_timestep").asInt()));
      assertDiffers(record, row(record, record.get("next_timestep").asInt()));
    }
  }

  /** Where diffusers adds noise at the very end, we don't: there the next x is the estimate. */
  @Test
  void lastRowAddsNoNoise() {
    List<JsonNode> records = deviating("noise is added on the last row");
    assertThat(records).isNotEmpty();
    for (JsonNode record : records) {
      Step row = row(record, -1);
      assertThat(row.fromNoise()).isZero();
      assertThat(prevSample(record, row))
          .containsExactly(
              GoldenJson.doubles(record.get("pred_original_sample")), tolerance(record));
      assertDiffers(record, row);
    }
  }

  @Test
  void radicandIsNeverNegative() {
    List<JsonNode> records = deviating("1 - alpha' - sigma^2");
    assertThat(records).isNotEmpty();
    for (JsonNode record : records) {
      assertThat(prevSample(record, row(record, record.get("next_timestep").asInt())))
          .doesNotContain(Double.NaN);
    }
  }

  @Test
  void epsilonAtZeroSnrIsRefused() {
    List<JsonNode> records = deviating("zero SNR with epsilon");
    assertThat(records).isNotEmpty();
    for (JsonNode record : records) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> row(record, record.get("next_timestep").asInt()))
          .withMessage(
              "epsilon prediction needs signal at every timestep, but the schedule has zero SNR at"
                  + " timestep 999.0; use v_prediction or sample");
    }
  }

  private List<JsonNode> deviating(String why) {
    List<JsonNode> records = new ArrayList<>();
    for (JsonNode record : deviating) {
      if (record.get("why").asText().startsWith(why)) {
        records.add(record);
      }
    }
    return records;
  }

  private static void assertSame(JsonNode record, Step row) {
    assertThat(x0(record, row))
        .as("%s", record)
        .containsExactly(GoldenJson.doubles(record.get("pred_original_sample")), tolerance(record));
    assertThat(prevSample(record, row))
        .as("%s", record)
        .containsExactly(GoldenJson.doubles(record.get("prev_sample")), tolerance(record));
  }

  private static void assertDiffers(JsonNode record, Step row) {
    double[] ours = prevSample(record, row);
    double[] theirs = GoldenJson.doubles(record.get("prev_sample"));
    double worst = 0;
    for (int i = 0; i < ours.length; i++) {
      worst = Math.max(worst, Math.abs(ours[i] - theirs[i]));
    }
    assertThat(worst).as("%s", record).isGreaterThan(1e-4);
  }

  private static Offset<Double> tolerance(JsonNode record) {
    double largest = 1;
    for (String field : List.of("pred_original_sample", "prev_sample")) {
      for (double value : GoldenJson.doubles(record.get(field))) {
        largest = Math.max(largest, Math.abs(value));
      }
    }
    boolean ddim = record.get("scheduler").asText().equals("DDIMScheduler");
    return Offset.offset(ddim ? DDIM * largest : Math.max(DDPM, DDIM * largest));
  }

  private static Step row(JsonNode record, int next) {
    BetaSchedule schedule = GoldenJson.schedule(record);
    PredictionType type = PredictionType.ofConfigName(record.get("prediction_type").asText());
    double timestep = record.get("timestep").asDouble();
    double[] plan = next < 0 ? new double[] {timestep} : new double[] {timestep, next};
    return scheduler(record).steps(schedule, type, plan).get(0);
  }

  private static NoiseScheduler scheduler(JsonNode record) {
    if (record.get("scheduler").asText().equals("DDIMScheduler")) {
      boolean keepsNoise =
          record.get("clip_sample").asBoolean()
              && record.get("use_clipped_model_output").isBoolean()
              && !record.get("use_clipped_model_output").asBoolean();
      return NoiseScheduler.ddim(record.get("eta").asDouble(), !keepsNoise, true);
    }
    return switch (record.get("variance_type").asText()) {
      case "fixed_small" -> NoiseScheduler.ddpm();
      case "fixed_large" -> NoiseScheduler.ddpmLarge();
      default -> throw new AssertionError(record);
    };
  }

  private static double[] x0(JsonNode record, Step row) {
    double[] x = GoldenJson.doubles(record.get("x"));
    double[] out = GoldenJson.doubles(record.get("out"));
    double clip = record.get("clip_sample").asBoolean() ? 1 : Double.POSITIVE_INFINITY;
    double[] x0 = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      x0[i] = Math.max(-clip, Math.min(clip, row.x0FromX() * x[i] + row.x0FromOut() * out[i]));
    }
    return x0;
  }

  private static double[] prevSample(JsonNode record, Step row) {
    double[] x = GoldenJson.doubles(record.get("x"));
    double[] out = GoldenJson.doubles(record.get("out"));
    double[] z = GoldenJson.doubles(record.get("z"));
    double[] x0 = x0(record, row);
    double[] next = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      next[i] =
          row.fromX() * x[i]
              + row.fromOut() * out[i]
              + row.fromX0() * x0[i]
              + row.fromNoise() * z[i];
    }
    return next;
  }
}

package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The rows of all solvers against the schedulers of diffusers. */
class SolversTest {
  private static final double TOLERANCE = 1e-9;

  private final JsonNode start = GoldenJson.records("solvers.json", "start").get(0);

  @Test
  void loopsAreThoseOfDiffusers() {
    List<JsonNode> loops = GoldenJson.records("solvers.json", "loops");
    assertThat(loops).hasSizeGreaterThan(400);
    for (JsonNode loop : loops) {
      // Noise levels in the thousands, as cosine schedules have them, magnify what is rounded.
      double magnified = Math.max(1, loop.get("sigmas").get(0).asDouble() / 200);
      assertThat(worst(loop))
          .as("%s, n = %s", loop.get("config"), loop.get("n"))
          .isLessThan(TOLERANCE * magnified);
    }
  }

  /**
   * Of the second difference diffusers takes half, and its PLMS extrapolates v, if that is
   * predicted.
   */
  @Test
  void someOfDiffusersAreOthers() {
    List<JsonNode> loops = GoldenJson.records("solvers.json", "as_is");
    assertThat(loops).isNotEmpty();
    for (JsonNode loop : loops) {
      assertThat(worst(loop)).as("%s", loop.get("config")).isGreaterThan(1e-4);
    }
  }

  /** Returns the largest difference after any row, relative to what is there, at least 1. */
  private double worst(JsonNode loop) {
    JsonNode config = loop.get("config");
    List<Step> rows = rows(loop, config);
    double[] fed = GoldenJson.doubles(loop.get("timesteps"));
    assertThat(rows).hasSameSizeAs(loop.get("xs"));
    List<Step> called =
        IntStream.range(0, fed.length).mapToObj(i -> rows.get(i).calledAt(fed[i])).toList();
    double[] x = GoldenJson.doubles(start.get("x"));
    double worst = 0;
    for (int i = 0; i < x.length; i++) {
      int pixel = i;
      double[] xs =
          RunRows.run(
              called,
              x[pixel],
              (t, signal, value) -> 0.7 * Math.sin(2 * value + t / 300),
              row -> start.get("z").get(row).get(pixel).asDouble());
      for (int row = 0; row < xs.length; row++) {
        double expected = loop.get("xs").get(row).get(pixel).asDouble();
        worst = Math.max(worst, Math.abs(xs[row] - expected) / Math.max(1, Math.abs(expected)));
      }
    }
    return worst;
  }

  private static List<Step> rows(JsonNode loop, JsonNode config) {
    BetaSchedule schedule = GoldenJson.schedule(config);
    PredictionType type =
        PredictionType.ofConfigName(config.path("prediction_type").asText("epsilon"));
    double[] sigmas = GoldenJson.doubles(loop.get("sigmas"));
    // Who calls the network twice for a timestep has its level twice.
    double[] plan =
        IntStream.range(0, sigmas.length - 1)
            .filter(i -> i == 0 || sigmas[i] != sigmas[i - 1])
            .mapToDouble(i -> schedule.timestepOf(sigmas[i]))
            .toArray();
    int order = config.path("solver_order").asInt(2);
    boolean toImage = sigmas[sigmas.length - 1] == 0;
    boolean low = config.path("lower_order_final").asBoolean(true);
    NoiseScheduler solver =
        switch (config.get("_class_name").asText()) {
          case "DPMSolverMultistepScheduler" ->
              new DpmSolver(
                  order,
                  config.path("algorithm_type").asText("").startsWith("sde"),
                  !config.path("solver_type").asText("").equals("heun"),
                  low,
                  toImage);
          case "DPMSolverSinglestepScheduler" ->
              new DpmSolverSinglestep(
                  order,
                  !config.path("solver_type").asText("").equals("heun"),
                  config.path("lower_order_final").asBoolean(false),
                  toImage);
          case "UniPCMultistepScheduler" ->
              new UniPc(order, !config.path("solver_type").asText("").equals("bh1"), toImage);
          case "DEISMultistepScheduler" -> new AdamsBashforth(order, true, low, toImage);
          case "PNDMScheduler" -> new Plms(toImage);
          case "LMSDiscreteScheduler" -> NoiseScheduler.lms();
          case "HeunDiscreteScheduler" -> NoiseScheduler.heun();
          case "EulerDiscreteScheduler" ->
              toImage ? NoiseScheduler.euler() : NoiseScheduler.ddim(0, true, false);
          case "EulerAncestralDiscreteScheduler" -> NoiseScheduler.ddim(1);
          default -> throw new AssertionError(config);
        };
    List<Step> rows = new ArrayList<>(solver.steps(schedule, type, plan));
    if (config.path("euler_at_final").asBoolean(false)) {
      int last = rows.size() - 1;
      rows.set(
          last,
          new DpmSolver(1, ((DpmSolver) solver).stochastic(), true, low, toImage)
              .steps(schedule, type, plan)
              .get(last));
    }
    return rows;
  }
}

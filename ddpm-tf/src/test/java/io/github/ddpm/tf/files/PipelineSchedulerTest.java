package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Step;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What {@code scheduler_config.json} says, against loops of diffusers itself, in double. */
class PipelineSchedulerTest {
  /** Plan, timesteps that the network is told, and rows of each scheduler that is a solver. */
  @Test
  void aSolversPlanIsThatOfDiffusers() throws IOException {
    JsonNode golden = Json.read(Fixtures.path("golden/solvers.json"));
    JsonNode start = golden.get("start").get(0);
    for (JsonNode loop : golden.get("loops")) {
      JsonNode config = loop.get("config");
      PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.empty());
      BetaSchedule schedule = SchedulerJson.schedule(config);
      double[] plan = plan(pipeline, loop.get("n").asInt(), schedule);
      List<Step> rows = pipeline.steps(schedule, SchedulerJson.predictionType(config), plan);
      double[] sigmas = doubles(loop.get("sigmas"));
      double[] told = doubles(loop.get("timesteps"));
      assertThat(rows).as("%s", config).hasSize(told.length);
      for (int i = 0; i < told.length; i++) {
        Step row = rows.get(i);
        assertThat(row.timestep()).as("%s of %s", i, config).isCloseTo(told[i], within(1e-6));
        assertThat(row.noise() / row.signal())
            .as("%s of %s", i, config)
            .isCloseTo(sigmas[i], withinPercentage(1e-6));
      }
      assertXs(loop, rows, pipeline.clip(), doubles(start.get("x")), start.get("z"), 1e-6);
      ModelConfig model =
          new ModelConfig(
              UNetConfig.small(4, 4, 1),
              model(schedule, SchedulerJson.predictionType(config)),
              pipeline);
      JsonNode saved = SchedulerJson.write(model, "0");
      assertThat(SchedulerJson.pipeline(saved, Optional.empty())).isEqualTo(pipeline);
      assertThat(SchedulerJson.schedule(saved)).isEqualTo(schedule);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "DPMSolverMultistepScheduler | solver_order | 4 | solver_order must be 1, 2 or 3, got 4",
        "DPMSolverMultistepScheduler | algorithm_type | \"dpmsolver\" | algorithm_type must be dpmsolver++ or"
            + " sde-dpmsolver++, got dpmsolver",
        "DPMSolverMultistepScheduler | use_beta_sigmas | true | use_beta_sigmas must be false, got true",
        "DPMSolverMultistepScheduler | euler_at_final | 1 | euler_at_final must be true or false, got 1",
        "DPMSolverSinglestepScheduler | algorithm_type | \"sde-dpmsolver++\" | algorithm_type must be dpmsolver++, got"
            + " sde-dpmsolver++",
        "PNDMScheduler | skip_prk_steps | false | skip_prk_steps must be true, got false",
        "PNDMScheduler | set_alpha_to_one | true | skip_prk_steps must be true, got false",
        "UniPCMultistepScheduler | predict_x0 | false | predict_x0 must be true, got false",
        "UniPCMultistepScheduler | steps_offset | -1 | steps_offset must be at least 0, got -1",
        "EulerDiscreteScheduler | interpolation_type | \"log_linear\" | interpolation_type must be linear, got"
            + " log_linear",
      })
  void whatWeCantDoIsRefusedByName(String name, String key, String value, String message)
      throws IOException {
    ObjectNode config = Json.object().put("_class_name", name);
    config.set(key, Json.MAPPER.readTree(value));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SchedulerJson.pipeline(config, Optional.empty()))
        .withMessage(message);
  }

  @Test
  void plmsTakesItsOwnStepsAndASinglestepSolverItsOwnSpacing() {
    ObjectNode plms = Json.object().put("_class_name", "PNDMScheduler").put("skip_prk_steps", true);
    assertThat(SchedulerJson.pipeline(plms, Optional.empty()).defaultSteps(1000)).isEqualTo(50);
    ObjectNode config = Json.object().put("_class_name", "DPMSolverSinglestepScheduler");
    PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.empty());
    assertThat(pipeline.defaultSteps(1000)).isEqualTo(20);
    config.put("timestep_spacing", "trailing");
    assertThat(SchedulerJson.pipeline(config, Optional.empty())).isEqualTo(pipeline);
    assertThat(plan(pipeline, 4, BetaSchedule.linear())).containsExactly(999, 749, 500, 250);
  }

  @Test
  void aThresholdIsTheSamplersAndStaysWhenItIsSaved() {
    for (String name : new String[] {"DDIMScheduler", "DPMSolverMultistepScheduler"}) {
      for (double most : new double[] {1, 2.5}) {
        ObjectNode config =
            Json.object()
                .put("_class_name", name)
                .put("thresholding", true)
                .put("sample_max_value", most)
                .put("dynamic_thresholding_ratio", 0.9);
        PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.empty());
        assertThat(pipeline.clip()).isEqualTo(most);
        assertThat(pipeline.thresholdRatio()).isEqualTo(most == 1 ? 0 : 0.9);
        ModelConfig model =
            new ModelConfig(
                UNetConfig.small(4, 4, 1),
                model(BetaSchedule.linear(), PredictionType.SAMPLE),
                pipeline);
        Optional<SchedulerJson.Index> index =
            Optional.of(SchedulerJson.index(SchedulerJson.writeIndex(pipeline, "0")));
        assertThat(SchedulerJson.pipeline(SchedulerJson.write(model, "0"), index))
            .isEqualTo(pipeline);
      }
    }
  }

  @Test
  void noiseLevelsOfTheSettingsAreNotThoseOfTheUser() {
    ObjectNode config =
        Json.object()
            .put("_class_name", "DPMSolverMultistepScheduler")
            .put("use_karras_sigmas", true);
    PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.empty());
    double[] whole = plan(pipeline, 10, BetaSchedule.linear());
    double[] end = Arrays.copyOfRange(whole, 6, 10);
    assertThat(pipeline.steps(BetaSchedule.linear(), PredictionType.SAMPLE, end)).hasSize(4);
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                pipeline.steps(
                    BetaSchedule.linear(), PredictionType.SAMPLE, new double[] {900, 500, 100}))
        .withMessage(
            "use_karras_sigmas makes the timesteps itself, which can't be others: give the sampler a number of steps, or"
                + " another solver");
  }

  static List<JsonNode> loops() throws IOException {
    JsonNode loops = Json.read(Fixtures.path("golden/loops.json")).get("loops");
    return StreamSupport.stream(loops.spliterator(), false).toList();
  }

  @ParameterizedTest
  @MethodSource("loops")
  void aLoopIsThatOfDiffusers(JsonNode loop) {
    JsonNode config = loop.get("config");
    assertLoop(loop, config);
    // The same after saving it.
    PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.empty());
    BetaSchedule schedule = SchedulerJson.schedule(config);
    PredictionType type = SchedulerJson.predictionType(config);
    ModelConfig model = new ModelConfig(UNetConfig.small(4, 4, 1), model(schedule, type), pipeline);
    JsonNode saved = SchedulerJson.write(model, "0");
    assertLoop(loop, saved);
    assertThat(SchedulerJson.schedule(saved)).isEqualTo(schedule);
    assertThat(
            SchedulerJson.pipeline(
                saved, Optional.of(SchedulerJson.index(SchedulerJson.writeIndex(pipeline, "0")))))
        .isEqualTo(pipeline);
  }

  private static void assertLoop(JsonNode loop, JsonNode config) {
    PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.empty());
    BetaSchedule schedule = SchedulerJson.schedule(config);
    double[] plan = plan(pipeline, 5, schedule);
    assertThat(plan).containsExactly(doubles(loop.get("timesteps")));
    List<Step> rows = pipeline.steps(schedule, SchedulerJson.predictionType(config), plan);
    assertXs(loop, rows, pipeline.clip(), doubles(loop.get("x")), loop.get("z"), 1e-9);
  }

  /** Runs rows with a formula as the network. */
  private static void assertXs(
      JsonNode loop, List<Step> rows, double clip, double[] start, JsonNode z, double tolerance) {
    for (int i = 0; i < start.length; i++) {
      double x = start[i];
      double[] kept = new double[3];
      for (int row = 0; row < rows.size(); row++) {
        Step step = rows.get(row);
        double out = 0.7 * Math.sin(2 * x + step.timestep() / 300);
        double raw = step.x0FromX() * x + step.x0FromOut() * out;
        double x0 = Math.max(-clip, Math.min(clip, raw));
        double keeps = step.keptFromX() * x + step.keptFromX0() * x0;
        x =
            step.fromX() * x
                + step.fromOut() * out
                + step.fromX0() * x0
                + step.fromPrevious() * kept[0]
                + step.fromOlder() * kept[1]
                + step.fromOldest() * kept[2]
                + step.fromNoise() * z.get(row).get(i).asDouble();
        kept = new double[] {keeps, kept[0], kept[1]};
        double expected = loop.get("xs").get(row).get(i).asDouble();
        assertThat(x)
            .as("row %s of %s", row, loop.get("config"))
            .isCloseTo(expected, within(tolerance * Math.max(1, Math.abs(expected))));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // pipeline, scheduler, T, steps_offset, spacing: steps that it takes when not told, the first
    "DDPMPipeline, DDPMScheduler, 1000, 0, leading, 1000, 999",
    "DDPMPipeline, DDPMScheduler, 200, 0, leading, 200, 199",
    "DDIMPipeline, DDIMScheduler, 1000, 0, leading, 50, 980",
    "DDIMPipeline, DDPMScheduler, 1000, 1, leading, 50, 981",
    "DDPMPipeline, DDIMScheduler, 1000, 0, trailing, 1000, 999",
    // Where diffusers would ask for timestep 1000, there is one step less.
    "DDPMPipeline, DDPMScheduler, 1000, 1, leading, 999, 999",
  })
  void theDefaultPlanIsThatOfThePipeline(
      String pipelineClass,
      String schedulerClass,
      int timesteps,
      int offset,
      String spacing,
      int steps,
      double first)
      throws IOException {
    JsonNode config =
        Json.MAPPER.createObjectNode().put("timestep_spacing", spacing).put("steps_offset", offset);
    SchedulerJson.Index index =
        new SchedulerJson.Index(pipelineClass.equals("DDIMPipeline"), Optional.of(schedulerClass));
    PipelineScheduler pipeline = SchedulerJson.pipeline(config, Optional.of(index));
    assertThat(pipeline.kind() == SchedulerClass.DDIM)
        .isEqualTo(pipelineClass.equals("DDIMPipeline") || schedulerClass.equals("DDIMScheduler"));
    double[] plan =
        plan(pipeline, pipeline.defaultSteps(timesteps), BetaSchedule.linear(timesteps));
    assertThat(plan).hasSize(steps);
    assertThat(plan[0]).isEqualTo(first);
  }

  /**
   * The rows of a learned variance, and the large one in the log domain, where diffusers gets NaN.
   */
  @Test
  void aVarianceIsOneOfTheFixedOnes() {
    assertThat(rows("learned_range")).isEqualTo(rows("fixed_small"));
    assertThat(rows("learned")).isEqualTo(rows("fixed_small"));
    assertThat(rows("fixed_large_log")).isEqualTo(rows("fixed_large"));
    assertThat(rows("fixed_large")).isNotEqualTo(rows("fixed_small"));
  }

  private static List<Step> rows(String varianceType) {
    return new PipelineScheduler(
            false, SchedulerClass.DDPM, Json.object().put("variance_type", varianceType), 1, 0)
        .steps(BetaSchedule.linear(), PredictionType.EPSILON, new double[] {900, 500, 0});
  }

  private static double[] plan(PipelineScheduler pipeline, int n, BetaSchedule schedule) {
    return pipeline.spacing(n, model(schedule, PredictionType.SAMPLE)).timesteps(schedule);
  }

  private static ModelInfo model(BetaSchedule schedule, PredictionType type) {
    return new ModelInfo(1, 1, 1, 0, false, schedule, type);
  }

  private static double[] doubles(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false)
        .mapToDouble(JsonNode::asDouble)
        .toArray();
  }
}

package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;
import static io.github.ddpm.tf.files.Json.bool;
import static io.github.ddpm.tf.files.Json.integer;
import static io.github.ddpm.tf.files.Json.list;
import static io.github.ddpm.tf.files.Json.number;
import static io.github.ddpm.tf.files.Json.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.graph.UNetConfig;
import java.util.Optional;

/**
 * The {@code scheduler_config.json} and the {@code model_index.json} of diffusers. What is absent
 * has diffusers' default; what we can't do is refused by name.
 */
final class SchedulerJson {
  /** What plans of few timesteps are spaced by; diffusers spaces them evenly. */
  private static final String SPACING_EXPONENT = "_spacing_exponent";

  /**
   * The steps that a model was distilled for. To diffusers, which leaves keys with an underscore
   * alone, they are an argument of the pipeline.
   */
  private static final String STEPS = "_num_inference_steps";

  private static final String THRESHOLDING = "thresholding";
  private static final String MOST = "sample_max_value";
  private static final String RATIO = "dynamic_thresholding_ratio";
  private static final String DDPM_PIPELINE = "DDPMPipeline";
  private static final String DDIM_PIPELINE = "DDIMPipeline";

  /** Most training timesteps, whose table must fit into memory; models have 1000. */
  private static final int MAX_TIMESTEPS = 1_000_000;

  private static final String TRAINED_BETAS = "trained_betas";

  private SchedulerJson() {}

  /**
   * Returns the noise of a {@code scheduler_config.json}.
   *
   * @throws IllegalArgumentException for one that we don't know
   */
  static BetaSchedule schedule(JsonNode json) {
    int timesteps = integer(json, "num_train_timesteps", BetaSchedule.DEFAULT_TIMESTEPS);
    checkArgument(
        timesteps <= MAX_TIMESTEPS,
        "num_train_timesteps must be at most %s, got %s",
        MAX_TIMESTEPS,
        timesteps);
    boolean heun = SchedulerClass.HEUN.className().equals(text(json, Json.CLASS_NAME, ""));
    double start = betaOf(json, "beta_start", heun ? 0.00085 : 1e-4);
    double end = betaOf(json, "beta_end", heun ? 0.012 : 0.02);
    String name = text(json, "beta_schedule", "linear");
    BetaSchedule schedule;
    if (json.hasNonNull(TRAINED_BETAS)) {
      checkArgument(
          list(json, TRAINED_BETAS).size() == timesteps,
          "trained_betas must have an entry for each of num_train_timesteps %s, got %s",
          timesteps,
          json.get(TRAINED_BETAS).size());
      schedule =
          BetaSchedule.of(
              list(json, TRAINED_BETAS).stream().mapToDouble(SchedulerJson::beta).toArray());
    } else {
      schedule =
          switch (name) {
            case "linear" -> BetaSchedule.linear(timesteps, start, end);
            case "scaled_linear" -> BetaSchedule.scaledLinear(timesteps, start, end);
            case "squaredcos_cap_v2" -> BetaSchedule.cosine(timesteps);
            case "sigmoid" -> BetaSchedule.sigmoid(timesteps, start, end);
            case "laplace" -> BetaSchedule.laplace(timesteps);
            default ->
                throw new IllegalArgumentException(
                    "beta_schedule must be linear, scaled_linear, squaredcos_cap_v2, sigmoid or laplace, got "
                        + name);
          };
    }
    return bool(json, "rescale_betas_zero_snr", false) ? schedule.zeroTerminalSnr() : schedule;
  }

  private static double betaOf(JsonNode json, String key, double absent) {
    double beta = number(json, key, absent);
    checkArgument(beta > 0 && beta < 1, "%s must be in (0, 1), got %s", key, String.valueOf(beta));
    return beta;
  }

  private static double beta(JsonNode json) {
    checkArgument(
        Json.isFinite(json), "trained_betas must be finite numbers, got %s", Excerpt.of(json));
    return json.doubleValue();
  }

  /** Returns what the model of a {@code scheduler_config.json} predicts. */
  static PredictionType predictionType(JsonNode json) {
    // How it was said before there were three; diffusers reads it up to 0.13.
    boolean epsilon = bool(json, "predict_epsilon", true);
    return PredictionType.ofConfigName(
        text(json, "prediction_type", epsilon ? "epsilon" : "sample"));
  }

  /**
   * Describes a model of that network with the {@code scheduler_config.json}.
   *
   * @throws IllegalArgumentException if the file has what we don't know, or what could not be
   *     sampled from
   */
  static ModelInfo info(JsonNode json, UNetConfig config) {
    double exponent = number(json, SPACING_EXPONENT, 1);
    String spacing = timestepSpacing(json);
    checkArgument(
        exponent == 1 || spacing.equals(PipelinePlans.TRAILING),
        "_spacing_exponent needs timestep_spacing trailing, got %s with %s",
        String.valueOf(exponent),
        spacing);
    int steps = integer(json, STEPS, 0);
    checkArgument(
        steps == 0 || spacing.equals(PipelinePlans.TRAILING),
        "_num_inference_steps needs timestep_spacing trailing, got %s with %s",
        steps,
        spacing);
    return config
        .info(schedule(json), predictionType(json))
        .withSpacingExponent(exponent)
        .withSteps(steps);
  }

  private static String timestepSpacing(JsonNode json) {
    return text(json, "timestep_spacing", "leading");
  }

  /**
   * What a {@code model_index.json} says.
   *
   * @param ddimPipeline whether it is a {@code DDIMPipeline}, else it is a {@code DDPMPipeline}
   * @param scheduler the class of the scheduler, if it is named
   */
  record Index(boolean ddimPipeline, Optional<String> scheduler) {}

  /**
   * Returns the pipeline of a {@code model_index.json}.
   *
   * @throws IllegalArgumentException if it is none that samples pixels from noise
   */
  static Index index(JsonNode json) {
    json.fieldNames()
        .forEachRemaining(
            key ->
                checkArgument(
                    key.startsWith("_") || key.equals("unet") || key.equals("scheduler"),
                    "%s is not supported: a model of pixels has a unet and a scheduler and no more",
                    Excerpt.of(key)));
    String pipeline = text(json, Json.CLASS_NAME, "none");
    checkArgument(
        pipeline.equals(DDPM_PIPELINE) || pipeline.equals(DDIM_PIPELINE),
        "_class_name must be DDPMPipeline or DDIMPipeline, got %s; other pipelines are not supported, but without this"
            + " file a UNet2DModel with the scheduler_config.json of either loads",
        pipeline);
    String network = className(json.path("unet")).orElse(UNetJson.UNET_CLASS);
    checkArgument(network.equals(UNetJson.UNET_CLASS), "unet must be UNet2DModel, got %s", network);
    return new Index(pipeline.equals(DDIM_PIPELINE), className(json.path("scheduler")));
  }

  /** Returns the second of a library and a class, if a part has it. */
  private static Optional<String> className(JsonNode part) {
    return Optional.of(part.path(1))
        .filter(JsonNode::isTextual)
        .map(name -> Excerpt.of(name.textValue()));
  }

  /** Returns the {@code model_index.json} of a model. */
  static ObjectNode writeIndex(PipelineScheduler pipeline, String version) {
    ObjectNode index = Json.object();
    index.put(Json.CLASS_NAME, pipeline.ddimPipeline() ? DDIM_PIPELINE : DDPM_PIPELINE);
    index.put(Json.VERSION, version);
    index.putArray("scheduler").add("diffusers").add(pipeline.kind().className());
    index.putArray("unet").add("diffusers").add(UNetJson.UNET_CLASS);
    return index;
  }

  /**
   * Returns how the pipeline of a {@code scheduler_config.json} samples.
   *
   * @param index where there is none, the pipeline is that of the scheduler's class; where it names
   *     no scheduler, that of the configuration is meant
   * @throws IllegalArgumentException for a scheduler or an option that we don't know
   */
  static PipelineScheduler pipeline(JsonNode json, Optional<Index> index) {
    String scheduler =
        index
            .flatMap(Index::scheduler)
            .orElseGet(() -> text(json, Json.CLASS_NAME, SchedulerClass.DDPM.className()));
    // DDIMPipeline makes a DDIMScheduler of whatever it is given.
    boolean ddimPipeline =
        index.map(Index::ddimPipeline).orElse(scheduler.equals(SchedulerClass.DDIM.className()));
    SchedulerClass kind = ddimPipeline ? SchedulerClass.DDIM : SchedulerClass.of(scheduler);
    double most = number(json, MOST, 1);
    if (!bool(json, THRESHOLDING, false)) {
      return new PipelineScheduler(ddimPipeline, kind, json, clip(json, kind), 0);
    }
    checkArgument(most >= 1, "sample_max_value must be at least 1, got %s", most);
    double ratio = number(json, RATIO, 0.995);
    checkArgument(ratio > 0, "dynamic_thresholding_ratio must be in (0, 1], got %s", ratio);
    // With 1 it is clipping.
    return new PipelineScheduler(ddimPipeline, kind, json, most, most == 1 ? 0 : ratio);
  }

  private static double clip(JsonNode json, SchedulerClass kind) {
    return kind.clips().isPresent() && bool(json, "clip_sample", kind.clips().get())
        ? number(json, "clip_sample_range", 1)
        : Double.POSITIVE_INFINITY;
  }

  /** Returns the {@code scheduler_config.json} of a model. */
  static ObjectNode write(ModelConfig model, String version) {
    ModelInfo info = model.info();
    PipelineScheduler pipeline = model.pipeline();
    BetaSchedule schedule = info.schedule();
    ObjectNode json = Json.object();
    json.put(Json.CLASS_NAME, pipeline.kind().className()).put(Json.VERSION, version);
    json.put("num_train_timesteps", schedule.timesteps());
    if (schedule.name().equals(TRAINED_BETAS)) {
      ArrayNode betas = json.putArray(TRAINED_BETAS);
      for (double beta : schedule.beforeZeroTerminalSnr().betas()) {
        betas.add(beta);
      }
    } else {
      json.put("beta_schedule", schedule.name());
      schedule.betaStart().ifPresent(beta -> json.put("beta_start", beta));
      schedule.betaEnd().ifPresent(beta -> json.put("beta_end", beta));
    }
    json.put("rescale_betas_zero_snr", schedule.isZeroTerminalSnr());
    json.put("prediction_type", info.predictionType().configName());
    pipeline.write(json);
    double clip = pipeline.clip();
    if (pipeline.thresholdRatio() > 0 || (pipeline.kind().clips().isEmpty() && clip == 1)) {
      json.put(THRESHOLDING, true).put(MOST, clip);
      json.put(RATIO, pipeline.thresholdRatio() > 0 ? pipeline.thresholdRatio() : 1);
    } else if (pipeline.kind().clips().isPresent()) {
      boolean clips = Double.isFinite(clip);
      json.put("clip_sample", clips).put("clip_sample_range", clips ? clip : 1);
    }
    if (info.spacingExponent() != 1) {
      json.put(SPACING_EXPONENT, info.spacingExponent());
    }
    if (info.steps() > 0) {
      json.put(STEPS, info.steps());
    }
    return json;
  }
}

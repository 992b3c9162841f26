package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.ImmutableMap;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.StreamSupport;

/**
 * The configuration files of diffusers. What is absent has diffusers' default; what we can't do is
 * refused by name.
 */
final class DiffusersConfig {
  /**
   * Marks a model whose last class embedding means "no label"; diffusers leaves keys with an
   * underscore alone.
   */
  private static final String NULL_LABEL = "_null_class_label";

  /** What plans of few timesteps are spaced by; diffusers spaces them evenly. */
  private static final String SPACING_EXPONENT = "_spacing_exponent";

  private static final String CLASS_NAME = "_class_name";
  private static final String VERSION = "_diffusers_version";
  private static final String UNET_CLASS = "UNet2DModel";
  private static final String DDPM_PIPELINE = "DDPMPipeline";
  private static final String DDIM_PIPELINE = "DDIMPipeline";
  private static final String DDPM_SCHEDULER = "DDPMScheduler";
  private static final String DDIM_SCHEDULER = "DDIMScheduler";

  /** Most training timesteps, whose table must fit into memory; models have 1000. */
  private static final int MAX_TIMESTEPS = 1_000_000;

  private static final String SCALE_SHIFT = "scale_shift";
  private static final String TRAINED_BETAS = "trained_betas";

  /**
   * Options of {@code UNet2DModel} for which there is one value we can do, which is also diffusers'
   * default.
   */
  private static final Map<String, Object> FIXED =
      ImmutableMap.<String, Object>builder()
          .put("act_fn", "silu")
          .put("center_input_sample", false)
          .put("downsample_type", "conv")
          .put("mid_block_scale_factor", 1)
          .put("mid_block_type", "UNetMidBlock2D")
          .put("time_embedding_type", "positional")
          .put("upsample_type", "conv")
          .build();

  /** Options of {@code UNet2DModel} that must be left out. */
  private static final List<String> ABSENT =
      List.of("attn_norm_num_groups", "class_embed_type", "time_embedding_dim");

  private DiffusersConfig() {}

  /**
   * The network of a {@code unet/config.json}.
   *
   * @throws IllegalArgumentException if it is none that we can build
   */
  static UNetConfig unet(JsonNode json) {
    String type = json.path(CLASS_NAME).asText(UNET_CLASS);
    checkArgument(type.equals(UNET_CLASS), "_class_name must be UNet2DModel, got %s", type);
    FIXED.forEach(
        (key, value) ->
            checkArgument(
                !json.has(key)
                    || json.get(key).asText().equals(value.toString())
                    || (value instanceof Number number
                        && json.get(key).asDouble() == number.doubleValue()),
                "%s must be %s, got %s",
                key,
                value,
                json.get(key)));
    for (String key : ABSENT) {
      checkArgument(!json.hasNonNull(key), "%s is not supported, got %s", key, json.get(key));
    }
    JsonNode size = json.path("sample_size");
    checkArgument(
        size.isInt() || (size.isArray() && size.size() == 2),
        "sample_size must be the pictures' height and width in pixels, one number or two, got %s",
        size);
    int channels = integer(json, "in_channels", 3);
    int outChannels = integer(json, "out_channels", 3);
    checkArgument(
        outChannels == channels || outChannels == 2L * channels,
        "out_channels must equal in_channels %s, or be twice that for a learned variance, got %s",
        channels,
        outChannels);
    String conditioning = json.path("resnet_time_scale_shift").asText("default");
    checkArgument(
        conditioning.equals("default") || conditioning.equals(SCALE_SHIFT),
        "resnet_time_scale_shift must be default or scale_shift, got %s",
        conditioning);
    return new UNetConfig(
        size.isInt() ? size.intValue() : size.get(0).asInt(),
        size.isInt() ? size.intValue() : size.get(1).asInt(),
        channels,
        outChannels != channels,
        list(json, "block_out_channels").stream()
            .map(
                width -> {
                  checkArgument(
                      width.isInt(), "block_out_channels must be whole numbers, got %s", width);
                  return width.intValue();
                })
            .toList(),
        integer(json, "layers_per_block", 2),
        attention(json, "down_block_types", "DownBlock2D", "AttnDownBlock2D"),
        attention(json, "up_block_types", "UpBlock2D", "AttnUpBlock2D"),
        bool(json, "add_attention", true),
        // An explicit null is one head; without the key, diffusers takes 8.
        json.has("attention_head_dim") && json.get("attention_head_dim").isNull()
            ? OptionalInt.empty()
            : OptionalInt.of(integer(json, "attention_head_dim", 8)),
        integer(json, "norm_num_groups", 32),
        number(json, "norm_eps", 1e-5),
        integer(json, "downsample_padding", 1),
        conditioning.equals(SCALE_SHIFT),
        bool(json, "flip_sin_to_cos", true),
        number(json, "freq_shift", 0),
        number(json, "dropout", 0),
        integer(json, "num_class_embeds", 0),
        bool(json, NULL_LABEL, false));
  }

  /** The {@code unet/config.json} of a network. */
  static ObjectNode ofUnet(UNetConfig config, String version) {
    ObjectNode json = ModelFolder.JSON.createObjectNode();
    json.put(CLASS_NAME, UNET_CLASS).put(VERSION, version);
    if (config.nullLabel()) {
      json.put(NULL_LABEL, true);
    }
    if (config.height() == config.width()) {
      json.put("sample_size", config.height());
    } else {
      json.putArray("sample_size").add(config.height()).add(config.width());
    }
    json.put("in_channels", config.channels()).put("out_channels", config.outChannels());
    ArrayNode channels = json.putArray("block_out_channels");
    config.blockOutChannels().forEach(channels::add);
    json.put("layers_per_block", config.layersPerBlock());
    ArrayNode down = json.putArray("down_block_types");
    config.downAttention().forEach(with -> down.add(with ? "AttnDownBlock2D" : "DownBlock2D"));
    ArrayNode up = json.putArray("up_block_types");
    config.upAttention().forEach(with -> up.add(with ? "AttnUpBlock2D" : "UpBlock2D"));
    json.put("add_attention", config.addAttention());
    if (config.attentionHeadDim().isPresent()) {
      json.put("attention_head_dim", config.attentionHeadDim().getAsInt());
    } else {
      json.putNull("attention_head_dim");
    }
    json.put("norm_num_groups", config.normNumGroups()).put("norm_eps", config.normEps());
    json.put("downsample_padding", config.downsamplePadding());
    json.put("resnet_time_scale_shift", config.scaleShift() ? SCALE_SHIFT : "default");
    json.put("flip_sin_to_cos", config.flipSinToCos());
    json.put("freq_shift", (int) config.freqShift()).put("dropout", config.dropout());
    if (config.classEmbeddings() > 0) {
      json.put("num_class_embeds", config.classEmbeddings());
    } else {
      json.putNull("num_class_embeds");
    }
    FIXED.forEach(json::putPOJO);
    return json;
  }

  /**
   * The noise of a {@code scheduler_config.json}.
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
    double start = number(json, "beta_start", 1e-4);
    double end = number(json, "beta_end", 0.02);
    String name = json.path("beta_schedule").asText("linear");
    BetaSchedule schedule;
    if (json.hasNonNull(TRAINED_BETAS)) {
      checkArgument(
          list(json, TRAINED_BETAS).size() == timesteps,
          "trained_betas must have an entry for each of num_train_timesteps %s, got %s",
          timesteps,
          json.get(TRAINED_BETAS).size());
      schedule =
          BetaSchedule.of(
              list(json, TRAINED_BETAS).stream().mapToDouble(JsonNode::asDouble).toArray());
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

  /** What the model of a {@code scheduler_config.json} predicts. */
  static PredictionType predictionType(JsonNode json) {
    return PredictionType.ofConfigName(json.path("prediction_type").asText("epsilon"));
  }

  /**
   * A model of that network with the {@code scheduler_config.json}.
   *
   * @throws IllegalArgumentException if the file has what we don't know, or what could not be
   *     sampled from
   */
  static ModelInfo info(JsonNode json, UNetConfig config) {
    double exponent = number(json, SPACING_EXPONENT, 1);
    String spacing = timestepSpacing(json);
    checkArgument(
        exponent == 1 || spacing.equals(PipelineScheduler.TRAILING),
        "_spacing_exponent needs timestep_spacing trailing, got %s with %s",
        String.valueOf(exponent),
        spacing);
    return config.info(schedule(json), predictionType(json)).withSpacingExponent(exponent);
  }

  private static String timestepSpacing(JsonNode json) {
    return text(json, "timestep_spacing", "leading");
  }

  /**
   * What a {@code model_index.json} says.
   *
   * @param ddimPipeline whether it is a {@code DDIMPipeline}, else it is a {@code DDPMPipeline}
   * @param scheduler the class of the scheduler
   */
  record Index(boolean ddimPipeline, String scheduler) {}

  /**
   * The pipeline of a {@code model_index.json}.
   *
   * @throws IllegalArgumentException if it is none that samples pixels from noise
   */
  static Index index(JsonNode json) {
    String pipeline = json.path(CLASS_NAME).asText();
    checkArgument(
        pipeline.equals(DDPM_PIPELINE) || pipeline.equals(DDIM_PIPELINE),
        "_class_name must be DDPMPipeline or DDIMPipeline, got %s; other pipelines are not supported, but without this"
            + " file a UNet2DModel with the scheduler_config.json of either loads",
        pipeline);
    json.fieldNames()
        .forEachRemaining(
            key ->
                checkArgument(
                    key.startsWith("_") || key.equals("unet") || key.equals("scheduler"),
                    "%s is not supported: a model of pixels has a unet and a scheduler and no more",
                    key));
    String network = json.path("unet").path(1).asText(UNET_CLASS);
    checkArgument(network.equals(UNET_CLASS), "unet must be UNet2DModel, got %s", network);
    return new Index(
        pipeline.equals(DDIM_PIPELINE), json.path("scheduler").path(1).asText(DDPM_SCHEDULER));
  }

  /** The {@code model_index.json} of a model. */
  static ObjectNode ofIndex(PipelineScheduler pipeline, String version) {
    ObjectNode index = ModelFolder.JSON.createObjectNode();
    index.put(CLASS_NAME, pipeline.ddimPipeline() ? DDIM_PIPELINE : DDPM_PIPELINE);
    index.put(VERSION, version);
    index
        .putArray("scheduler")
        .add("diffusers")
        .add(pipeline.ddim() ? DDIM_SCHEDULER : DDPM_SCHEDULER);
    index.putArray("unet").add("diffusers").add(UNET_CLASS);
    return index;
  }

  /**
   * How the pipeline of a {@code scheduler_config.json} samples.
   *
   * @param index where there is none, the pipeline is that of the scheduler's class
   * @throws IllegalArgumentException for a scheduler or an option that we don't know
   */
  static PipelineScheduler pipeline(JsonNode json, Optional<Index> index) {
    String scheduler =
        index.map(Index::scheduler).orElse(json.path(CLASS_NAME).asText(DDPM_SCHEDULER));
    checkArgument(
        scheduler.equals(DDPM_SCHEDULER) || scheduler.equals(DDIM_SCHEDULER),
        "the scheduler must be DDPMScheduler or DDIMScheduler, got %s; if the model was trained with the noise of the"
            + " beta_ settings here, write one of these two as _class_name, and in model_index.json if there is one",
        scheduler);
    // DDIMPipeline makes a DDIMScheduler of whatever it is given.
    boolean ddimPipeline = index.map(Index::ddimPipeline).orElse(scheduler.equals(DDIM_SCHEDULER));
    return new PipelineScheduler(
        ddimPipeline,
        ddimPipeline || scheduler.equals(DDIM_SCHEDULER),
        text(json, "variance_type", "fixed_small"),
        timestepSpacing(json),
        integer(json, "steps_offset", 0),
        bool(json, "set_alpha_to_one", true),
        clip(json));
  }

  private static double clip(JsonNode json) {
    if (bool(json, "thresholding", false)) {
      double most = number(json, "sample_max_value", 1);
      checkArgument(
          most == 1,
          "thresholding with sample_max_value %s is not supported, only with 1, where it is clipping to [-1, 1]; set"
              + " thresholding to false and clip_sample to true for something close to it",
          most);
      return 1;
    }
    return bool(json, "clip_sample", true)
        ? number(json, "clip_sample_range", 1)
        : Double.POSITIVE_INFINITY;
  }

  /** The {@code scheduler_config.json} of a model. */
  static ObjectNode ofScheduler(ModelInfo info, PipelineScheduler pipeline, String version) {
    BetaSchedule schedule = info.schedule();
    ObjectNode json = ModelFolder.JSON.createObjectNode();
    json.put(CLASS_NAME, pipeline.ddim() ? DDIM_SCHEDULER : DDPM_SCHEDULER).put(VERSION, version);
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
    if (pipeline.ddim()) {
      json.put("set_alpha_to_one", pipeline.setAlphaToOne());
    } else {
      json.put("variance_type", pipeline.varianceType());
    }
    boolean clips = Double.isFinite(pipeline.clip());
    json.put("clip_sample", clips).put("clip_sample_range", clips ? pipeline.clip() : 1);
    json.put("timestep_spacing", pipeline.timestepSpacing());
    if (info.spacingExponent() != 1) {
      json.put(SPACING_EXPONENT, info.spacingExponent());
    }
    json.put("steps_offset", pipeline.stepsOffset());
    return json;
  }

  private static List<Boolean> attention(JsonNode json, String key, String without, String with) {
    return list(json, key).stream()
        .map(
            block -> {
              // The name of the same blocks in the first versions.
              String type = block.asText().replaceFirst("^UNetRes", "");
              checkArgument(
                  type.equals(without) || type.equals(with),
                  "%s must be %s or %s, got %s",
                  key,
                  without,
                  with,
                  type);
              return type.equals(with);
            })
        .toList();
  }

  private static List<JsonNode> list(JsonNode json, String key) {
    checkArgument(json.path(key).isArray(), "%s must be a list, got %s", key, json.get(key));
    return StreamSupport.stream(json.get(key).spliterator(), false).toList();
  }

  private static String text(JsonNode json, String key, String absent) {
    JsonNode value = json.path(key);
    return value.isMissingNode() || value.isNull() ? absent : value.asText();
  }

  private static double number(JsonNode json, String key, double absent) {
    JsonNode value = json.path(key);
    if (value.isMissingNode() || value.isNull()) {
      return absent;
    }
    checkArgument(value.isNumber(), "%s must be a number, got %s", key, value);
    return value.doubleValue();
  }

  private static boolean bool(JsonNode json, String key, boolean absent) {
    JsonNode value = json.path(key);
    if (value.isMissingNode() || value.isNull()) {
      return absent;
    }
    checkArgument(value.isBoolean(), "%s must be true or false, got %s", key, value);
    return value.booleanValue();
  }

  private static int integer(JsonNode json, String key, int absent) {
    JsonNode value = json.path(key);
    if (value.isMissingNode() || value.isNull()) {
      return absent;
    }
    checkArgument(value.isInt(), "%s must be a whole number, got %s", key, value);
    return value.intValue();
  }
}

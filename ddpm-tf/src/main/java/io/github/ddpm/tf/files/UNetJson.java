package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;
import static io.github.ddpm.tf.files.Json.bool;
import static io.github.ddpm.tf.files.Json.integer;
import static io.github.ddpm.tf.files.Json.number;
import static io.github.ddpm.tf.files.Json.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.ImmutableMap;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.graph.UNetConfig;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * The {@code unet/config.json} of diffusers. What is absent has diffusers' default; what we can't
 * do is refused by name.
 */
final class UNetJson {
  /**
   * Marks a model whose last class embedding means "no label"; diffusers leaves keys with an
   * underscore alone.
   */
  private static final String NULL_LABEL = "_null_class_label";

  /** How often a model learned each class. */
  private static final String LABEL_COUNTS = "_label_counts";

  private static final String ACTIVATION = "act_fn";

  static final String UNET_CLASS = "UNet2DModel";

  private static final String SCALE_SHIFT = "scale_shift";

  /**
   * Options of {@code UNet2DModel} for which there is one value we can do, which is also diffusers'
   * default.
   */
  private static final Map<String, Object> FIXED =
      ImmutableMap.<String, Object>builder()
          .put("center_input_sample", false)
          .put("downsample_type", "conv")
          .put("mid_block_scale_factor", 1)
          .put("mid_block_type", "UNetMidBlock2D")
          .put("time_embedding_type", "positional")
          .put("upsample_type", "conv")
          .build();

  /** Options of {@code UNet2DModel} that must be left out. */
  private static final List<String> ABSENT = List.of("attn_norm_num_groups", "class_embed_type");

  /** Two names of one function. */
  private static final List<String> SILU = List.of("silu", "swish");

  /** The network of a configuration that says nothing. */
  private static final List<Integer> WIDTHS = List.of(224, 448, 672, 896);

  private UNetJson() {}

  /**
   * Returns the network of a {@code unet/config.json}.
   *
   * @throws IllegalArgumentException if it is none that we can build
   */
  static UNetConfig read(JsonNode json) {
    String type = text(json, Json.CLASS_NAME, UNET_CLASS);
    checkArgument(type.equals(UNET_CLASS), "_class_name must be UNet2DModel, got %s", type);
    FIXED.forEach(
        (key, value) ->
            checkArgument(
                !json.has(key) || isThat(json.get(key), value),
                "%s must be %s, got %s",
                key,
                value,
                Excerpt.of(json.get(key))));
    for (String key : ABSENT) {
      checkArgument(
          !json.hasNonNull(key), "%s is not supported, got %s", key, Excerpt.of(json.get(key)));
    }
    String activation = text(json, ACTIVATION, SILU.get(0));
    checkArgument(SILU.contains(activation), "act_fn must be silu, got %s", activation);
    List<Integer> widths =
        json.hasNonNull("block_out_channels")
            ? Json.list(json, "block_out_channels").stream().map(UNetJson::width).toList()
            : WIDTHS;
    int time = integer(json, "time_embedding_dim", widths.isEmpty() ? 0 : 4 * widths.get(0));
    checkArgument(
        widths.isEmpty() || time == 4L * widths.get(0),
        "time_embedding_dim must be 4 times the first of block_out_channels, %s, got %s",
        widths,
        time);
    JsonNode size = json.path("sample_size");
    checkArgument(
        size.isInt()
            || (size.isArray() && size.size() == 2 && size.get(0).isInt() && size.get(1).isInt()),
        "sample_size must be the pictures' height and width in pixels, one number or two, got %s",
        Excerpt.of(size));
    int channels = integer(json, "in_channels", 3);
    int outChannels = integer(json, "out_channels", 3);
    checkArgument(
        outChannels == channels || outChannels == 2L * channels,
        "out_channels must equal in_channels %s, or be twice that for a learned variance, got %s",
        channels,
        outChannels);
    String conditioning = text(json, "resnet_time_scale_shift", "default");
    checkArgument(
        conditioning.equals("default") || conditioning.equals(SCALE_SHIFT),
        "resnet_time_scale_shift must be default or scale_shift, got %s",
        conditioning);
    UNetConfig config =
        new UNetConfig(
            new UNetConfig.Picture(
                size.isInt() ? size.intValue() : size.get(0).intValue(),
                size.isInt() ? size.intValue() : size.get(1).intValue(),
                channels,
                outChannels != channels),
            new UNetConfig.Levels(
                widths,
                integer(json, "layers_per_block", 2),
                integer(json, "downsample_padding", 1)),
            new UNetConfig.AttentionBlocks(
                attention(json, "down_block_types", "DownBlock2D", "AttnDownBlock2D", 0),
                bool(json, "add_attention", true),
                attention(json, "up_block_types", "UpBlock2D", "AttnUpBlock2D", WIDTHS.size() - 1),
                // An explicit null is one head; without the key, diffusers takes 8.
                json.has("attention_head_dim") && json.get("attention_head_dim").isNull()
                    ? OptionalInt.empty()
                    : OptionalInt.of(integer(json, "attention_head_dim", 8))),
            new UNetConfig.Normalization(
                integer(json, "norm_num_groups", 32), number(json, "norm_eps", 1e-5)),
            new UNetConfig.Conditioning(
                conditioning.equals(SCALE_SHIFT),
                bool(json, "flip_sin_to_cos", true),
                number(json, "freq_shift", 0)),
            number(json, "dropout", 0),
            new UNetConfig.Labels(
                integer(json, "num_class_embeds", 0), bool(json, NULL_LABEL, false)));
    config.check();
    return config;
  }

  /**
   * Returns the {@link ModelInfo#labelCounts} of a {@code unet/config.json}.
   *
   * @throws IllegalArgumentException if they are no list of whole numbers
   */
  static List<Long> labelCounts(JsonNode json) {
    return json.hasNonNull(LABEL_COUNTS) ? Json.wholeNumbers(json, LABEL_COUNTS) : List.of();
  }

  private static int width(JsonNode width) {
    checkArgument(
        width.isInt(), "block_out_channels must be whole numbers, got %s", Excerpt.of(width));
    return width.intValue();
  }

  private static boolean isThat(JsonNode json, Object value) {
    if (value instanceof Number number) {
      return json.isNumber() && json.doubleValue() == number.doubleValue();
    }
    return value instanceof Boolean
        ? json.isBoolean() && value.equals(json.booleanValue())
        : value.equals(json.textValue());
  }

  /** Returns the {@code unet/config.json} of a network that learned its classes so often. */
  static ObjectNode write(UNetConfig config, List<Long> labelCounts, String version) {
    ObjectNode json = Json.object();
    json.put(Json.CLASS_NAME, UNET_CLASS).put(Json.VERSION, version);
    if (config.labels().nullLabel()) {
      json.put(NULL_LABEL, true);
    }
    if (!labelCounts.isEmpty()) {
      ArrayNode counts = json.putArray(LABEL_COUNTS);
      labelCounts.forEach(counts::add);
    }
    if (config.picture().height() == config.picture().width()) {
      json.put("sample_size", config.picture().height());
    } else {
      json.putArray("sample_size").add(config.picture().height()).add(config.picture().width());
    }
    json.put("in_channels", config.picture().channels())
        .put("out_channels", config.picture().outChannels());
    ArrayNode channels = json.putArray("block_out_channels");
    config.levels().channels().forEach(channels::add);
    json.put("layers_per_block", config.levels().layersPerBlock());
    ArrayNode down = json.putArray("down_block_types");
    config.attention().down().forEach(with -> down.add(with ? "AttnDownBlock2D" : "DownBlock2D"));
    ArrayNode up = json.putArray("up_block_types");
    config.attention().up().forEach(with -> up.add(with ? "AttnUpBlock2D" : "UpBlock2D"));
    json.put("add_attention", config.attention().middle());
    if (config.attention().headDim().isPresent()) {
      json.put("attention_head_dim", config.attention().headDim().getAsInt());
    } else {
      json.putNull("attention_head_dim");
    }
    json.put("norm_num_groups", config.normalization().groups())
        .put("norm_eps", config.normalization().epsilon());
    json.put("downsample_padding", config.levels().downsamplePadding());
    json.put(
        "resnet_time_scale_shift", config.conditioning().scaleShift() ? SCALE_SHIFT : "default");
    json.put("flip_sin_to_cos", config.conditioning().flipSinToCos());
    json.put("freq_shift", (int) config.conditioning().freqShift())
        .put("dropout", config.dropout());
    if (config.labels().embeddings() > 0) {
      json.put("num_class_embeds", config.labels().embeddings());
    } else {
      json.putNull("num_class_embeds");
    }
    json.put(ACTIVATION, SILU.get(0));
    FIXED.forEach((key, value) -> json.set(key, Json.MAPPER.valueToTree(value)));
    return json;
  }

  /**
   * Returns which blocks have attention.
   *
   * @param plain position of the one block without it where nothing is said
   */
  private static List<Boolean> attention(
      JsonNode json, String key, String without, String with, int plain) {
    if (!json.hasNonNull(key)) {
      return IntStream.range(0, WIDTHS.size()).mapToObj(block -> block != plain).toList();
    }
    return Json.list(json, key).stream()
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
                  Excerpt.of(type));
              return type.equals(with);
            })
        .toList();
  }
}

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
import com.google.common.primitives.Ints;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.graph.Activation;
import io.github.ddpm.tf.graph.UNetConfig;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

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

  /** What the classes of a model are called. */
  private static final String CLASS_NAMES = "_class_names";

  /**
   * How many of the channels that go in are those of a condition; diffusers has no need to know.
   * Without it they are what goes in beyond what comes out.
   */
  private static final String CONDITION_CHANNELS = "_condition_channels";

  private static final String ACTIVATION = "act_fn";

  static final String UNET_CLASS = "UNet2DModel";

  private static final String SCALE_SHIFT = "scale_shift";

  private static final String POSITIONAL = "positional";

  private static final String MIDDLE_TYPE = "mid_block_type";

  private static final String MIDDLE = "UNetMidBlock2D";

  private static final String ATTENTION_GROUPS = "attn_norm_num_groups";

  private static final String FEATURES = "time_embedding_dim";

  private static final String LABEL_TYPE = "class_embed_type";

  private static final String TIMESTEP = "timestep";

  /**
   * How many labels a model has that embeds them as timesteps and doesn't say: diffusers has no
   * need to know. So many timesteps its schedulers have.
   */
  private static final int TIMESTEP_LABELS = 1000;

  /** The activations by diffusers' names, of which two are of one function. */
  private static final Map<String, Activation> ACTIVATIONS =
      ImmutableMap.<String, Activation>builder()
          .put("silu", Activation.SILU)
          .put("swish", Activation.SILU)
          .put("mish", Activation.MISH)
          .put("gelu", Activation.GELU)
          .put("relu", Activation.RELU)
          .build();

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
    String time = text(json, "time_embedding_type", POSITIONAL);
    checkArgument(time.equals(POSITIONAL), "time_embedding_type must be positional, got %s", time);
    List<Integer> widths =
        json.hasNonNull("block_out_channels")
            ? Json.list(json, "block_out_channels").stream().map(UNetJson::width).toList()
            : WIDTHS;
    JsonNode size = json.path("sample_size");
    checkArgument(
        size.isInt()
            || (size.isArray() && size.size() == 2 && size.get(0).isInt() && size.get(1).isInt()),
        "sample_size must be the pictures' height and width in pixels, one number or two, got %s",
        Excerpt.of(size));
    int inChannels = integer(json, "in_channels", 3);
    int outChannels = integer(json, "out_channels", 3);
    int conditionChannels = conditionChannels(json, inChannels, outChannels);
    long channels = (long) inChannels - conditionChannels;
    checkArgument(
        outChannels == channels || outChannels == 2 * channels,
        "out_channels must equal in_channels %s less %s of a condition, or be twice that for a learned variance, got %s",
        inChannels,
        conditionChannels,
        outChannels);
    String conditioning = text(json, "resnet_time_scale_shift", "default");
    checkArgument(
        conditioning.equals("default") || conditioning.equals(SCALE_SHIFT),
        "resnet_time_scale_shift must be default or scale_shift, got %s",
        conditioning);
    List<BlockTypes.Block> down = BlockTypes.DOWN.read(json);
    List<BlockTypes.Block> up = BlockTypes.UP.read(json);
    UNetConfig config =
        new UNetConfig(
            new UNetConfig.Picture(
                size.isInt() ? size.intValue() : size.get(0).intValue(),
                size.isInt() ? size.intValue() : size.get(1).intValue(),
                Ints.saturatedCast(channels),
                conditionChannels,
                outChannels != channels,
                bool(json, "center_input_sample", false)),
            new UNetConfig.Levels(
                widths,
                integer(json, "layers_per_block", 2),
                integer(json, "downsample_padding", 1),
                down.stream().map(BlockTypes.Block::resampling).toList(),
                up.stream().map(BlockTypes.Block::resampling).toList()),
            new UNetConfig.AttentionBlocks(
                down.stream().map(BlockTypes.Block::attention).toList(),
                bool(json, "add_attention", true),
                up.stream().map(BlockTypes.Block::attention).toList(),
                // An explicit null is one head; without the key, diffusers takes 8.
                json.has("attention_head_dim") && json.get("attention_head_dim").isNull()
                    ? OptionalInt.empty()
                    : OptionalInt.of(integer(json, "attention_head_dim", 8))),
            middle(json),
            new UNetConfig.Normalization(
                integer(json, "norm_num_groups", 32), number(json, "norm_eps", 1e-5)),
            activation(json),
            new UNetConfig.Conditioning(
                conditioning.equals(SCALE_SHIFT),
                bool(json, "flip_sin_to_cos", true),
                number(json, "freq_shift", 0),
                features(json, widths)),
            number(json, "dropout", 0),
            labels(json));
    config.check();
    return config;
  }

  /** Returns 0 for a network of which as much comes out as goes in, or twice as much. */
  private static int conditionChannels(JsonNode json, int inChannels, int outChannels) {
    // More out than in is a learned variance.
    long channels = outChannels <= inChannels ? outChannels : outChannels / 2;
    return integer(
        json, CONDITION_CHANNELS, Ints.saturatedCast(Math.max(0, inChannels - channels)));
  }

  /**
   * Returns a model with what its {@code unet/config.json} says of its classes.
   *
   * @throws IllegalArgumentException if the {@link ModelInfo#labelCounts} are no whole numbers, the
   *     {@link ModelInfo#classNames} no texts, or they are not one of each class
   */
  static ModelInfo withClasses(JsonNode json, ModelInfo info) {
    List<Long> counts =
        json.hasNonNull(LABEL_COUNTS) ? Json.wholeNumbers(json, LABEL_COUNTS) : List.of();
    List<String> names =
        json.hasNonNull(CLASS_NAMES)
            ? Json.list(json, CLASS_NAMES).stream().map(UNetJson::className).toList()
            : List.of();
    return info.withLabelCounts(counts).withClassNames(names);
  }

  private static String className(JsonNode name) {
    checkArgument(name.isTextual(), "%s must be texts, got %s", CLASS_NAMES, Excerpt.of(name));
    return name.textValue();
  }

  private static int width(JsonNode width) {
    checkArgument(
        width.isInt(), "block_out_channels must be whole numbers, got %s", Excerpt.of(width));
    return width.intValue();
  }

  private static Activation activation(JsonNode json) {
    String name = text(json, ACTIVATION, "silu").toLowerCase(Locale.ROOT);
    checkArgument(
        ACTIVATIONS.containsKey(name),
        "act_fn must be one of %s, got %s",
        String.join(", ", ACTIVATIONS.keySet()),
        name);
    return ACTIVATIONS.get(name);
  }

  private static Optional<UNetConfig.Middle> middle(JsonNode json) {
    // An explicit null is nothing; without the key, diffusers has these blocks.
    if (json.has(MIDDLE_TYPE) && json.get(MIDDLE_TYPE).isNull()) {
      return Optional.empty();
    }
    String type = text(json, MIDDLE_TYPE, MIDDLE);
    checkArgument(type.equals(MIDDLE), "%s must be %s or null, got %s", MIDDLE_TYPE, MIDDLE, type);
    return Optional.of(
        new UNetConfig.Middle(
            optional(json, ATTENTION_GROUPS), number(json, "mid_block_scale_factor", 1)));
  }

  /** Returns no number for the usual one. */
  private static OptionalInt features(JsonNode json, List<Integer> widths) {
    OptionalInt features = optional(json, FEATURES);
    return features.equals(OptionalInt.of(4 * widths.get(0))) ? OptionalInt.empty() : features;
  }

  private static OptionalInt optional(JsonNode json, String key) {
    return json.hasNonNull(key) ? OptionalInt.of(integer(json, key, 0)) : OptionalInt.empty();
  }

  private static UNetConfig.Labels labels(JsonNode json) {
    String type = text(json, LABEL_TYPE, "");
    checkArgument(
        !type.equals("identity"),
        "%s identity is not supported: it takes vectors, and labels are whole numbers",
        LABEL_TYPE);
    boolean timestep = type.equals(TIMESTEP);
    checkArgument(
        timestep || !json.hasNonNull(LABEL_TYPE),
        "%s must be timestep or null, got %s",
        LABEL_TYPE,
        type);
    return new UNetConfig.Labels(
        integer(json, "num_class_embeds", timestep ? TIMESTEP_LABELS : 0),
        bool(json, NULL_LABEL, false),
        timestep);
  }

  /** Returns the {@code unet/config.json} of a model. */
  static ObjectNode write(ModelConfig model, String version) {
    ObjectNode json = write(model.network(), version);
    // Diffusers leaves keys with an underscore alone.
    if (!model.info().labelCounts().isEmpty()) {
      ArrayNode counts = json.putArray(LABEL_COUNTS);
      model.info().labelCounts().forEach(counts::add);
    }
    if (!model.info().classNames().isEmpty()) {
      ArrayNode names = json.putArray(CLASS_NAMES);
      model.info().classNames().forEach(names::add);
    }
    return json;
  }

  /** Returns the {@code unet/config.json} of a network of whose classes no more is known. */
  static ObjectNode write(UNetConfig config, String version) {
    ObjectNode json = Json.object();
    json.put(Json.CLASS_NAME, UNET_CLASS).put(Json.VERSION, version);
    if (config.labels().nullLabel()) {
      json.put(NULL_LABEL, true);
    }
    if (config.picture().height() == config.picture().width()) {
      json.put("sample_size", config.picture().height());
    } else {
      json.putArray("sample_size").add(config.picture().height()).add(config.picture().width());
    }
    json.put("in_channels", config.picture().inChannels())
        .put("out_channels", config.picture().outChannels());
    if (config.picture().conditionChannels() > 0) {
      json.put(CONDITION_CHANNELS, config.picture().conditionChannels());
    }
    ArrayNode channels = json.putArray("block_out_channels");
    config.levels().channels().forEach(channels::add);
    json.put("layers_per_block", config.levels().layersPerBlock());
    BlockTypes.DOWN.write(json, config.attention().down(), config.levels().down());
    BlockTypes.UP.write(json, config.attention().up(), config.levels().up());
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
    if (config.labels().asTimesteps()) {
      json.put(LABEL_TYPE, TIMESTEP);
    }
    json.put(ACTIVATION, config.activation().name().toLowerCase(Locale.ROOT));
    json.put("center_input_sample", config.picture().centered());
    json.put("time_embedding_type", POSITIONAL);
    config.conditioning().features().ifPresent(features -> json.put(FEATURES, features));
    json.put(MIDDLE_TYPE, config.middle().map(middle -> MIDDLE).orElse(null));
    config
        .middle()
        .ifPresent(
            middle -> {
              json.put("mid_block_scale_factor", middle.scaleFactor());
              middle.attentionGroups().ifPresent(groups -> json.put(ATTENTION_GROUPS, groups));
            });
    return json;
  }
}

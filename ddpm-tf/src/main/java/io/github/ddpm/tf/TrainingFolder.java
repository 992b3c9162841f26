package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.Enums;
import com.google.common.collect.ImmutableSet;
import io.github.ddpm.Precision;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.TrainingOptions.Method;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.ModelJson;
import io.github.ddpm.tf.files.SafeTensors;
import io.github.ddpm.tf.files.SaveFolder;
import io.github.ddpm.tf.files.Snapshot;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.files.WeightFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A training on disk: a model's folder with {@code training/} in it, which has the vectors of
 * {@link TrainingVectors} and, in {@code state.json}, all else. The names in the file are a
 * contract: they are added to, never changed.
 */
final class TrainingFolder {
  private static final String STATE = "state.json";
  private static final String STATE_FILE = SaveFolder.TRAINING + "/" + STATE;
  private static final String STEP = "step";
  private static final String TOTAL_STEPS = "total_steps";
  private static final String SKIPPED = "skipped";
  private static final String LOSS_SCALE = "loss_scale";
  private static final String LOSS_SCALE_STEPS = "loss_scale_steps";
  private static final String LABEL_COUNTS = "label_counts";
  private static final String STARTED_FROM = "started_from";
  private static final String OPTIONS = "options";

  /** The last step whose number leaves those of its draws alone; see {@link TrainingGraph}. */
  private static final long MAX_STEP = (1L << 32) - 1;

  private static final String MODEL = "model";
  private static final String TRAINING = "training";
  private static final String VERSION = "version";

  private static final Set<String> KNOWN_OPTIONS =
      ImmutableSet.of(
          "batchSize",
          "microBatch",
          "localSteps",
          "learningRate",
          "warmupSteps",
          "weightDecay",
          "maxGradientNorm",
          "method",
          "minSnrGamma",
          "emaMaxDecay",
          "emaPower",
          "labelDropout",
          "seed",
          "precision");

  private TrainingFolder() {}

  /**
   * What is not a vector.
   *
   * @param step steps taken
   * @param totalSteps steps in all; 0 while not known
   * @param skipped steps that were not taken, because their loss or gradient was not finite
   * @param lossScale of the next step
   * @param labelCounts how many images of each class were learned; empty before the first step, or
   *     if that is not known
   * @param startedFrom the model that training started from
   * @param taught what is learned from models, if anything is
   */
  record State(
      long step,
      long totalSteps,
      long skipped,
      LossScale lossScale,
      List<Long> labelCounts,
      Optional<Path> startedFrom,
      Optional<DistillationJson.Taught> taught,
      TrainingOptions options) {

    /** Returns the state before the first step. */
    static State start(TrainingOptions options, Optional<Path> startedFrom) {
      return new State(
          0, 0, 0, LossScale.first(options), List.of(), startedFrom, Optional.empty(), options);
    }
  }

  /**
   * Writes a model and its training.
   *
   * @param values of the vectors
   * @param keep how many saves are kept
   * @throws IOException if it can't be written; what was there before stays
   */
  static void write(
      SaveFolder saves,
      ModelConfig model,
      State state,
      WeightLayout layout,
      TrainingVectors.Values values,
      int keep)
      throws IOException {
    Map<String, Weight> average = layout.unpack(values.of(Vector.EMA));
    Map<String, SaveFolder.Content> parts = ModelFolder.parts(model, average, DType.F32);
    parts.put(
        SaveFolder.TRAINING,
        part -> {
          Files.createDirectory(part);
          for (Vector each : Vector.values()) {
            SafeTensors.write(part.resolve(file(each)), layout.unpack(values.of(each)), DType.F32);
          }
          Json.write(part.resolve(STATE), json(state));
        });
    long bytes = ModelFolder.bytes(average, DType.F32);
    saves.save(parts, (1 + Vector.values().length) * bytes, keep);
  }

  /**
   * Reads all but the vectors.
   *
   * @throws IOException if it isn't there or is wrong; the message names the file
   */
  static State read(Snapshot files) throws IOException {
    Path file = files.path(STATE_FILE);
    JsonNode json;
    try {
      json = Json.read(files, STATE_FILE);
    } catch (NoSuchFileException e) {
      throw new IOException(
          file + ": this file is missing, the model has no state of training to resume", e);
    }
    try {
      return state(json);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }

  /**
   * Reads a vector.
   *
   * @throws IOException if it isn't there or is not one of that layout; the message names the file
   */
  static float[] read(Snapshot files, Vector vector, WeightLayout layout) throws IOException {
    return layout.pack(WeightFiles.of(files, SaveFolder.TRAINING + "/" + file(vector)).source());
  }

  /** What a training is, without its vectors. */
  record Described(ModelConfig model, State state) {}

  /** Describes a training to this version of the library in another process. */
  static String describe(Described training) {
    ObjectNode json = Json.object().put(VERSION, Version.NUMBER);
    json.set(MODEL, ModelJson.write(training.model()));
    json.set(TRAINING, json(training.state()));
    return json.toString();
  }

  /**
   * Reads what {@link #describe} wrote.
   *
   * @throws IllegalArgumentException if it didn't
   */
  static Described described(String training) {
    JsonNode json = Json.parse(training.getBytes(StandardCharsets.UTF_8));
    checkArgument(
        Version.NUMBER.equals(json.path(VERSION).asText()),
        "the training is of version %s of ddpm, and this is version %s: both must be the same",
        Excerpt.of(json.path(VERSION).asText()),
        Version.NUMBER);
    return new Described(ModelJson.read(json.path(MODEL)), state(json.path(TRAINING)));
  }

  /** Returns the file that {@link #read(Snapshot)} reads, for messages. */
  static Path stateFile(Snapshot files) {
    return files.path(STATE_FILE);
  }

  private static String file(Vector vector) {
    return vector.name().toLowerCase(Locale.ROOT) + ".safetensors";
  }

  private static ObjectNode json(State state) {
    ObjectNode json = Json.object();
    json.put(STEP, state.step()).put(TOTAL_STEPS, state.totalSteps()).put(SKIPPED, state.skipped());
    if (state.options().scalesLoss()) {
      // Older versions can resume a training that has none.
      json.put(LOSS_SCALE, state.lossScale().factor());
      json.put(LOSS_SCALE_STEPS, state.lossScale().steps());
    }
    ArrayNode counts = json.putArray(LABEL_COUNTS);
    state.labelCounts().forEach(counts::add);
    json.put(STARTED_FROM, state.startedFrom().map(DistillationJson::absolute).orElse(null));
    state.taught().ifPresent(taught -> DistillationJson.put(json, taught));
    json.set(OPTIONS, json(state.options()));
    return json;
  }

  private static ObjectNode json(TrainingOptions options) {
    ObjectNode json =
        Json.object().put("batchSize", options.batchSize()).put("microBatch", options.microBatch());
    if (options.localSteps() > 0) {
      // Older versions can resume a training that has none.
      json.put("localSteps", options.localSteps());
    }
    if (options.optimizer().method() != Method.ADAMW) {
      // Likewise of one by AdamW.
      json.put("method", options.optimizer().method().name());
    }
    return json.put("learningRate", options.optimizer().learningRate())
        .put("warmupSteps", options.optimizer().warmupSteps())
        .put("weightDecay", options.optimizer().weightDecay())
        .put("maxGradientNorm", options.optimizer().maxGradientNorm())
        .put("minSnrGamma", options.minSnrGamma())
        .put("emaMaxDecay", options.ema().maxDecay())
        .put("emaPower", options.ema().power())
        .put("labelDropout", options.labelDropout())
        .put("seed", options.seed())
        .put("precision", options.precision().name());
  }

  private static State state(JsonNode json) {
    long step = wholeNumber(json, STEP);
    long totalSteps = wholeNumber(json, TOTAL_STEPS);
    checkArgument(
        step >= 0 && (totalSteps == 0 || totalSteps >= step),
        "step must be at least 0 and at most total_steps, got %s of %s",
        step,
        totalSteps);
    checkArgument(
        step <= MAX_STEP && totalSteps <= Steps.MAX_TOTAL,
        "step must be at most %s and total_steps at most %s, got %s and %s",
        MAX_STEP,
        Steps.MAX_TOTAL,
        step,
        totalSteps);
    // It came later; no step was skipped before.
    long skipped = json.has(SKIPPED) ? wholeNumber(json, SKIPPED) : 0;
    checkArgument(
        skipped >= 0 && skipped <= MAX_STEP - step,
        "skipped must be at least 0 and at most %s, got %s",
        MAX_STEP - step,
        skipped);
    TrainingOptions options = options(json.path(OPTIONS));
    Optional<Path> startedFrom =
        json.hasNonNull(STARTED_FROM)
            ? Optional.of(DistillationJson.folder(STARTED_FROM, json.get(STARTED_FROM)))
            : Optional.empty();
    return new State(
        step,
        totalSteps,
        skipped,
        lossScale(json, options),
        // They came later; who went on from before them wouldn't know what was learned until then.
        json.has(LABEL_COUNTS) ? Json.wholeNumbers(json, LABEL_COUNTS) : List.of(),
        startedFrom,
        DistillationJson.read(json, startedFrom.isPresent()),
        options);
  }

  private static LossScale lossScale(JsonNode json, TrainingOptions options) {
    return options.scalesLoss() && json.has(LOSS_SCALE)
        ? new LossScale(integer(json, LOSS_SCALE), integer(json, LOSS_SCALE_STEPS))
        : LossScale.first(options);
  }

  private static TrainingOptions options(JsonNode json) {
    json.fieldNames()
        .forEachRemaining(
            name ->
                checkArgument(
                    KNOWN_OPTIONS.contains(name),
                    "%s is not an option of this version, which knows %s",
                    Excerpt.of(name),
                    KNOWN_OPTIONS));
    checkArgument(
        json.isObject(),
        "options must be an object, got %s",
        json.isMissingNode() ? null : Excerpt.of(json));
    return new TrainingOptions(
        integer(json, "batchSize"),
        // Options that came later have their old meaning where they are missing.
        json.has("microBatch") ? integer(json, "microBatch") : 0,
        json.has("localSteps") ? integer(json, "localSteps") : 0,
        new TrainingOptions.Optimizer(
            number(json, "learningRate"),
            integer(json, "warmupSteps"),
            number(json, "weightDecay"),
            number(json, "maxGradientNorm"),
            json.has("method") ? named(Method.class, json, "method") : Method.ADAMW),
        new TrainingOptions.Ema(number(json, "emaMaxDecay"), number(json, "emaPower")),
        number(json, "minSnrGamma"),
        number(json, "labelDropout"),
        wholeNumber(json, "seed"),
        json.hasNonNull("precision")
            ? named(Precision.class, json, "precision")
            : Precision.FLOAT32);
  }

  private static <E extends Enum<E>> E named(Class<E> type, JsonNode json, String key) {
    Optional<E> named = Enums.getIfPresent(type, json.path(key).asText()).toJavaUtil();
    checkArgument(
        named.isPresent(),
        "%s must be one of %s, got %s",
        key,
        Arrays.toString(type.getEnumConstants()),
        Excerpt.of(json.path(key)));
    return named.get();
  }

  private static long wholeNumber(JsonNode json, String key) {
    JsonNode value = json.path(key);
    checkArgument(
        value.isIntegralNumber() && value.canConvertToLong(),
        "%s must be a whole number, got %s",
        key,
        Excerpt.of(json.get(key)));
    return value.longValue();
  }

  private static int integer(JsonNode json, String key) {
    long value = wholeNumber(json, key);
    checkArgument((int) value == value, "%s must be below 2^31, got %s", key, value);
    return (int) value;
  }

  /** Reads a number that may be infinite, which JSON has as text. */
  private static double number(JsonNode json, String key) {
    JsonNode value = json.path(key);
    boolean infinite = value.isTextual() && value.textValue().equals("Infinity");
    checkArgument(
        Json.isFinite(value) || infinite,
        "%s must be a number that is finite, or \"Infinity\", got %s",
        key,
        Excerpt.of(json.get(key)));
    return infinite ? Double.POSITIVE_INFINITY : value.doubleValue();
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.Enums;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.ProgressiveDistillation.Weighting;
import io.github.ddpm.tf.files.Json;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What is learned from models, in the {@code state.json} of a training: an object of its own for
 * each kind.
 */
final class DistillationJson {
  private static final String AUTOGUIDANCE = "autoguidance";
  private static final String GUIDE = "guide";
  private static final String WEIGHT = "weight";
  private static final String PROGRESSIVE = "progressive_distillation";
  private static final String TEACHER = "teacher";
  private static final String STEPS = "steps";
  private static final String TEACHER_STEPS = "teacher_steps";
  private static final String GUIDANCE = "guidance";
  private static final String WEIGHTING = "weighting";
  private static final String DIGEST = "digest";

  private DistillationJson() {}

  /** Most characters of a path; that of Linux. */
  private static final int MAX_PATH = 4096;

  /** What is learned from models, and a digest of their weights. */
  record Taught(Distillation distillation, String digest) {}

  /** Returns where a folder is, wherever training is resumed from. */
  static String absolute(Path folder) {
    return folder.toAbsolutePath().normalize().toString();
  }

  /** Reads a folder, which messages will name in full. */
  static Path folder(String key, JsonNode json) {
    boolean shown =
        json.isTextual()
            && json.textValue().length() <= MAX_PATH
            && json.textValue().codePoints().noneMatch(Character::isISOControl);
    checkArgument(shown, "%s must be a folder, got %s", key, Excerpt.of(json));
    return Path.of(json.textValue());
  }

  /** Adds it to the state. */
  static void put(ObjectNode state, Taught taught) {
    if (taught.distillation() instanceof ProgressiveDistillation progressive) {
      state.set(
          PROGRESSIVE,
          Json.object()
              .put(TEACHER, absolute(progressive.teacher()))
              .put(STEPS, progressive.steps())
              .put(TEACHER_STEPS, progressive.teacherSteps())
              .put(GUIDANCE, progressive.guidance())
              .put(WEIGHTING, progressive.weighting().name())
              .put(DIGEST, taught.digest()));
    } else {
      Autoguidance autoguidance = (Autoguidance) taught.distillation();
      state.set(
          AUTOGUIDANCE,
          Json.object()
              .put(GUIDE, absolute(autoguidance.guide()))
              .put(WEIGHT, autoguidance.weight())
              .put(DIGEST, taught.digest()));
    }
  }

  /**
   * Reads it from the state.
   *
   * @param started whether the state says what training started from
   * @return empty for a training that learns from the data
   * @throws IllegalArgumentException if it isn't what it should be
   */
  static Optional<Taught> read(JsonNode state, boolean started) {
    if (state.has(PROGRESSIVE)) {
      checkArgument(started, "progressive_distillation needs started_from");
      return Optional.of(progressive(state.get(PROGRESSIVE)));
    }
    if (state.has(AUTOGUIDANCE)) {
      checkArgument(started, "autoguidance needs started_from");
      return Optional.of(guided(state.get(AUTOGUIDANCE)));
    }
    return Optional.empty();
  }

  private static Taught guided(JsonNode json) {
    JsonNode weight = json.path(WEIGHT);
    JsonNode digest = json.path(DIGEST);
    checkArgument(
        json.hasNonNull(GUIDE) && Json.isFinite(weight) && digest.isTextual(),
        "autoguidance needs a guide, a weight and a digest, got %s",
        Excerpt.of(json));
    return new Taught(
        new Autoguidance(folder(GUIDE, json.get(GUIDE)), weight.doubleValue()), digest.textValue());
  }

  private static Taught progressive(JsonNode json) {
    Optional<Weighting> weighting =
        Enums.getIfPresent(Weighting.class, json.path(WEIGHTING).asText()).toJavaUtil();
    checkArgument(
        json.path(TEACHER).isTextual()
            && json.path(STEPS).isInt()
            && json.path(TEACHER_STEPS).isInt()
            && Json.isFinite(json.path(GUIDANCE))
            && weighting.isPresent()
            && json.path(DIGEST).isTextual(),
        "progressive_distillation needs a teacher, steps, teacher_steps, a guidance, a known weighting and a digest,"
            + " got %s",
        Excerpt.of(json));
    return new Taught(
        new ProgressiveDistillation(
            folder(TEACHER, json.get(TEACHER)),
            json.get(STEPS).intValue(),
            json.get(TEACHER_STEPS).intValue(),
            json.get(GUIDANCE).doubleValue(),
            weighting.get()),
        json.get(DIGEST).asText());
  }
}

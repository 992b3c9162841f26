package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import com.google.common.io.Closer;
import io.github.ddpm.DistilledStep;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * A model that teaches by what it answers, (x, timestep, label) → output, guided or not:
 *
 * <pre>{@code
 * out = out_model + (weight - 1)·(out_model - out_guide)
 * }</pre>
 *
 * @param distillation what was asked for
 * @param model whose answer it is
 * @param guide another model, or the same one without a label
 * @param steps where it takes several rows of its table for one of the student; empty where its
 *     answer is the target
 * @param digest of the weights that it answers with
 */
record Teacher(
    Distillation distillation,
    ModelFolder model,
    Guide guide,
    List<DistilledStep> steps,
    String digest) {

  /**
   * What the answer goes away from.
   *
   * @param labeled whether it is called with the labels, or with the null label
   * @param weight 1 is no guide
   */
  record Guide(ModelFolder model, boolean labeled, double weight) {}

  /**
   * Reads what teaches.
   *
   * @param start the model that is to be taught
   * @param closer is given what must stay open until the weights have been read
   * @throws IOException if a model can't be read
   * @throws IllegalArgumentException if it is a model of something else, or can't teach this
   */
  static Teacher of(ModelFolder start, Distillation distillation, Closer closer)
      throws IOException {
    if (distillation instanceof ProgressiveDistillation progressive) {
      Teacher teacher = progressive(start.config().info(), progressive, closer);
      checkSameNames("teacher", progressive.teacher(), teacher.model, start);
      return teacher;
    }
    Autoguidance autoguidance = (Autoguidance) distillation;
    Teacher teacher = guided(start, autoguidance, closer);
    checkSameNames("guide", autoguidance.guide(), teacher.guide.model(), start);
    return teacher;
  }

  private static Teacher guided(ModelFolder model, Autoguidance autoguidance, Closer closer)
      throws IOException {
    ModelFolder guide = closer.register(ModelFolder.read(autoguidance.guide()));
    checkSame(
        "guide",
        autoguidance.guide(),
        guide.config().info().withSpacingExponent(1),
        model.config().info().withSpacingExponent(1));
    return new Teacher(
        autoguidance,
        model,
        new Guide(guide, true, autoguidance.weight()),
        List.of(),
        digest(model, guide));
  }

  private static Teacher progressive(
      ModelInfo student, ProgressiveDistillation asked, Closer closer) throws IOException {
    ModelFolder model = closer.register(ModelFolder.read(asked.teacher()));
    ModelInfo info = model.config().info();
    checkSame("teacher", asked.teacher(), info.evenlySpaced(), student.evenlySpaced());
    checkArgument(
        info.steps() == 0 || info.steps() == asked.teacherSteps(),
        "the teacher must take the %s steps that it was distilled for, got %s, in %s",
        info.steps(),
        asked.teacherSteps(),
        asked.teacher());
    checkArgument(
        asked.guidance() == 1 || info.nullLabel(),
        "guidance needs a teacher that was trained with label dropout, got guidance %s and %s",
        asked.guidance(),
        asked.teacher());
    return new Teacher(
        asked,
        model,
        new Guide(model, false, asked.guidance()),
        DistilledStep.steps(info, asked.steps(), asked.teacherSteps()),
        digest(model));
  }

  /** Refuses a model that answers another question. */
  private static void checkSame(String what, Path folder, ModelInfo model, ModelInfo student) {
    checkArgument(
        isSame(model, student),
        "the %s must be a model of the same size, classes, noise and prediction, got %s, and not %s, in %s",
        what,
        question(model),
        question(student),
        folder);
  }

  /**
   * Refuses a model whose classes are called other than those of the model that is taught, where
   * both have names. A training that goes on may call them otherwise by now.
   */
  private static void checkSameNames(
      String what, Path folder, ModelFolder model, ModelFolder taught) {
    List<String> names = model.config().info().classNames();
    List<String> own = taught.config().info().classNames();
    checkArgument(
        names.isEmpty() || own.isEmpty() || names.equals(own),
        "the %s's classes must be those of the model that is taught, %s, got %s, in %s",
        what,
        Excerpt.of(String.join(", ", own)),
        Excerpt.of(String.join(", ", names)),
        folder);
  }

  /**
   * Reads the teacher of a training that goes on.
   *
   * @param startedFrom folder of the model that the training started from
   * @param taught what was asked for, and the digest when the training began
   * @param trained what is trained
   * @throws IllegalArgumentException if a model can't be read or is another one than it was then;
   *     the message says which
   */
  static Teacher resume(
      Path startedFrom, DistillationJson.Taught taught, ModelInfo trained, Closer closer) {
    try {
      Teacher teacher;
      String models;
      if (taught.distillation() instanceof ProgressiveDistillation progressive) {
        teacher = progressive(trained, progressive, closer);
        models = progressive.teacher() + " is";
      } else {
        Autoguidance autoguidance = (Autoguidance) taught.distillation();
        ModelFolder model = closer.register(ModelFolder.read(startedFrom));
        checkArgument(
            isSame(model.config().info().withSpacingExponent(1), trained.withSpacingExponent(1)),
            "started_from %s is another model by now",
            startedFrom);
        teacher = guided(model, autoguidance, closer);
        models = startedFrom + " or " + autoguidance.guide() + " is";
      }
      checkArgument(
          taught.digest().equals(teacher.digest),
          "%s another model than when this training began",
          models);
      return teacher;
    } catch (IOException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  /**
   * Describes the student, which has the network and the weights of the model it starts from. Its
   * classes have the names that any of the models has for them, so that data with others is
   * refused.
   */
  ModelConfig student(ModelConfig start) {
    List<String> names =
        Stream.of(start.info(), model.config().info(), guide.model().config().info())
            .map(ModelInfo::classNames)
            .filter(each -> !each.isEmpty())
            .findFirst()
            .orElse(List.of());
    if (steps.isEmpty()) {
      return new ModelConfig(start.network(), start.info().withClassNames(names), start.pipeline());
    }
    ModelConfig own = model.config();
    return new ModelConfig(
        start.network(),
        own.info()
            .evenlySpaced()
            .withSteps(steps.size())
            .withLabelCounts(List.of())
            .withClassNames(names),
        own.pipeline().ofDistilled());
  }

  private static String digest(ModelFolder... models) throws IOException {
    // Tells models apart; it is no protection from who would forge one.
    Hasher hasher = Hashing.murmur3_128().newHasher();
    for (ModelFolder model : models) {
      model
          .weights()
          .forEach(
              weight -> {
                FloatBuffer values = weight.values().duplicate();
                while (values.hasRemaining()) {
                  hasher.putFloat(values.get());
                }
              });
    }
    return hasher.hash().toString();
  }

  /**
   * Tells whether two models answer the same question; in how many steps doesn't matter, nor how
   * often they learned what, or, here, what it is called.
   */
  private static boolean isSame(ModelInfo one, ModelInfo other) {
    return question(one)
        .withClassNames(List.of())
        .equals(question(other).withClassNames(List.of()));
  }

  /** Returns what a model answers, however it came to. */
  static ModelInfo question(ModelInfo info) {
    return info.withSteps(0).withLabelCounts(List.of());
  }
}

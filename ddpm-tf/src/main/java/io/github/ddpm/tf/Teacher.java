package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A model under {@link Autoguidance}, as graph functions with its weights as constants.
 *
 * @param model what is guided
 * @param guide the model in the folder of {@code autoguidance}
 * @param digest of the weights of both
 */
record Teacher(ModelFolder model, ModelFolder guide, Autoguidance autoguidance, String digest) {
  private static final String GUIDE = "guide";
  private static final String WEIGHT = "weight";
  private static final String DIGEST = "digest";

  /**
   * Reads the guide.
   *
   * @throws IOException if it can't be read
   * @throws IllegalArgumentException if it is a model of something else
   */
  static Teacher of(ModelFolder model, Autoguidance autoguidance) throws IOException {
    Path folder = autoguidance.guide();
    ModelFolder guide = ModelFolder.read(folder);
    checkArgument(
        isOfTheSame(guide.info(), model.info()),
        "the guide must be a model of the same size, classes, noise and prediction, got %s, and not %s, in %s",
        guide.info(),
        model.info(),
        folder);
    return new Teacher(model, guide, autoguidance, digest(model, guide));
  }

  /**
   * The teacher that was saved.
   *
   * @param folder of the model
   * @param trained what is trained, which the model must be too
   * @param saved what {@link #json} made
   * @throws IOException if a model can't be read
   * @throws IllegalArgumentException if something is missing in what was saved, or a model is
   *     another one than it was then
   */
  static Teacher resume(Path folder, ModelInfo trained, JsonNode saved) throws IOException {
    JsonNode guide = saved.path(GUIDE);
    JsonNode weight = saved.path(WEIGHT);
    JsonNode digest = saved.path(DIGEST);
    checkArgument(
        guide.isTextual() && weight.isNumber() && digest.isTextual(),
        "autoguidance needs a guide, a weight and a digest, got %s",
        saved);
    ModelFolder model = ModelFolder.read(folder);
    checkArgument(
        isOfTheSame(model.info(), trained), "started_from %s is another model by now", folder);
    Path guideFolder = Path.of(guide.asText());
    Teacher teacher = of(model, new Autoguidance(guideFolder, weight.asDouble()));
    checkArgument(
        digest.asText().equals(teacher.digest),
        "%s or %s is another model than when this training began",
        folder,
        guideFolder);
    return teacher;
  }

  /** What {@link #resume} needs to know. */
  ObjectNode json() {
    return ModelFolder.JSON
        .createObjectNode()
        .put(GUIDE, autoguidance.guide().toString())
        .put(WEIGHT, autoguidance.weight())
        .put(DIGEST, digest);
  }

  private static String digest(ModelFolder... models) throws IOException {
    // Tells models apart; it is no protection from who would forge one.
    Hasher hasher = Hashing.murmur3_128().newHasher();
    try {
      for (ModelFolder model : models) {
        for (Weight weight : model.weights().values()) {
          FloatBuffer values = weight.values().duplicate();
          while (values.hasRemaining()) {
            hasher.putFloat(values.get());
          }
        }
      }
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    return hasher.hash().toString();
  }

  /** Whether two models answer the same question; how they are sampled doesn't matter. */
  private static boolean isOfTheSame(ModelInfo one, ModelInfo other) {
    return one.withSpacingExponent(1).equals(other.withSpacingExponent(1));
  }

  /**
   * What a network should predict instead of {@link SchedulerOps#target}.
   *
   * @param x noisy images [n, height, width, channels]
   * @param timesteps [n]
   * @param labels [n], as the network itself gets them
   */
  Operand<TFloat32> target(
      Ops tf,
      Precision precision,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    Operand<TFloat32> strong = forward(tf, model, precision, x, timesteps, labels);
    Operand<TFloat32> weak = forward(tf, guide, precision, x, timesteps, labels);
    return tf.math.add(
        strong,
        tf.math.mul(tf.constant((float) (autoguidance.weight() - 1)), tf.math.sub(strong, weak)));
  }

  private static Operand<TFloat32> forward(
      Ops tf,
      ModelFolder model,
      Precision precision,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels) {
    Scratch scratch = new Scratch();
    return UNet.forward(
        tf,
        model.config(),
        precision,
        (name, shape) -> TfPredictor.constant(tf, model.weights().get(name).toTensorFlow(scratch)),
        x,
        timesteps,
        labels,
        Dropout.NONE);
  }
}

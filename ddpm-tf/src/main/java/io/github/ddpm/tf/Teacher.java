package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** A model under {@link Autoguidance}, as graph functions with its weights as constants. */
record Teacher(ModelFolder model, ModelFolder guide, double weight) {
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
    return new Teacher(model, guide, autoguidance.weight());
  }

  /** Whether two models answer the same question; how they are sampled doesn't matter. */
  static boolean isOfTheSame(ModelInfo one, ModelInfo other) {
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
        strong, tf.math.mul(tf.constant((float) (weight - 1)), tf.math.sub(strong, weak)));
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

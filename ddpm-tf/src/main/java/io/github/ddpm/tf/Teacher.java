package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import com.google.common.io.Closer;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.UNet;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A model under {@link Autoguidance}, as graph functions with its weights as constants. It is
 * closed when they have been read.
 *
 * @param model what is guided
 * @param guide the model in the folder of {@code autoguidance}
 * @param digest of the weights of both
 */
record Teacher(ModelFolder model, ModelFolder guide, Autoguidance autoguidance, String digest)
    implements Closeable {
  /**
   * Reads the guide.
   *
   * @throws IOException if it can't be read
   * @throws IllegalArgumentException if it is a model of something else
   */
  static Teacher of(ModelFolder model, Autoguidance autoguidance) throws IOException {
    Path folder = autoguidance.guide();
    ModelFolder guide = ModelFolder.read(folder);
    boolean done = false;
    try {
      checkArgument(
          isOfTheSame(guide.config().info(), model.config().info()),
          "the guide must be a model of the same size, classes, noise and prediction, got %s, and not %s, in %s",
          guide.config().info(),
          model.config().info(),
          folder);
      Teacher teacher = new Teacher(model, guide, autoguidance, digest(model, guide));
      done = true;
      return teacher;
    } finally {
      if (!done) {
        guide.close();
      }
    }
  }

  /**
   * Reads the teacher of a training that goes on.
   *
   * @param folder of the model
   * @param digest that both models had when the training began
   * @param trained what is trained, which the model must be too
   * @throws IllegalArgumentException if a model can't be read or is another one than it was then;
   *     the message says which
   */
  static Teacher resume(Path folder, Autoguidance autoguidance, String digest, ModelInfo trained) {
    Closer closer = Closer.create();
    boolean done = false;
    try {
      try {
        ModelFolder model = closer.register(ModelFolder.read(folder));
        checkArgument(
            isOfTheSame(model.config().info(), trained),
            "started_from %s is another model by now",
            folder);
        Teacher teacher = closer.register(of(model, autoguidance));
        checkArgument(
            digest.equals(teacher.digest),
            "%s or %s is another model than when this training began",
            folder,
            autoguidance.guide());
        done = true;
        return teacher;
      } finally {
        if (!done) {
          closer.close();
        }
      }
    } catch (IOException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  @Override
  public void close() throws IOException {
    guide.close();
    model.close();
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

  /** Tells whether two models answer the same question; how they are sampled doesn't matter. */
  private static boolean isOfTheSame(ModelInfo one, ModelInfo other) {
    return one.withSpacingExponent(1).equals(other.withSpacingExponent(1));
  }

  /**
   * Returns what a network should predict instead of {@link
   * io.github.ddpm.tf.graph.SchedulerOps#target}.
   *
   * @param x noisy images [n, height, width, channels]
   * @param timesteps [n]
   * @param labels [n], as the network itself gets them
   * @throws IOException if a weight is missing, too many or can't be read, or as {@link
   *     UncheckedIOException}
   */
  Operand<TFloat32> target(
      Ops tf,
      Precision precision,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels)
      throws IOException {
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
      Optional<Operand<TInt32>> labels)
      throws IOException {
    WeightSource weights = model.weights().source();
    Operand<TFloat32> out =
        new UNet(
                tf,
                model.config().network(),
                (name, shape) ->
                    tf.constant(shape, DataBuffers.of(weights.getUnchecked(name, shape).values())))
            .forward(precision, x, timesteps, labels);
    weights.checkNothingLeft();
    return out;
  }
}

package io.github.ddpm.tf;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DistilledStep;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Step;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.graph.FrozenWeights;
import io.github.ddpm.tf.graph.SchedulerOps;
import io.github.ddpm.tf.graph.UNet;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * The loss of a batch as a graph function: noise is added, and the network's output compared with
 * what it should predict (Ho et al. 2020, algorithm 1).
 */
final class TrainingLoss {
  private final Ops tf;
  private final ModelConfig model;
  private final TrainingOptions options;

  /** The seed and the step, [2]. */
  private final Operand<TInt64> batch;

  /** The seed, and the step with the part in it, [2]. */
  private final Operand<TInt64> part;

  /** Where in the batch the images begin, [1]. */
  private final Operand<TInt32> from;

  /** How many images the batch has, [1]. */
  private final Operand<TInt32> batchSize;

  /**
   * Prepares a loss.
   *
   * @param randomness [5], of which all draws are a function: the seed, the step, the step with the
   *     part in it, and where in the batch the images begin and how many it has. The timesteps of a
   *     batch's parts are spaced as one, all else is drawn by each part
   */
  TrainingLoss(Ops tf, ModelConfig model, TrainingOptions options, Operand<TInt64> randomness) {
    this.tf = tf;
    this.model = model;
    this.options = options;
    Operand<TInt64> seed = element(randomness, 0);
    batch = tf.concat(List.of(seed, element(randomness, 1)), tf.constant(0));
    part = tf.concat(List.of(seed, element(randomness, 2)), tf.constant(0));
    from = tf.dtypes.cast(element(randomness, 3), TInt32.class);
    batchSize = tf.dtypes.cast(element(randomness, 4), TInt32.class);
  }

  /**
   * Returns the loss of the network.
   *
   * @param images x0, [n, height, width, channels]
   * @param labels [n], not used by a network without
   * @param weights answers the network's weight of a name
   * @param teacher who says what to predict; empty where the data do
   * @param frozen is given the teacher's weights
   * @throws IOException if a weight of the teacher can't be read
   */
  Operand<TFloat32> of(
      Operand<TFloat32> images,
      Operand<TInt32> labels,
      Function<String, Operand<TFloat32>> weights,
      Optional<Teacher> teacher,
      FrozenWeights frozen)
      throws IOException {
    ModelInfo info = model.info();
    Operand<TInt32> shape = tf.shape(images);
    Operand<TInt32> count = tf.slice(shape, tf.constant(new int[] {0}), tf.constant(new int[] {1}));
    List<Step> rows = rows(teacher);
    double[] errorWeights = errorWeights(teacher);
    Operand<TInt32> drawn =
        SchedulerOps.drawTimesteps(
            tf,
            errorWeights,
            tf.range(tf.squeeze(from), tf.squeeze(tf.math.add(from, count)), tf.constant(1)),
            tf.squeeze(batchSize),
            tf.random.statelessRandomUniform(tf.constant(new int[0]), seed(batch, 0)));
    Operand<TFloat32> epsilon = tf.random.statelessRandomNormal(shape, seed(part, 1));
    Operand<TFloat32> x = SchedulerOps.addNoise(tf, rows, images, epsilon, drawn);
    Operand<TFloat32> timesteps =
        tf.reshape(
            SchedulerOps.lookUp(tf, rows, drawn, Step::timestep), tf.constant(new int[] {-1}));
    Optional<Operand<TInt32>> given =
        info.classes() == 0 ? Optional.empty() : Optional.of(droppedLabels(labels, count));
    UNet network =
        new UNet(tf, model.network(), (name, size) -> weights.apply(name))
            .withDropout(draw -> seed(part, 3 + draw));
    Operand<TFloat32> out = network.forward(options.precision(), x, timesteps, given);
    Operand<TFloat32> target =
        teacher.isPresent()
            ? new TeacherGraph(tf, teacher.get(), options.precision(), frozen)
                .target(x, timesteps, drawn, given)
            : SchedulerOps.target(
                tf, info.schedule(), info.predictionType(), images, epsilon, drawn);
    Operand<TFloat32> error = tf.math.sub(out, target);
    Operand<TFloat32> squared = tf.math.mul(error, error);
    double meanWeight = Arrays.stream(errorWeights).average().orElseThrow();
    // By image first: a long sum is split by threads, and would be another with more of them.
    Operand<TFloat32> ofImages = tf.math.mean(squared, tf.constant(new int[] {1, 2, 3}));
    return tf.math.mul(tf.math.mean(ofImages, tf.constant(0)), tf.constant((float) meanWeight));
  }

  /** Returns what noise levels are drawn from: those of a student's plan, or of all timesteps. */
  private List<Step> rows(Optional<Teacher> teacher) {
    if (isProgressive(teacher)) {
      return teacher.get().steps().stream().map(DistilledStep::student).toList();
    }
    BetaSchedule schedule = model.info().schedule();
    return IntStream.range(0, schedule.timesteps())
        .mapToObj(t -> Step.at(t, schedule.alphaBar(t), model.info().predictionType()))
        .toList();
  }

  /** Returns how much an error weighs at each of these noise levels. */
  private double[] errorWeights(Optional<Teacher> teacher) {
    if (isProgressive(teacher)) {
      ProgressiveDistillation asked = (ProgressiveDistillation) teacher.get().distillation();
      return teacher.get().steps().stream().mapToDouble(asked.weighting()::of).toArray();
    }
    ModelInfo info = model.info();
    return SchedulerOps.minSnrWeights(
        info.schedule(), info.predictionType(), options.minSnrGamma());
  }

  private static boolean isProgressive(Optional<Teacher> teacher) {
    return teacher.isPresent() && !teacher.get().steps().isEmpty();
  }

  private Operand<TInt32> droppedLabels(Operand<TInt32> labels, Operand<TInt32> count) {
    if (options.labelDropout() == 0) {
      return labels;
    }
    Operand<TFloat32> draw = tf.random.statelessRandomUniform(count, seed(part, 2));
    return tf.select(
        tf.math.less(draw, tf.constant((float) options.labelDropout())),
        tf.fill(count, tf.constant(model.info().classes())),
        labels);
  }

  /**
   * Returns the seed of a draw: (seed, step) with the number of the draw in the step's upper half.
   */
  private Operand<TInt64> seed(Operand<TInt64> step, int draw) {
    return tf.math.add(step, tf.constant(new long[] {0, (long) draw << 32}));
  }

  private Operand<TInt64> element(Operand<TInt64> vector, int index) {
    return tf.slice(vector, tf.constant(new int[] {index}), tf.constant(new int[] {1}));
  }
}

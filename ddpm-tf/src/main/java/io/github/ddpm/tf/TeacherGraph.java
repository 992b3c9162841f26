package io.github.ddpm.tf;

import io.github.ddpm.DistilledStep;
import io.github.ddpm.Precision;
import io.github.ddpm.Step;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.FrozenWeights;
import io.github.ddpm.tf.graph.SchedulerOps;
import io.github.ddpm.tf.graph.UNet;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** What a {@link Teacher} has a network predict, in a graph; its weights never change there. */
final class TeacherGraph {
  private final Ops tf;
  private final Teacher teacher;
  private final Precision precision;
  private final FrozenWeights frozen;

  /** The weights of each model, which all of its calls share. */
  private final Map<ModelFolder, Map<String, Operand<TFloat32>>> weightsOf = new HashMap<>();

  /**
   * Begins with nothing.
   *
   * @param frozen of the graph that {@code tf} builds
   */
  TeacherGraph(Ops tf, Teacher teacher, Precision precision, FrozenWeights frozen) {
    this.tf = tf;
    this.teacher = teacher;
    this.precision = precision;
    this.frozen = frozen;
  }

  /**
   * Returns what a network should predict instead of {@link SchedulerOps#target}.
   *
   * @param x noisy images [n, height, width, channels]
   * @param timesteps [n]; where the teacher has steps, those that {@code drawn} chooses
   * @param drawn [n], positions in the teacher's steps, if it has any
   * @param labels [n], as the network itself gets them
   * @throws IOException if a weight is missing, too many or can't be read, or as {@link
   *     UncheckedIOException}
   */
  Operand<TFloat32> target(
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Operand<TInt32> drawn,
      Optional<Operand<TInt32>> labels)
      throws IOException {
    List<DistilledStep> steps = teacher.steps();
    if (steps.isEmpty()) {
      return answer(x, timesteps, labels);
    }
    Operand<TFloat32> clip = tf.constant((float) teacher.model().config().pipeline().clip());
    Operand<TFloat32> on = x;
    Operand<TFloat32> target =
        tf.math.mul(SchedulerOps.lookUp(tf, steps, drawn, DistilledStep::fromX), x);
    for (int i = 0; i < steps.get(0).teacher().size(); i++) {
      int row = i;
      List<Step> rows = steps.stream().map(step -> step.teacher().get(row)).toList();
      Operand<TFloat32> times =
          tf.reshape(
              SchedulerOps.lookUp(tf, rows, drawn, Step::timestep), tf.constant(new int[] {-1}));
      Operand<TFloat32> out = answer(on, times, labels);
      Operand<TFloat32> raw =
          tf.math.add(
              tf.math.mul(SchedulerOps.lookUp(tf, rows, drawn, Step::x0FromX), on),
              tf.math.mul(SchedulerOps.lookUp(tf, rows, drawn, Step::x0FromOut), out));
      Operand<TFloat32> x0 = tf.math.maximum(tf.math.minimum(raw, clip), tf.math.neg(clip));
      target =
          tf.math.add(
              target,
              tf.math.mul(
                  SchedulerOps.lookUp(tf, steps, drawn, step -> step.fromX0().get(row)), x0));
      on =
          tf.math.add(
              tf.math.mul(SchedulerOps.lookUp(tf, rows, drawn, Step::fromX), on),
              tf.math.mul(SchedulerOps.lookUp(tf, rows, drawn, Step::fromX0), x0));
    }
    return target;
  }

  private Operand<TFloat32> answer(
      Operand<TFloat32> x, Operand<TFloat32> timesteps, Optional<Operand<TInt32>> labels)
      throws IOException {
    Teacher.Guide guide = teacher.guide();
    Operand<TFloat32> strong = forward(teacher.model(), x, timesteps, labels);
    if (guide.weight() == 1) {
      return strong;
    }
    Operand<TFloat32> weak =
        forward(
            guide.model(),
            x,
            timesteps,
            guide.labeled() ? labels : labels.map(given -> nullLabels(given)));
    return tf.math.add(
        strong, tf.math.mul(tf.constant((float) (guide.weight() - 1)), tf.math.sub(strong, weak)));
  }

  private Operand<TInt32> nullLabels(Operand<TInt32> labels) {
    int nullLabel = teacher.model().config().info().classes();
    return tf.fill(tf.shape(labels), tf.constant(nullLabel));
  }

  private Operand<TFloat32> forward(
      ModelFolder model,
      Operand<TFloat32> x,
      Operand<TFloat32> timesteps,
      Optional<Operand<TInt32>> labels)
      throws IOException {
    boolean first = !weightsOf.containsKey(model);
    Map<String, Operand<TFloat32>> known = weightsOf.computeIfAbsent(model, key -> new HashMap<>());
    WeightSource weights = model.weights().source();
    Operand<TFloat32> out =
        new UNet(
                tf,
                model.config().network(),
                (name, shape) ->
                    known.computeIfAbsent(
                        name,
                        key -> frozen.add(name, shape, weights.getUnchecked(name, shape).values())))
            .forward(precision, x, timesteps, labels);
    if (first) {
      weights.checkNothingLeft();
    }
    return out;
  }
}

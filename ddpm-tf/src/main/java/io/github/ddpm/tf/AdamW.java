package io.github.ddpm.tf;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The weights of a network in training, laid end to end in one variable, with AdamW (Loshchilov and
 * Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2) and a moving average. One
 * vector instead of one variable per weight makes each of these a single operation.
 */
final class AdamW implements Weights {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;
  private static final double EPSILON = 1e-8;

  /** What PyTorch adds to the norm before it divides by it. */
  private static final float NORM_EPSILON = 1e-6f;

  private final Ops tf;
  private final Parameters parameters;
  private final Map<State, Variable<TFloat32>> variables = new EnumMap<>(State.class);
  private final Map<State, Op> assignments = new EnumMap<>(State.class);
  private final Placeholder<TFloat32> assigned;
  private final Placeholder<TFloat32> numbers;
  private final Map<String, Operand<TFloat32>> slices = new LinkedHashMap<>();

  /** The vectors that training changes. */
  enum State {
    WEIGHTS,
    EMA,
    ADAM_M,
    ADAM_V
  }

  AdamW(Ops tf, Parameters parameters) {
    this.tf = tf;
    this.parameters = parameters;
    Shape size = Shape.of(parameters.size());
    assigned = tf.placeholder(TFloat32.class, Placeholder.shape(size));
    numbers = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(6)));
    for (State state : State.values()) {
      variables.put(state, tf.withName(state.name()).variable(size, TFloat32.class));
      assignments.put(state, tf.assign(variables.get(state), assigned));
    }
    int[] sizes = parameters.shapes().values().stream().mapToInt(s -> (int) s.size()).toArray();
    List<Output<TFloat32>> parts =
        tf.splitV(
                variables.get(State.WEIGHTS),
                tf.constant(sizes),
                tf.constant(0),
                (long) sizes.length)
            .output();
    for (Map.Entry<String, Shape> entry : parameters.shapes().entrySet()) {
      slices.put(
          entry.getKey(),
          tf.withName(entry.getKey())
              .reshape(parts.get(slices.size()), tf.constant(entry.getValue())));
    }
  }

  @Override
  public Operand<TFloat32> get(String name, Shape shape) {
    return slices.get(name);
  }

  /** The gradient of a scalar by all weights, as one vector. */
  Operand<TFloat32> gradient(Operand<TFloat32> loss) {
    List<Operand<TFloat32>> flat = new ArrayList<>();
    Operand<TInt32> vector = tf.constant(new int[] {-1});
    Gradients gradients = tf.gradients(loss, slices.values());
    for (int i = 0; i < slices.size(); i++) {
      flat.add(tf.reshape(gradients.<TFloat32>dy(i), vector));
    }
    return tf.concat(flat, tf.constant(0));
  }

  /** The length of a vector. */
  static Operand<TFloat32> norm(Ops tf, Operand<TFloat32> gradient) {
    // Not the square operation, whose gradient function brings the process down.
    return tf.math.sqrt(tf.reduceSum(tf.math.mul(gradient, gradient), tf.constant(0)));
  }

  /**
   * Where gradients add up over the parts of a batch. It costs the memory of one more vector, so
   * ask for it only where a batch has parts.
   */
  Variable<TFloat32> accumulator() {
    return tf.variable(Shape.of(parameters.size()), TFloat32.class);
  }

  /**
   * The operation that takes one step down a gradient; running it needs {@link #numbers} fed.
   *
   * @param norm of the gradient; nothing is learned where it is not finite
   * @param maxNorm a longer gradient is scaled to this length, above 0; infinity is off
   */
  Op step(Operand<TFloat32> gradient, Operand<TFloat32> norm, double maxNorm) {
    List<Output<TFloat32>> number = tf.unstack(numbers, 6L).output();
    Operand<TFloat32> factor =
        tf.math.minimum(
            tf.constant(1f),
            tf.math.div(
                tf.constant((float) maxNorm), tf.math.add(norm, tf.constant(NORM_EPSILON))));
    Operand<TFloat32> scaled =
        Double.isInfinite(maxNorm) ? gradient : tf.math.mul(gradient, factor);
    // A gradient that overflowed must not reach the weights.
    Operand<TFloat32> usable = tf.select(tf.math.isFinite(norm), scaled, tf.zerosLike(gradient));
    Variable<TFloat32> weights = variables.get(State.WEIGHTS);
    // Not before the gradient is there: the network reads the variable in place.
    Operand<TFloat32> decayed =
        tf.withControlDependencies(gradient)
            .assignSub(weights, tf.math.mul(weights, number.get(1)));
    Operand<TFloat32> updated =
        tf.train.applyAdam(
            decayed,
            variables.get(State.ADAM_M),
            variables.get(State.ADAM_V),
            number.get(2),
            number.get(3),
            number.get(0),
            tf.constant((float) BETA1),
            tf.constant((float) BETA2),
            number.get(4),
            usable);
    Variable<TFloat32> ema = variables.get(State.EMA);
    return tf.assignAdd(ema, tf.math.mul(tf.math.sub(updated, ema), number.get(5)));
  }

  /** What a step is fed: {@link #numbers(long, double, double, double)}. */
  Operand<TFloat32> numbers() {
    return numbers;
  }

  /**
   * The numbers of a step.
   *
   * @param step steps taken before this one
   * @param learningRate at least 0
   * @param weightDecay share of a weight taken off per unit of learning rate, at least 0
   * @param emaDecay share of the moving average that stays, in [0, 1]
   */
  static TFloat32 numbers(long step, double learningRate, double weightDecay, double emaDecay) {
    double power1 = Math.pow(BETA1, step + 1.0);
    double power2 = Math.pow(BETA2, step + 1.0);
    return TFloat32.vectorOf(
        (float) learningRate,
        (float) (learningRate * weightDecay),
        (float) power1,
        (float) power2,
        // TensorFlow adds ε before it corrects the second moment's bias; the paper and PyTorch,
        // after.
        (float) (EPSILON * Math.sqrt(1 - power2)),
        (float) (1 - emaDecay));
  }

  /** Sets a vector. */
  void set(Session session, State state, float[] values) {
    try (TFloat32 tensor = TFloat32.tensorOf(Shape.of(parameters.size()), DataBuffers.of(values));
        Result result =
            session.runner().feed(assigned, tensor).addTarget(assignments.get(state)).run()) {
      assert result.size() == 0;
    }
  }

  /** Copies a vector. */
  float[] get(Session session, State state) {
    float[] values = new float[parameters.size()];
    try (Result result = session.runner().fetch(variables.get(state)).run()) {
      ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
    }
    return values;
  }
}

package io.github.ddpm.tf;

import io.github.ddpm.tf.TrainingOptions.Method;
import io.github.ddpm.tf.TrainingVectors.Vector;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;

/**
 * AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2) with a
 * moving average of the weights, as operations of a graph. {@link Muon} gives it other directions
 * for matrices.
 */
final class AdamW {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;
  private static final double EPSILON = 1e-8;

  /** What PyTorch adds to the norm before it divides by it. */
  private static final float NORM_EPSILON = 1e-6f;

  private static final long SCALARS = 7;

  /** TensorFlow adds up so many numbers with one thread, whatever it has. */
  private static final int ROW = 1024;

  private final Ops tf;
  private final TrainingVectors vectors;
  private final Method method;
  private final Placeholder<TFloat32> scalars;

  /**
   * Prepares an optimizer.
   *
   * @param method how the weights that {@link Muon} is for follow the gradient
   */
  AdamW(Ops tf, TrainingVectors vectors, Method method) {
    this.tf = tf;
    this.vectors = vectors;
    this.method = method;
    this.scalars = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(SCALARS)));
  }

  /**
   * Returns the length of a vector, the same bits with any number of threads: what is added to what
   * depends on its size alone.
   */
  static Operand<TFloat32> norm(Ops tf, Operand<TFloat32> gradient, int size) {
    // Not the square operation, whose gradient function brings the process down.
    Operand<TFloat32> left = tf.math.mul(gradient, gradient);
    int count = size;
    while (count > ROW) {
      int rows = (count + ROW - 1) / ROW;
      Operand<TFloat32> whole =
          tf.pad(left, tf.constant(new int[][] {{0, rows * ROW - count}}), tf.constant(0f));
      left = tf.reduceSum(tf.reshape(whole, tf.constant(new int[] {rows, ROW})), tf.constant(1));
      count = rows;
    }
    return tf.math.sqrt(tf.reduceSum(left, tf.constant(0)));
  }

  /**
   * Returns the operation that takes one step down a gradient; running it needs {@link #scalars()}
   * fed. Where loss or norm are not finite it changes nothing: neither weights nor average nor
   * moments.
   *
   * @param loss scalar
   * @param norm of the gradient, scalar
   * @param maxNorm a longer gradient is scaled to this length, above 0; infinity is off
   */
  Op step(
      Operand<TFloat32> loss, Operand<TFloat32> gradient, Operand<TFloat32> norm, double maxNorm) {
    List<Output<TFloat32>> scalar = tf.unstack(scalars, SCALARS).output();
    Operand<TBool> usable = usable(loss, norm, scalar);
    Operand<TFloat32> updated = updated(gradient, norm, maxNorm, scalar, usable);
    Variable<TFloat32> ema = vectors.variable(Vector.EMA);
    return tf.assignAdd(
        ema,
        tf.math.mul(tf.math.sub(updated, ema), tf.select(usable, scalar.get(5), tf.constant(0f))));
  }

  /**
   * Returns the operation that takes a step as {@link #step(Operand, Operand, Operand, double)}
   * does, but leaves the moving average alone, which need not be set.
   */
  Op stepWithoutAverage(
      Operand<TFloat32> loss, Operand<TFloat32> gradient, Operand<TFloat32> norm, double maxNorm) {
    List<Output<TFloat32>> scalar = tf.unstack(scalars, SCALARS).output();
    return updated(gradient, norm, maxNorm, scalar, usable(loss, norm, scalar));
  }

  private Operand<TBool> usable(
      Operand<TFloat32> loss, Operand<TFloat32> norm, List<Output<TFloat32>> scalar) {
    return tf.math.logicalAnd(
        tf.math.isFinite(norm), tf.math.isFinite(tf.math.add(loss, scalar.get(6))));
  }

  /** Returns the weights after a step. */
  private Operand<TFloat32> updated(
      Operand<TFloat32> gradient,
      Operand<TFloat32> norm,
      double maxNorm,
      List<Output<TFloat32>> scalar,
      Operand<TBool> usable) {
    Operand<TFloat32> zero = tf.constant(0f);
    Operand<TFloat32> factor =
        tf.math.minimum(
            tf.constant(1f),
            tf.math.div(
                tf.constant((float) maxNorm), tf.math.add(norm, tf.constant(NORM_EPSILON))));
    Operand<TFloat32> scaled =
        Double.isInfinite(maxNorm) ? gradient : tf.math.mul(gradient, factor);
    Variable<TFloat32> weights = vectors.variable(Vector.WEIGHTS);
    // Not before the gradient is there: the network reads the variable in place.
    Operand<TFloat32> decayed =
        tf.withControlDependencies(gradient)
            .assignSub(weights, tf.math.mul(weights, tf.select(usable, scalar.get(1), zero)));
    Operand<TFloat32> rate = tf.select(usable, scalar.get(0), zero);
    Operand<TFloat32> given = tf.select(usable, scaled, tf.zerosLike(gradient));
    // A moment of which all is kept stays as it is, bit for bit.
    Operand<TFloat32> updated =
        tf.train.applyAdam(
            decayed,
            vectors.variable(Vector.ADAM_M),
            vectors.variable(Vector.ADAM_V),
            scalar.get(2),
            scalar.get(3),
            method == Method.ADAMW ? rate : zero,
            tf.select(usable, tf.constant((float) BETA1), tf.constant(1f)),
            tf.select(usable, tf.constant((float) BETA2), tf.constant(1f)),
            scalar.get(4),
            given);
    return method == Method.ADAMW ? updated : alongMuon(updated, given, scalar, rate);
  }

  /**
   * Returns the weights after a step along the directions of {@link Muon}.
   *
   * @param moved with moments that are up to date, and weights that are not
   */
  private Operand<TFloat32> alongMuon(
      Operand<TFloat32> moved,
      Operand<TFloat32> gradient,
      List<Output<TFloat32>> scalar,
      Operand<TFloat32> rate) {
    Ops after = tf.withControlDependencies(moved);
    Operand<TFloat32> one = after.constant(1f);
    Operand<TFloat32> correction =
        after.math.div(
            after.math.sqrt(after.math.sub(one, scalar.get(3))),
            after.math.sub(one, scalar.get(2)));
    Operand<TFloat32> directions =
        new Muon(after, vectors.layout(), BETA1)
            .directions(
                gradient,
                vectors.variable(Vector.ADAM_M),
                vectors.variable(Vector.ADAM_V),
                (first, second) ->
                    after.math.div(
                        after.math.mul(first, correction),
                        after.math.add(after.math.sqrt(second), scalar.get(4))));
    return after.assignSub(vectors.variable(Vector.WEIGHTS), after.math.mul(directions, rate));
  }

  /** Returns what a step is fed: {@link #scalars(long, double, double, double, double)}. */
  Operand<TFloat32> scalars() {
    return scalars;
  }

  /**
   * Returns the scalars of a step: rates, powers of β for its bias, and the loss before.
   *
   * @param step steps taken before this one
   * @param learningRate at least 0
   * @param weightDecay share of a weight taken off per unit of learning rate, at least 0
   * @param emaDecay share of the moving average that stays, in [0, 1]
   * @param lossBefore loss of those parts of the batch whose gradients were added up before; the
   *     step changes nothing unless it is finite
   */
  static TFloat32 scalars(
      long step, double learningRate, double weightDecay, double emaDecay, double lossBefore) {
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
        (float) (1 - emaDecay),
        (float) lossBefore);
  }
}

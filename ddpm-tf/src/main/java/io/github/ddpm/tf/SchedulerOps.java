package io.github.ddpm.tf;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Step;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The arithmetic of diffusion as graph functions: forward noising and targets for training, and a
 * sampler's row for sampling. The tables are computed in double; only the tensors are float32.
 *
 * <p>Images are [n, height, width, channels]; timesteps are [n], each in [0, T-1].
 */
public final class SchedulerOps {
  static final long ROW_LENGTH = 8;

  private SchedulerOps() {}

  /** {@code x = signal·x0 + noise·ε} (Ho et al. 2020, eq. 4). */
  public static Operand<TFloat32> addNoise(
      Ops tf,
      BetaSchedule schedule,
      Operand<TFloat32> x0,
      Operand<TFloat32> epsilon,
      Operand<TInt32> timesteps) {
    Operand<TFloat32> signal = lookUp(tf, schedule, timesteps, t -> signal(schedule, t));
    Operand<TFloat32> noise = lookUp(tf, schedule, timesteps, t -> noise(schedule, t));
    return tf.math.add(tf.math.mul(signal, x0), tf.math.mul(noise, epsilon));
  }

  /** What the network should predict: two weights times ε and x0, see {@link PredictionType}. */
  public static Operand<TFloat32> target(
      Ops tf,
      BetaSchedule schedule,
      PredictionType type,
      Operand<TFloat32> x0,
      Operand<TFloat32> epsilon,
      Operand<TInt32> timesteps) {
    Operand<TFloat32> fromNoise =
        lookUp(
            tf, schedule, timesteps, t -> type.fromNoise(signal(schedule, t), noise(schedule, t)));
    Operand<TFloat32> fromX0 =
        lookUp(tf, schedule, timesteps, t -> type.fromX0(signal(schedule, t), noise(schedule, t)));
    return tf.math.add(tf.math.mul(fromNoise, epsilon), tf.math.mul(fromX0, x0));
  }

  /**
   * Min-SNR-γ weights of each image's squared error (Hang et al. 2023, "Efficient Diffusion
   * Training via Min-SNR Weighting Strategy", section 3.4): with snr = ᾱ/(1-ᾱ), min(snr, γ)/snr for
   * ε, min(snr, γ) for x0 and min(snr, γ)/(snr + 1) for v.
   *
   * @param gamma above 0; the paper recommends 5
   * @return [n, 1, 1, 1]
   */
  public static Operand<TFloat32> minSnrWeight(
      Ops tf, BetaSchedule schedule, PredictionType type, double gamma, Operand<TInt32> timesteps) {
    return lookUp(
        tf,
        schedule,
        timesteps,
        t -> {
          double snr = schedule.alphaBar(t) / (1 - schedule.alphaBar(t));
          return switch (type) {
            case EPSILON -> Math.min(snr, gamma) / snr;
            case SAMPLE -> Math.min(snr, gamma);
            case V_PREDICTION -> Math.min(snr, gamma) / (snr + 1);
          };
        });
  }

  /**
   * The estimate of the image that a row makes: {@code clip(x0FromX·x + x0FromOut·out)}.
   *
   * @param row as {@link #row} has it
   * @param out what the network made of x
   * @param clip scalar, above 0; infinity is off
   */
  public static Operand<TFloat32> estimate(
      Ops tf,
      Operand<TFloat32> row,
      Operand<TFloat32> x,
      Operand<TFloat32> out,
      Operand<TFloat32> clip) {
    List<Output<TFloat32>> weights = tf.unstack(row, ROW_LENGTH).output();
    Operand<TFloat32> raw =
        tf.math.add(tf.math.mul(weights.get(0), x), tf.math.mul(weights.get(1), out));
    return tf.math.maximum(tf.math.minimum(raw, clip), tf.math.neg(clip));
  }

  /**
   * The reverse step: x after a row.
   *
   * @param row as {@link #row} has it
   * @param out what the network made of x
   * @param x0 what {@link #estimate} made of both
   * @param previousX0 the same one row ago, or a scalar 0
   * @param olderX0 the same two rows ago, or a scalar 0
   * @param z N(0, 1) noise, or a scalar 0
   */
  public static Operand<TFloat32> step(
      Ops tf,
      Operand<TFloat32> row,
      Operand<TFloat32> x,
      Operand<TFloat32> out,
      Operand<TFloat32> x0,
      Operand<TFloat32> previousX0,
      Operand<TFloat32> olderX0,
      Operand<TFloat32> z) {
    List<Output<TFloat32>> weights = tf.unstack(row, ROW_LENGTH).output();
    List<Operand<TFloat32>> terms = List.of(x, out, x0, previousX0, olderX0, z);
    Operand<TFloat32> sum = tf.math.mul(weights.get(2), terms.get(0));
    for (int i = 1; i < terms.size(); i++) {
      sum = tf.math.add(sum, tf.math.mul(weights.get(2 + i), terms.get(i)));
    }
    return sum;
  }

  /** A row's weights as the vector that {@link #estimate} and {@link #step} take. */
  public static float[] row(Step step) {
    return new float[] {
      (float) step.x0FromX(),
      (float) step.x0FromOut(),
      (float) step.fromX(),
      (float) step.fromOut(),
      (float) step.fromX0(),
      (float) step.fromPreviousX0(),
      (float) step.fromOlderX0(),
      (float) step.fromNoise()
    };
  }

  private static Operand<TFloat32> lookUp(
      Ops tf, BetaSchedule schedule, Operand<TInt32> timesteps, IntToDoubleFunction value) {
    float[] table = new float[schedule.timesteps()];
    for (int t = 0; t < table.length; t++) {
      table[t] = (float) value.applyAsDouble(t);
    }
    Operand<TFloat32> chosen = tf.gather(tf.constant(table), timesteps, tf.constant(0));
    return Layers.perImage(tf, chosen, 1);
  }

  private static double signal(BetaSchedule schedule, int t) {
    return Math.sqrt(schedule.alphaBar(t));
  }

  private static double noise(BetaSchedule schedule, int t) {
    return Math.sqrt(1 - schedule.alphaBar(t));
  }
}

package io.github.ddpm.tf.graph;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.op.math.Mean;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The arithmetic of diffusion as graph functions: forward noising and targets for training, and a
 * sampler's row for sampling. The tables are computed in double; only the tensors are float32.
 *
 * <p>Images are [n, height, width, channels]; timesteps are [n], each in [0, T-1].
 */
public final class SchedulerOps {
  /** Numbers in a {@link #row}. */
  public static final long ROW_LENGTH = 11;

  private SchedulerOps() {}

  /**
   * {@return the noisy images {@code x = signal·x0 + noise·ε} (Ho et al. 2020, eq. 4)}
   *
   * @param tf the graph's operations
   * @param schedule the noise at each timestep
   * @param x0 images [n, height, width, channels], about in [-1, 1]
   * @param epsilon N(0, 1) noise, of the same shape
   * @param timesteps [n], each in [0, T-1]
   */
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

  /**
   * {@return the same at the noise of the rows of a plan, whose timesteps need not be whole}
   *
   * @param tf the graph's operations
   * @param rows of the plan, at least 1
   * @param x0 images [n, height, width, channels], about in [-1, 1]
   * @param epsilon N(0, 1) noise, of the same shape
   * @param drawn [n], positions in the rows
   */
  public static Operand<TFloat32> addNoise(
      Ops tf,
      List<Step> rows,
      Operand<TFloat32> x0,
      Operand<TFloat32> epsilon,
      Operand<TInt32> drawn) {
    return tf.math.add(
        tf.math.mul(lookUp(tf, rows, drawn, Step::signal), x0),
        tf.math.mul(lookUp(tf, rows, drawn, Step::noise), epsilon));
  }

  /**
   * Returns a number for each image: that of the entry that was drawn for it.
   *
   * @param <T> type of an entry
   * @param tf the graph's operations
   * @param entries at least 1
   * @param drawn [n], positions in the entries
   * @param number what is looked up of an entry, which becomes a float32
   * @return [n, 1, 1, 1]
   */
  public static <T> Operand<TFloat32> lookUp(
      Ops tf, List<T> entries, Operand<TInt32> drawn, ToDoubleFunction<T> number) {
    float[] table = new float[entries.size()];
    for (int i = 0; i < table.length; i++) {
      table[i] = (float) number.applyAsDouble(entries.get(i));
    }
    Operand<TFloat32> chosen = tf.gather(tf.constant(table), drawn, tf.constant(0));
    return Tensors.perImage(tf, chosen, 1);
  }

  /**
   * {@return what the network should predict: two weights times ε and x0, see {@link
   * PredictionType}}
   *
   * @param tf the graph's operations
   * @param schedule the noise at each timestep
   * @param type what the network predicts
   * @param x0 images [n, height, width, channels], about in [-1, 1]
   * @param epsilon the noise in them, of the same shape
   * @param timesteps [n], each in [0, T-1]
   */
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
   * Draws a timestep for each image of a batch, in proportion to weights: the mean of the squared
   * errors at these timesteps, times the mean of the weights, is on average the weighted mean over
   * all timesteps. The draws share one random offset and are evenly spaced from there, around and
   * around, so that each batch has its share of every noise level and each image can get any of
   * them (Kingma et al. 2021, "Variational Diffusion Models", appendix I.1).
   *
   * @param tf the graph's operations
   * @param weights of the timesteps 0 to T-1, at least 0 and finite, not all 0
   * @param positions in the batch, [n], of the images that draw; those of a batch may draw apart
   * @param count scalar, images in the batch
   * @param uniform scalar, in [0, 1), of the batch
   * @return [n]
   */
  public static Operand<TInt32> drawTimesteps(
      Ops tf,
      double[] weights,
      Operand<TInt32> positions,
      Operand<TInt32> count,
      Operand<TFloat32> uniform) {
    for (double weight : weights) {
      checkArgument(
          weight >= 0 && Double.isFinite(weight),
          "weights must be at least 0 and finite, got %s",
          weight);
    }
    double total = Arrays.stream(weights).sum();
    checkArgument(total > 0, "all weights are 0");
    float[] upTo = new float[weights.length];
    double sum = 0;
    for (int t = 0; t < weights.length; t++) {
      sum += weights[t];
      upTo[t] = (float) (sum / total);
    }
    Operand<TFloat32> images = tf.dtypes.cast(count, TFloat32.class);
    Operand<TFloat32> ordinals = tf.dtypes.cast(positions, TFloat32.class);
    Operand<TFloat32> levels =
        tf.math.floorMod(tf.math.add(tf.math.div(ordinals, images), uniform), tf.constant(1f));
    return tf.squeeze(
        tf.upperBound(tf.constant(new float[][] {upTo}), tf.expandDims(levels, tf.constant(0))),
        Squeeze.axis(List.of(0L)));
  }

  /**
   * Returns the min-SNR-γ weights of the squared error at each timestep (Hang et al. 2023,
   * "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4): with snr =
   * ᾱ/(1-ᾱ), min(snr, γ)/snr for ε, min(snr, γ) for x0 and min(snr, γ)/(snr + 1) for v. Where
   * nothing of the image is left, at zero terminal SNR, that is 0 for x0 and v, and not a number
   * for ε.
   *
   * @param schedule gives ᾱ at each timestep
   * @param type what the network predicts
   * @param gamma at least 0; the paper recommends 5, and 0 makes all weights 1
   * @return the weights of the timesteps 0 to T-1
   */
  public static double[] minSnrWeights(BetaSchedule schedule, PredictionType type, double gamma) {
    double[] weights = new double[schedule.timesteps()];
    for (int t = 0; t < weights.length; t++) {
      double snr = schedule.alphaBar(t) / (1 - schedule.alphaBar(t));
      double capped = Math.min(snr, gamma);
      weights[t] =
          gamma == 0
              ? 1
              : switch (type) {
                case EPSILON -> capped / snr;
                case SAMPLE -> capped;
                case V_PREDICTION -> capped / (snr + 1);
              };
    }
    return weights;
  }

  /**
   * {@return the estimate of the image that a row makes: {@code clip(x0FromX·x + x0FromOut·out)}}
   *
   * @param tf the graph's operations
   * @param row as {@link #row} has it
   * @param x noisy images [n, height, width, channels]
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
   * {@return the estimate of the images with each brought below its own threshold, see {@link
   * io.github.ddpm.Sampler#threshold}}
   *
   * @param tf the graph's operations
   * @param row as {@link #row} has it
   * @param x noisy images [n, height, width, channels], all but n known
   * @param out what the network made of x
   * @param most scalar, the highest threshold
   * @param ratio scalar, the share of an image's values that are at most at it; 0 clips to the
   *     highest threshold and divides by nothing
   */
  public static Operand<TFloat32> thresholdedEstimate(
      Ops tf,
      Operand<TFloat32> row,
      Operand<TFloat32> x,
      Operand<TFloat32> out,
      Operand<TFloat32> most,
      Operand<TFloat32> ratio) {
    Operand<TFloat32> raw = estimate(tf, row, x, out, tf.constant(Float.POSITIVE_INFINITY));
    Shape shape = x.shape();
    int size = (int) (shape.get(1) * shape.get(2) * shape.get(3));
    Operand<TFloat32> flat = tf.reshape(raw, tf.constant(new int[] {-1, size}));
    Operand<TFloat32> falling =
        tf.nn.topK(tf.math.abs(flat), tf.constant(size), TInt32.class).values();
    // What is at place p of the rising values is at size - 1 - p of the falling ones.
    Operand<TFloat32> place =
        tf.math.mul(tf.math.sub(tf.constant(1f), ratio), tf.constant(size - 1f));
    Operand<TFloat32> below = tf.math.floor(place);
    Operand<TFloat32> share = tf.math.sub(place, below);
    Operand<TInt32> first = tf.dtypes.cast(below, TInt32.class);
    Operand<TInt32> second =
        tf.math.minimum(tf.math.add(first, tf.constant(1)), tf.constant(size - 1));
    Operand<TFloat32> higher = tf.gather(falling, first, tf.constant(1));
    Operand<TFloat32> lower = tf.gather(falling, second, tf.constant(1));
    Operand<TFloat32> quantile =
        tf.math.add(higher, tf.math.mul(share, tf.math.sub(lower, higher)));
    Operand<TFloat32> threshold = tf.math.minimum(tf.math.maximum(quantile, tf.constant(1f)), most);
    Operand<TBool> on =
        tf.broadcastTo(tf.math.greater(ratio, tf.constant(0f)), tf.shape(threshold));
    Operand<TFloat32> ones = tf.onesLike(threshold);
    Operand<TFloat32> limit =
        Tensors.perImage(tf, tf.select(on, threshold, tf.math.mul(ones, most)), 1);
    Operand<TFloat32> divisor = Tensors.perImage(tf, tf.select(on, threshold, ones), 1);
    return tf.math.div(tf.math.maximum(tf.math.minimum(raw, limit), tf.math.neg(limit)), divisor);
  }

  /**
   * {@return outputs of which a share has the standard deviation that they have with the label
   * alone, see {@link io.github.ddpm.Sampler#guidanceRescale}}
   *
   * @param tf the graph's operations
   * @param labeled with the label alone, a row for each image
   * @param guided of the same shape
   * @param share scalar, in [0, 1]
   */
  public static Operand<TFloat32> rescaled(
      Ops tf, Operand<TFloat32> labeled, Operand<TFloat32> guided, Operand<TFloat32> share) {
    Operand<TFloat32> now = deviation(tf, guided);
    // What is the same everywhere has nothing to rescale.
    Operand<TFloat32> ratio =
        tf.select(
            tf.math.greater(now, tf.zerosLike(now)),
            tf.math.div(deviation(tf, labeled), now),
            tf.onesLike(now));
    Operand<TFloat32> factor =
        tf.math.add(tf.constant(1f), tf.math.mul(share, tf.math.sub(ratio, tf.constant(1f))));
    return tf.math.mul(guided, factor);
  }

  private static Operand<TFloat32> deviation(Ops tf, Operand<TFloat32> rows) {
    Operand<TInt32> axis = tf.constant(1);
    Operand<TFloat32> off = tf.math.sub(rows, tf.math.mean(rows, axis, Mean.keepDims(true)));
    return tf.math.sqrt(tf.math.mean(tf.math.square(off), axis, Mean.keepDims(true)));
  }

  /**
   * {@return the reverse step: x after a row}
   *
   * @param tf the graph's operations
   * @param row as {@link #row} has it
   * @param x noisy images [n, height, width, channels]
   * @param out what the network made of x
   * @param x0 what {@link #estimate} made of both
   * @param kept what one, two and three rows ago {@linkplain #kept kept}, or scalars 0
   * @param z N(0, 1) noise, or a scalar 0
   */
  public static Operand<TFloat32> step(
      Ops tf,
      Operand<TFloat32> row,
      Operand<TFloat32> x,
      Operand<TFloat32> out,
      Operand<TFloat32> x0,
      List<? extends Operand<TFloat32>> kept,
      Operand<TFloat32> z) {
    List<Output<TFloat32>> weights = tf.unstack(row, ROW_LENGTH).output();
    List<Operand<TFloat32>> terms = new ArrayList<>(List.of(x, out, x0));
    terms.addAll(kept);
    terms.add(z);
    Operand<TFloat32> sum = tf.math.mul(weights.get(2), terms.get(0));
    for (int i = 1; i < terms.size(); i++) {
      sum = tf.math.add(sum, tf.math.mul(weights.get(2 + i), terms.get(i)));
    }
    return sum;
  }

  /**
   * {@return what a row keeps for the next ones}
   *
   * @param tf the graph's operations
   * @param row as {@link #row} has it
   * @param x noisy images [n, height, width, channels]
   * @param x0 what {@link #estimate} made of x and out
   */
  public static Operand<TFloat32> kept(
      Ops tf, Operand<TFloat32> row, Operand<TFloat32> x, Operand<TFloat32> x0) {
    List<Output<TFloat32>> weights = tf.unstack(row, ROW_LENGTH).output();
    return tf.math.add(tf.math.mul(weights.get(9), x), tf.math.mul(weights.get(10), x0));
  }

  /**
   * {@return the {@link #ROW_LENGTH} weights of a row as the vector that {@link #estimate}, {@link
   * #step} and {@link #kept} take}
   *
   * @param step the row
   */
  public static float[] row(Step step) {
    return new float[] {
      (float) step.x0FromX(),
      (float) step.x0FromOut(),
      (float) step.fromX(),
      (float) step.fromOut(),
      (float) step.fromX0(),
      (float) step.fromPrevious(),
      (float) step.fromOlder(),
      (float) step.fromOldest(),
      (float) step.fromNoise(),
      (float) step.keptFromX(),
      (float) step.keptFromX0()
    };
  }

  private static Operand<TFloat32> lookUp(
      Ops tf, BetaSchedule schedule, Operand<TInt32> timesteps, ToDoubleFunction<Integer> value) {
    List<Integer> all = IntStream.range(0, schedule.timesteps()).boxed().toList();
    return lookUp(tf, all, timesteps, value);
  }

  private static double signal(BetaSchedule schedule, int t) {
    return Math.sqrt(schedule.alphaBar(t));
  }

  private static double noise(BetaSchedule schedule, int t) {
    return Math.sqrt(1 - schedule.alphaBar(t));
  }
}

package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Predictor;
import io.github.ddpm.Step;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.apache.commons.statistics.distribution.NormalDistribution;

/**
 * This is how many bits a pixel the model needs to tell pictures, at most: the variational bound on
 * their negative log-likelihood (Ho et al. 2020, eq. 5), with the posterior variance β̃ and, at
 * timestep 0 where that is 0, that of timestep 1 (Nichol and Dhariwal 2021, section 3.1), for 256
 * shades.
 *
 * <p>The bound is a sum over all timesteps. {@link NoiseScheduler#ddpm}'s table has all that its
 * terms are made of: a row's next x is Gaussian with mean {@code fromX·x + fromX0·x0} and deviation
 * {@code fromNoise}, for the true x0 as for the estimate, so the divergence of the two is {@code
 * fromX0²·|x0 - estimate|²/(2·fromNoise²)}. All timesteps are summed: T calls of the network for
 * each picture.
 */
public final class BitsPerDimension {
  private static final double HALF_SHADE = 1 / 255.0;

  /** The network is given so many pictures at once. */
  private static final int RUN = 64;

  private final Predictor model;
  private final List<Step> rows;
  private final Random random;

  private BitsPerDimension(Predictor model, long seed) {
    ModelInfo info = model.info();
    int last = info.schedule().timesteps() - 1;
    checkArgument(last >= 1, "the bound needs at least 2 timesteps, got %s", last + 1);
    checkArgument(
        info.conditionChannels() == 0,
        "the bound is of pictures alone, so the model can't have condition channels, got %s",
        info.conditionChannels());
    this.model = model;
    this.rows =
        NoiseScheduler.ddpm()
            .steps(
                info.schedule(),
                info.predictionType(),
                IntStream.rangeClosed(0, last).mapToDouble(t -> last - t).toArray());
    this.random = new Random(seed);
  }

  /**
   * Computes the bound, per value of a picture.
   *
   * @param model predicts what its {@link Predictor#info} says
   * @param images of the model's size with values byte/127.5 - 1, at least 2
   * @param labels one a picture; empty for a model without labels; {@code classes} is the null
   *     label
   * @param seed of the noise
   * @return with the standard error of taking other pictures
   */
  public static Estimate of(Predictor model, Images images, int[] labels, long seed) {
    checkArgument(images.count() >= 2, "at least 2 pictures are needed, got %s", images.count());
    BitsPerDimension bound = new BitsPerDimension(model, seed);
    double[] bits = new double[images.count()];
    for (int from = 0; from < bits.length; from += RUN) {
      int to = Math.min(bits.length, from + RUN);
      int[] some = labels.length == 0 ? labels : Arrays.copyOfRange(labels, from, to);
      double[] part = bound.bits(images.slice(from, to), some);
      System.arraycopy(part, 0, bits, from, part.length);
    }
    double mean = DoubleStream.of(bits).average().orElseThrow();
    double squares = DoubleStream.of(bits).map(x -> (x - mean) * (x - mean)).sum();
    return new Estimate(mean, Math.sqrt(squares / (bits.length - 1.0) / bits.length));
  }

  private double[] bits(Images images, int[] labels) {
    float[] x0 = images.toArray();
    int size = model.info().imageSize();
    double[] nats = new double[images.count()];
    Arrays.setAll(nats, i -> prior(x0, i * size, size));
    add(nats, shades(x0, labels));
    for (int t = 1; t < rows.size(); t++) {
      add(nats, divergence(x0, labels, t));
    }
    return DoubleStream.of(nats).map(x -> x / (size * Math.log(2))).toArray();
  }

  /** Returns L_T: what is left of the picture at the last timestep. */
  private double prior(float[] x0, int offset, int size) {
    Step step = rows.get(0);
    double variance = step.noise() * step.noise();
    double sum = 0;
    for (int i = offset; i < offset + size; i++) {
      double mean = step.signal() * x0[i];
      sum += (mean * mean + variance - 1 - Math.log(variance)) / 2;
    }
    return sum;
  }

  /** Returns L_{t-1} of each picture, for t of 1 or more. */
  private double[] divergence(float[] x0, int[] labels, int t) {
    Step step = rows.get(rows.size() - 1 - t);
    double weight = step.fromX0() / step.fromNoise();
    float[] estimate = estimate(x0, labels, step);
    double[] nats = new double[x0.length / model.info().imageSize()];
    for (int i = 0; i < x0.length; i++) {
      double error = weight * (x0[i] - estimate[i]);
      nats[i / model.info().imageSize()] += error * error / 2;
    }
    return nats;
  }

  /**
   * Returns L_0 of each picture: the probability of its shades, of which black and white reach
   * outward.
   */
  private double[] shades(float[] x0, int[] labels) {
    Step first = rows.get(rows.size() - 1);
    NormalDistribution error = NormalDistribution.of(0, rows.get(rows.size() - 2).fromNoise());
    float[] estimate = estimate(x0, labels, first);
    double[] nats = new double[x0.length / model.info().imageSize()];
    for (int i = 0; i < x0.length; i++) {
      double low = x0[i] <= -1 ? Double.NEGATIVE_INFINITY : x0[i] - HALF_SHADE - estimate[i];
      double high = x0[i] >= 1 ? Double.POSITIVE_INFINITY : x0[i] + HALF_SHADE - estimate[i];
      // A probability too small for a double is not 0.
      nats[i / model.info().imageSize()] -=
          Math.log(Math.max(Double.MIN_NORMAL, error.probability(low, high)));
    }
    return nats;
  }

  /** Returns the model's estimate of pictures after it was given their noisy versions. */
  private float[] estimate(float[] x0, int[] labels, Step step) {
    float[] x = new float[x0.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) (step.signal() * x0[i] + step.noise() * random.nextGaussian());
    }
    float[] out = model.predict(x, step.timestep(), labels);
    for (int i = 0; i < x.length; i++) {
      double value = step.x0FromX() * x[i] + step.x0FromOut() * out[i];
      x[i] = (float) Math.max(-1, Math.min(1, value));
    }
    return x;
  }

  private static void add(double[] sums, double[] terms) {
    for (int i = 0; i < sums.length; i++) {
      sums[i] += terms[i];
    }
  }
}

package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * A step of a plan, measured in λ = log(signal/noise), as multistep solvers do: from -∞, at zero
 * SNR, to ∞, where the image is.
 */
final class Stride {
  /** Plans of so many timesteps need no low orders at the end. */
  private static final int LONG = 15;

  private final BetaSchedule schedule;
  private final double[] timesteps;
  private final int start;
  private final int i;
  private final double end;

  /**
   * Makes the step from an entry of the plan to the next, or from the last to the end.
   *
   * @param toImage whether that is the image, or the noise of timestep 0
   */
  Stride(BetaSchedule schedule, double[] timesteps, int i, boolean toImage) {
    this(schedule, timesteps, i, i, toImage);
  }

  /**
   * Makes the step of a singlestep solver, which has estimates on its way.
   *
   * @param start entry that it starts from
   * @param i entry of the newest estimate, from which it leads to the next
   */
  Stride(BetaSchedule schedule, double[] timesteps, int start, int i, boolean toImage) {
    this.schedule = schedule;
    this.timesteps = timesteps;
    this.start = start;
    this.i = i;
    this.end = toImage ? 0 : schedule.sigma(0);
  }

  /** Refuses orders that there are no coefficients of. */
  static void checkOrder(int order, int most) {
    checkArgument(order >= 1 && order <= most, "the order must be in [1, %s], got %s", most, order);
  }

  /** Refuses zero SNR, for a solver that can't start there. */
  static void checkSignal(String solver, BetaSchedule schedule, double... timesteps) {
    checkArgument(
        schedule.alphaBar(timesteps[0]) > 0,
        "%s needs signal at every timestep, but the schedule has zero SNR at timestep %s; use ddim, dpmSolver or uniPc",
        solver,
        timesteps[0]);
  }

  /**
   * Returns how many estimates this step can use: those that there are, but for one at zero SNR,
   * and 1 if it is infinitely long, or goes nowhere.
   *
   * @param order most of them
   * @param lowerOrderFinal whether the last steps of a short plan use fewer: 2, and 1
   */
  int estimates(int order, boolean lowerOrderFinal) {
    int left = timesteps.length - i;
    boolean few = lowerOrderFinal && timesteps.length < LONG;
    int most = few ? Math.min(left, order) : order;
    int known = i > 0 && Double.isInfinite(lambda(0)) ? i : i + 1;
    return Double.isInfinite(h()) || h() == 0 ? 1 : Math.min(most, known);
  }

  /** Returns how many estimates there are, with that of this step. */
  int estimates() {
    return i + 1;
  }

  /** Returns how far this step goes. */
  double h() {
    return lambda(i + 1) - lambda(start);
  }

  /**
   * Returns where the newest estimates were made, newest first, as shares s of this step, which
   * starts at 0.
   *
   * @param estimates at least 1
   */
  double[] nodes(int estimates) {
    return IntStream.range(0, estimates)
        .mapToDouble(k -> i - k == start ? 0 : (lambda(i - k) - lambda(start)) / h())
        .toArray();
  }

  /**
   * Returns how much of an image that changes as 1, s, s² or s³ this step adds: signal·∫
   * h·exp(-h·(1-s))·s^k ds, for s from 0 to 1 (Lu et al. 2022, proposition 4.1).
   *
   * @param rate how many times as fast the noise of x is forgotten as by the probability flow ODE:
   *     a factor of h
   */
  double[] moments(int rate) {
    double h = rate * h();
    double[] moments = {-Math.expm1(-h), 0, 0, 0};
    int last = moments.length - 1;
    if (h < 1) {
      // Downwards from a series, because upwards rounding grows by 1/h each time.
      double term = h / (last + 1);
      for (int j = 1; Math.abs(term) > Math.ulp(moments[last]); j++) {
        moments[last] += term;
        term *= -h / (last + 1 + j);
      }
      for (int k = last; k > 1; k--) {
        moments[k - 1] = h / k * (1 - moments[k]);
      }
    } else {
      for (int k = 1; k <= last; k++) {
        moments[k] = 1 - k / h * moments[k - 1];
      }
    }
    return Arrays.stream(moments).map(moment -> signal() * moment).toArray();
  }

  /** Returns √ᾱ after this step. */
  double signal() {
    return 1 / Math.hypot(1, sigma(1));
  }

  /** Returns σ = noise/signal so many entries on from that of the newest estimate, or back. */
  double sigma(int on) {
    return i + on == timesteps.length ? end : schedule.sigma(timesteps[i + on]);
  }

  private double lambda(int entry) {
    return -Math.log(sigma(entry - i));
  }
}

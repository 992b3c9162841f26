package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.function.DoubleUnaryOperator;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Which of a model's training timesteps sampling visits: a plan of n timesteps, noisiest first.
 *
 * <p>{@link #leading}, {@link #linspace} and {@link #trailing} are those of Lin et al. 2024, table
 * 2. Trailing is the default, unless a model {@linkplain ModelInfo#spacingExponent says} otherwise:
 * it is the only one of the three that always starts at the last training timestep, where the image
 * is noise.
 */
@FunctionalInterface
public interface Spacing {
  /**
   * Returns the plan for a model with that schedule, of T timesteps.
   *
   * @param schedule that of the model
   * @return timesteps in [0, T-1], strictly falling; whole or fractional
   * @throws IllegalArgumentException if there is no such plan, for instance for more steps than T
   */
  double[] timesteps(BetaSchedule schedule);

  /**
   * {@return plans that go down from the last training timestep in even strides: t_i = rint(T -
   * i·T/n) - 1, halves to even} For T = 1000 and n = 5: 999, 799, 599, 399, 199.
   *
   * @param n number of timesteps, in [1, T]
   */
  static Spacing trailing(int n) {
    checkCount(n);
    return schedule -> {
      long trainTimesteps = checkFits(n, schedule);
      return plan(n, i -> Math.rint((double) (trainTimesteps * (n - i)) / n) - 1);
    };
  }

  /**
   * {@return plans that go down to timestep 0 in strides of ⌊T/n⌋} For T = 1000 and n = 5: 800,
   * 600, 400, 200, 0.
   *
   * @param n number of timesteps, in [2, T]: one alone would be timestep 0, where nothing is left
   *     to remove
   */
  static Spacing leading(int n) {
    checkCount(n);
    checkArgument(
        n > 1, "leading spacing needs at least 2 steps, got %s: its one timestep would be 0", n);
    return schedule -> {
      int stride = checkFits(n, schedule) / n;
      return plan(n, i -> stride * (n - 1 - i));
    };
  }

  /**
   * {@return plans that have both ends and are even between them: t_i = rint((n-1-i)·(T-1)/(n-1)),
   * halves to even} For T = 1000 and n = 5: 999, 749, 500, 250, 0.
   *
   * @param n number of timesteps, in [2, T]: one alone would be timestep 0, where nothing is left
   *     to remove
   */
  static Spacing linspace(int n) {
    checkCount(n);
    checkArgument(
        n > 1, "linspace spacing needs at least 2 steps, got %s: its one timestep would be 0", n);
    return schedule -> {
      long last = checkFits(n, schedule) - 1L;
      return plan(n, i -> Math.rint((double) ((n - 1 - i) * last) / (n - 1)));
    };
  }

  /**
   * {@return plans that go down from the last training timestep by a power: t_i = T·((n-i)/n)^p -
   * 1, not rounded} With p = 1 this is {@link #trailing} but for the rounding; below, more steps go
   * to where there is much noise and the picture is decided, above, to where there is little. For T
   * = 1000, n = 5 and p = 0.5: 999, 893.4, 773.6, 631.5, 446.2.
   *
   * @param n number of timesteps, in [1, T]
   * @param exponent p, above 0; with more than 1, n^p must be at most T, so that the last timestep
   *     is not below 0
   */
  static Spacing power(int n, double exponent) {
    checkCount(n);
    checkArgument(
        exponent > 0 && Double.isFinite(exponent),
        "the exponent of a spacing must be above 0, got %s",
        exponent);
    return schedule -> {
      int trainTimesteps = checkFits(n, schedule);
      checkArgument(
          Math.pow(n, exponent) <= trainTimesteps,
          "with exponent %s the last of %s timesteps would be below 0",
          String.valueOf(exponent),
          n);
      // What is 0 may be rounded to below.
      double[] plan =
          plan(n, i -> Math.max(0, trainTimesteps * Math.pow((double) (n - i) / n, exponent) - 1));
      return explicit(plan).timesteps(schedule);
    };
  }

  /**
   * {@return plans whose noise levels σ are even in σ^(1/7), so that most steps go to where there
   * is little noise (Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based
   * Generative Models", eq. 5 with their ρ = 7)} They go from the σ of timestep T-1 to that of
   * timestep 0, and are between whole timesteps. A schedule with zero terminal SNR, where σ is
   * infinite, has none.
   *
   * @param n number of timesteps, in [1, T]
   */
  static Spacing karras(int n) {
    return evenly(n, sigma -> Math.pow(sigma, 1 / 7.0), root -> Math.pow(root, 7));
  }

  /**
   * {@return plans whose noise levels σ are even in log σ, and so in the logarithm of the
   * signal-to-noise ratio (Lu et al. 2022, "DPM-Solver: A Fast ODE Solver for Diffusion
   * Probabilistic Model Sampling in Around 10 Steps", section 3.4)} They go from the σ of timestep
   * T-1 to that of timestep 0, and are between whole timesteps. A schedule with zero terminal SNR,
   * where σ is infinite, has none.
   *
   * @param n number of timesteps, in [1, T]
   */
  static Spacing exponential(int n) {
    return evenly(n, Math::log, Math::exp);
  }

  /**
   * {@return the plan of exactly these timesteps}
   *
   * @param timesteps at least one, strictly falling, each in [0, T-1]; whole or fractional
   */
  static Spacing explicit(double... timesteps) {
    double[] plan = timesteps.clone();
    checkArgument(plan.length > 0, "explicit spacing needs at least 1 timestep, got none");
    checkArgument(
        plan[plan.length - 1] >= 0, "timesteps must be at least 0, got %s", plan[plan.length - 1]);
    for (int i = 1; i < plan.length; i++) {
      checkArgument(
          plan[i] < plan[i - 1],
          "timesteps must fall strictly, got %s after %s",
          plan[i],
          plan[i - 1]);
    }
    return schedule -> {
      checkArgument(
          plan[0] <= schedule.timesteps() - 1,
          "timesteps must be at most %s, got %s",
          schedule.timesteps() - 1,
          String.valueOf(plan[0]));
      return plan.clone();
    };
  }

  /**
   * Makes plans whose noise levels are even in a function of σ.
   *
   * @param inverse of the function
   */
  private static Spacing evenly(int n, DoubleUnaryOperator function, DoubleUnaryOperator inverse) {
    checkCount(n);
    return schedule -> {
      int last = checkFits(n, schedule) - 1;
      checkArgument(
          !schedule.isZeroTerminalSnr(),
          "a spacing of noise levels needs a finite one at timestep %s, but the schedule has zero SNR there; use a"
              + " spacing of timesteps",
          last);
      double from = function.applyAsDouble(schedule.sigma(last));
      double to = function.applyAsDouble(schedule.sigma(0));
      return plan(
          n,
          i -> {
            double part = n == 1 ? 0 : (double) i / (n - 1);
            return schedule.timestepOf(inverse.applyAsDouble(from + part * (to - from)));
          });
    };
  }

  private static double[] plan(int n, IntToDoubleFunction timestep) {
    return IntStream.range(0, n).mapToDouble(timestep).toArray();
  }

  private static void checkCount(int n) {
    checkArgument(n >= 1, "steps must be at least 1, got %s", n);
  }

  /** Returns T, if it has so many. */
  private static int checkFits(int n, BetaSchedule schedule) {
    checkArgument(
        n <= schedule.timesteps(),
        "steps must be in [1, %s], the model's training timesteps, got %s",
        schedule.timesteps(),
        n);
    return schedule.timesteps();
  }
}

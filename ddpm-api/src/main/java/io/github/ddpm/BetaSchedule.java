package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.IntToDoubleFunction;

/**
 * How much of the image is left at each training timestep: the table of ᾱ_t = Π_{s≤t} (1 - β_s), in
 * double.
 *
 * <p>A noisy image is {@code x = √ᾱ·x0 + √(1-ᾱ)·ε} (Ho et al. 2020, "Denoising Diffusion
 * Probabilistic Models", eq. 4). Timesteps run from 0 (almost clean) to {@code timesteps() - 1}
 * (almost noise).
 *
 * <p>A schedule never changes. Two schedules are equal when they have the same name and the same
 * table.
 */
public final class BetaSchedule {
  /** Training timesteps when none are given: Ho et al. 2020, section 4. */
  public static final int DEFAULT_TIMESTEPS = 1000;

  private static final double MAX_BETA = 0.999;

  private final String name;
  private final OptionalDouble betaStart;
  private final OptionalDouble betaEnd;
  private final Optional<BetaSchedule> rescaled;
  private final double[] betas;
  private final double[] alphaBar;

  private BetaSchedule(
      String name,
      OptionalDouble betaStart,
      OptionalDouble betaEnd,
      Optional<BetaSchedule> rescaled,
      double[] betas,
      double[] alphaBar) {
    this.name = name;
    this.betaStart = betaStart;
    this.betaEnd = betaEnd;
    this.rescaled = rescaled;
    this.betas = betas;
    this.alphaBar = alphaBar;
  }

  /** {@return a {@linkplain #linear(int) linear} schedule with 1000 timesteps} */
  public static BetaSchedule linear() {
    return linear(DEFAULT_TIMESTEPS);
  }

  /**
   * {@return a schedule with β evenly spaced from 1e-4 to 0.02 (Ho et al. 2020, section 4); the
   * range stays the same for any number of timesteps}
   *
   * @param timesteps at least 1
   */
  public static BetaSchedule linear(int timesteps) {
    return linear(timesteps, 1e-4, 0.02);
  }

  /**
   * {@return a schedule with β evenly spaced}
   *
   * @param timesteps at least 1
   * @param start β_0, in (0, 1)
   * @param end β_{T-1}, in (0, 1)
   */
  public static BetaSchedule linear(int timesteps, double start, double end) {
    checkBeta("start", start);
    checkBeta("end", end);
    return fromBetas("linear", start, end, timesteps, t -> evenly(start, end, t, timesteps));
  }

  /**
   * {@return a schedule with √β evenly spaced (latent diffusion, Rombach et al. 2022)}
   *
   * @param timesteps at least 1
   * @param start β_0, in (0, 1)
   * @param end β_{T-1}, in (0, 1)
   */
  public static BetaSchedule scaledLinear(int timesteps, double start, double end) {
    checkBeta("start", start);
    checkBeta("end", end);
    return fromBetas(
        "scaled_linear",
        start,
        end,
        timesteps,
        t -> {
          double root = evenly(Math.sqrt(start), Math.sqrt(end), t, timesteps);
          return root * root;
        });
  }

  /** {@return a {@linkplain #cosine(int) cosine} schedule with 1000 timesteps} */
  public static BetaSchedule cosine() {
    return cosine(DEFAULT_TIMESTEPS);
  }

  /**
   * {@return a schedule whose ᾱ follows a squared cosine with offset 0.008, each β at most 0.999
   * (Nichol and Dhariwal 2021, "Improved Denoising Diffusion Probabilistic Models", eq. 17)}
   *
   * @param timesteps at least 1
   */
  public static BetaSchedule cosine(int timesteps) {
    return fromBetas(
        "squaredcos_cap_v2",
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        timesteps,
        t -> Math.min(1 - cosineSquared(t + 1, timesteps) / cosineSquared(t, timesteps), MAX_BETA));
  }

  /**
   * {@return a schedule whose β rises as the logistic function does between -6 and 6: slowly, fast,
   * slowly (Xu et al. 2022, "GeoDiff", as diffusers has it)}
   *
   * @param timesteps at least 1
   * @param start β before the rise, in (0, 1)
   * @param end β after the rise, in (0, 1)
   */
  public static BetaSchedule sigmoid(int timesteps, double start, double end) {
    checkBeta("start", start);
    checkBeta("end", end);
    return fromBetas(
        "sigmoid",
        start,
        end,
        timesteps,
        t -> start + (end - start) / (1 + Math.exp(-evenly(-6, 6, t, timesteps))));
  }

  /**
   * {@return a schedule whose signal-to-noise ratio has a logarithm that follows a Laplace
   * distribution, so that most timesteps are where it is about 0 (Hang et al. 2024, "Improved Noise
   * Schedule for Diffusion Training", table 1)} As in diffusers, whose models are trained with it,
   * ᾱ is the square root of the share of the signal, and each β is at most 0.999.
   *
   * @param timesteps at least 1
   */
  public static BetaSchedule laplace(int timesteps) {
    return fromBetas(
        "laplace",
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        timesteps,
        t -> Math.min(1 - laplaceSignal(t + 1, timesteps) / laplaceSignal(t, timesteps), MAX_BETA));
  }

  /**
   * {@return a schedule of any table of β}
   *
   * @param betas β_0 … β_{T-1}, each in (0, 1)
   */
  public static BetaSchedule of(double... betas) {
    double[] copy = betas.clone();
    for (int t = 0; t < copy.length; t++) {
      checkBeta("betas[" + t + "]", copy[t]);
    }
    return fromBetas(
        "trained_betas", OptionalDouble.empty(), OptionalDouble.empty(), copy.length, t -> copy[t]);
  }

  /**
   * {@return this schedule with √ᾱ shifted and scaled so that the last timestep is noise alone,
   * ᾱ_{T-1} = 0, and the first is as before (Lin et al. 2024, "Common Diffusion Noise Schedules and
   * Sample Steps are Flawed", algorithm 1)} A model that predicts ε can't be used with it: at the
   * last timestep ε says nothing of the image.
   *
   * @throws IllegalArgumentException if there is only one timestep
   */
  public BetaSchedule zeroTerminalSnr() {
    if (isZeroTerminalSnr()) {
      return this;
    }
    checkArgument(
        timesteps() > 1, "zero terminal SNR needs at least 2 timesteps, got %s", timesteps());
    double first = Math.sqrt(alphaBar[0]);
    double last = Math.sqrt(alphaBar[timesteps() - 1]);
    double[] table =
        Arrays.stream(alphaBar)
            .map(value -> (Math.sqrt(value) - last) * first / (first - last))
            .map(signal -> signal * signal)
            .toArray();
    double[] betas = new double[table.length];
    for (int t = 0; t < betas.length; t++) {
      betas[t] = 1 - table[t] / (t == 0 ? 1 : table[t - 1]);
    }
    return new BetaSchedule(name, betaStart, betaEnd, Optional.of(this), betas, table);
  }

  /**
   * {@return the name in a diffusers {@code scheduler_config.json}, such as {@code linear} or
   * {@code squaredcos_cap_v2}}
   */
  public String name() {
    return name;
  }

  /**
   * {@return β_0 of a schedule that is defined by a range, before {@link #zeroTerminalSnr()};
   * otherwise empty}
   */
  public OptionalDouble betaStart() {
    return betaStart;
  }

  /**
   * {@return β_{T-1} of a schedule that is defined by a range, before {@link #zeroTerminalSnr()};
   * otherwise empty}
   */
  public OptionalDouble betaEnd() {
    return betaEnd;
  }

  /** {@return whether the last timestep is noise alone} */
  public boolean isZeroTerminalSnr() {
    return rescaled.isPresent();
  }

  /**
   * {@return the schedule that {@link #zeroTerminalSnr()} was called on; this one if it was not}
   */
  public BetaSchedule beforeZeroTerminalSnr() {
    return rescaled.orElse(this);
  }

  /** {@return the number of training timesteps T} */
  public int timesteps() {
    return alphaBar.length;
  }

  /** Returns the schedule of the first timesteps alone, in [1, T], those with the least noise. */
  BetaSchedule first(int timesteps) {
    return timesteps == timesteps()
        ? this
        : new BetaSchedule(
            name,
            betaStart,
            betaEnd,
            Optional.empty(),
            Arrays.copyOf(betas, timesteps),
            Arrays.copyOf(alphaBar, timesteps));
  }

  /** {@return β_0 … β_{T-1}, as ᾱ has them: β_t = 1 - ᾱ_t/ᾱ_{t-1}} */
  public double[] betas() {
    return betas.clone();
  }

  /**
   * {@return ᾱ at a timestep, in [0, 1)} Between two whole timesteps the logarithm of the
   * signal-to-noise ratio is linear; beside a timestep without signal, where that is infinite, √ᾱ
   * is.
   *
   * @param timestep in [0, T-1]
   */
  public double alphaBar(double timestep) {
    checkTimestep(timestep);
    int below = (int) timestep;
    double part = timestep - below;
    if (part == 0) {
      return alphaBar[below];
    }
    double low = alphaBar[below];
    double high = alphaBar[below + 1];
    if (high == 0) {
      double signal = (1 - part) * Math.sqrt(low);
      return signal * signal;
    }
    double logSnr = (1 - part) * Math.log(low / (1 - low)) + part * Math.log(high / (1 - high));
    return 1 / (1 + Math.exp(-logSnr));
  }

  /**
   * {@return how many times as strong as the image the noise is at a timestep: σ = √((1-ᾱ)/ᾱ), the
   * noise level of Karras et al. 2022, infinite at zero SNR}
   *
   * @param timestep in [0, T-1]
   */
  public double sigma(double timestep) {
    double alphaBar = alphaBar(timestep);
    return Math.sqrt((1 - alphaBar) / alphaBar);
  }

  /**
   * {@return the timestep that has a noise level: the inverse of {@link #sigma}, mostly between two
   * whole timesteps}
   *
   * @param sigma above 0; below that of timestep 0 it is taken for that one, and beyond that of
   *     timestep T-1 for this one
   */
  public double timestepOf(double sigma) {
    checkArgument(sigma > 0, "sigma must be above 0, got %s", sigma);
    int last = timesteps() - 1;
    if (sigma >= sigma(last)) {
      return last;
    }
    int below = 0;
    int above = last;
    while (above - below > 1) {
      int middle = (below + above) >>> 1;
      if (sigma(middle) <= sigma) {
        below = middle;
      } else {
        above = middle;
      }
    }
    double low = sigma(below);
    double high = sigma(above);
    double part =
        Double.isInfinite(high)
            ? 1 - Math.sqrt((1 + low * low) / (1 + sigma * sigma))
            : Math.log(sigma / low) / Math.log(high / low);
    return below + Math.max(0, part);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof BetaSchedule that
        && name.equals(that.name)
        && Arrays.equals(alphaBar, that.alphaBar);
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, Arrays.hashCode(alphaBar));
  }

  @Override
  public String toString() {
    return name
        + "["
        + timesteps()
        + (isZeroTerminalSnr() ? " timesteps, zero terminal SNR]" : " timesteps]");
  }

  private static BetaSchedule fromBetas(
      String name, double start, double end, int timesteps, IntToDoubleFunction beta) {
    return fromBetas(name, OptionalDouble.of(start), OptionalDouble.of(end), timesteps, beta);
  }

  private static BetaSchedule fromBetas(
      String name,
      OptionalDouble start,
      OptionalDouble end,
      int timesteps,
      IntToDoubleFunction beta) {
    checkArgument(timesteps >= 1, "a schedule needs at least 1 timestep, got %s", timesteps);
    double[] betas = new double[timesteps];
    double[] alphaBar = new double[timesteps];
    double product = 1;
    for (int t = 0; t < timesteps; t++) {
      betas[t] = beta.applyAsDouble(t);
      product *= 1 - betas[t];
      checkArgument(
          product > 0 && product < 1,
          "the product of 1 - beta must stay in (0, 1), got %s at timestep %s",
          String.valueOf(product),
          t);
      alphaBar[t] = product;
    }
    return new BetaSchedule(name, start, end, Optional.empty(), betas, alphaBar);
  }

  private static double evenly(double start, double end, int t, int timesteps) {
    return timesteps == 1 ? start : start + (end - start) * t / (timesteps - 1);
  }

  private static double cosineSquared(int t, int timesteps) {
    double cosine = Math.cos(((double) t / timesteps + 0.008) / 1.008 * Math.PI / 2);
    return cosine * cosine;
  }

  private static double laplaceSignal(int t, int timesteps) {
    double fromMiddle = 0.5 - (double) t / timesteps;
    double logSnr =
        -0.5 * Math.copySign(1, fromMiddle) * Math.log(1 - 2 * Math.abs(fromMiddle) + 1e-6);
    double snr = Math.exp(logSnr);
    return Math.sqrt(snr / (1 + snr));
  }

  /** Refuses what is not in [0, T-1]. */
  void checkTimestep(double timestep) {
    checkArgument(
        timestep >= 0 && timestep <= timesteps() - 1,
        "timestep must be in [0, %s], got %s",
        timesteps() - 1,
        String.valueOf(timestep));
  }

  private static void checkBeta(String what, double beta) {
    checkArgument(beta > 0 && beta < 1, "%s must be in (0, 1), got %s", what, beta);
  }
}

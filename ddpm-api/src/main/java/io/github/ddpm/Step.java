package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * One row of a sampler's table: everything that happens between one call of the network and the
 * next.
 *
 * <p>A row is not a timestep of the plan: most solvers make one row of each timestep, but a solver
 * may need several, so a table for n timesteps has n rows or more.
 *
 * <p>With x the current noisy image, out what the network makes of it at {@link #timestep}, and z
 * fresh N(0, 1) noise:
 *
 * <pre>
 *   x0   = clip(x0FromX·x + x0FromOut·out)
 *   x'   = fromX·x + fromOut·out + fromX0·x0
 *          + fromPrevious·kept[-1] + fromOlder·kept[-2] + fromOldest·kept[-3] + fromNoise·z
 *   kept = keptFromX·x + keptFromX0·x0
 * </pre>
 *
 * where kept[-1], kept[-2] and kept[-3] are what one, two and three rows ago kept (zero before
 * there were any). Most solvers keep x0; those that work on the noise keep ε = (x -
 * signal·x0)/noise. Every solver that is linear in these is a table of such rows, so whoever runs
 * them needs to know neither the solver nor the prediction type.
 *
 * @param timestep what the network is called with, in [0, T-1]; whole or fractional
 * @param signal √ᾱ of x, the weight of the image in it, in [0, 1)
 * @param noise √(1-ᾱ) of x, the weight of the noise in it, in (0, 1]
 * @param x0FromX weight of x in the estimate of the image
 * @param x0FromOut weight of the network's output in the estimate of the image
 * @param fromX weight of x in the next x
 * @param fromOut weight of the network's output in the next x
 * @param fromX0 weight of this row's clipped estimate of the image in the next x
 * @param fromPrevious weight of what one row ago kept
 * @param fromOlder weight of what two rows ago kept
 * @param fromOldest weight of what three rows ago kept
 * @param fromNoise weight of fresh noise, at least 0, because the noise has no sign; 0 where the
 *     row is deterministic
 * @param keptFromX weight of x in what is kept for the next rows
 * @param keptFromX0 weight of this row's clipped estimate of the image in it
 */
public record Step(
    double timestep,
    double signal,
    double noise,
    double x0FromX,
    double x0FromOut,
    double fromX,
    double fromOut,
    double fromX0,
    double fromPrevious,
    double fromOlder,
    double fromOldest,
    double fromNoise,
    double keptFromX,
    double keptFromX0) {

  /**
   * Checks that every weight is finite and in its range. A row doesn't know T: whether the timestep
   * is too large, {@link Predictor#denoise} checks.
   *
   * @param timestep at least 0
   * @param signal in [0, 1)
   * @param noise in (0, 1]
   * @param x0FromX finite
   * @param x0FromOut finite
   * @param fromX finite
   * @param fromOut finite
   * @param fromX0 finite
   * @param fromPrevious finite
   * @param fromOlder finite
   * @param fromOldest finite
   * @param fromNoise finite, at least 0
   * @param keptFromX finite
   * @param keptFromX0 finite
   * @throws IllegalArgumentException if one is not
   */
  public Step {
    double sum =
        timestep
            + signal
            + noise
            + x0FromX
            + x0FromOut
            + fromX
            + fromOut
            + fromX0
            + fromPrevious
            + fromOlder
            + fromOldest
            + keptFromX
            + keptFromX0;
    checkArgument(
        Double.isFinite(sum + fromNoise),
        "every weight of a step must be finite at timestep %s",
        timestep);
    checkArgument(timestep >= 0, "timestep must be at least 0, got %s", timestep);
    checkArgument(signal >= 0 && signal < 1, "signal must be in [0, 1), got %s", signal);
    checkArgument(noise > 0 && noise <= 1, "noise must be in (0, 1], got %s", noise);
    checkArgument(fromNoise >= 0, "fromNoise must be at least 0, got %s", fromNoise);
  }

  /**
   * {@return a row that only estimates the image, and keeps that: it has the weights of x and out
   * in x0 for that prediction type, and all of the next x are 0}
   *
   * <p>From x = signal·x0 + noise·ε and out = p·ε + q·x0 follows x0 = (p·x - noise·out)/(signal·p -
   * noise·q).
   *
   * @param timestep in [0, T-1]
   * @param alphaBar ᾱ there, in [0, 1)
   * @param type what the network predicts
   * @throws IllegalArgumentException for {@link PredictionType#EPSILON} where ᾱ is 0
   */
  public static Step at(double timestep, double alphaBar, PredictionType type) {
    checkArgument(alphaBar >= 0 && alphaBar < 1, "alphaBar must be in [0, 1), got %s", alphaBar);
    double signal = Math.sqrt(alphaBar);
    double noise = Math.sqrt(1 - alphaBar);
    type.checkSignal(signal, timestep);
    double p = type.fromNoise(signal, noise);
    double q = type.fromX0(signal, noise);
    double determinant = signal * p - noise * q;
    double fromX = p / determinant;
    double fromOut = -noise / determinant;
    return new Step(timestep, signal, noise, fromX, fromOut, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  }

  /**
   * {@return this row with the network called at another timestep, for instance a whole one}
   *
   * @param other at least 0, whole or fractional
   */
  public Step calledAt(double other) {
    return new Step(
        other,
        signal,
        noise,
        x0FromX,
        x0FromOut,
        fromX,
        fromOut,
        fromX0,
        fromPrevious,
        fromOlder,
        fromOldest,
        fromNoise,
        keptFromX,
        keptFromX0);
  }

  /**
   * {@return this row with the next x made of x, of this row's estimate of the image, and of fresh
   * noise}
   *
   * @param fromX weight of x
   * @param fromX0 weight of the clipped estimate of the image
   * @param fromNoise weight of the noise, at least 0
   */
  public Step to(double fromX, double fromX0, double fromNoise) {
    return toMultistep(fromX, fromNoise, new double[] {fromX0});
  }

  /**
   * Returns this row with the next x made of x, of fresh noise, and of this row's estimate of the
   * image and what rows before it kept.
   *
   * @param weights {@link #fromX0}, {@link #fromPrevious}, {@link #fromOlder} and {@link
   *     #fromOldest}, as many as are not 0
   */
  Step toMultistep(double fromX, double fromNoise, double[] weights) {
    double[] all = Arrays.copyOf(weights, 4);
    return new Step(
        timestep,
        signal,
        noise,
        x0FromX,
        x0FromOut,
        fromX,
        0,
        all[0],
        all[1],
        all[2],
        all[3],
        fromNoise,
        keptFromX,
        keptFromX0);
  }

  /**
   * Returns this row with the next x made of x, and of ε: the one that this row's estimate of the
   * image leaves in x, which is kept, and those that rows before it kept.
   *
   * @param weights of ε, newest first, at least 1
   */
  Step toByNoise(double ofX, double... weights) {
    double[] all = weights.clone();
    double ofNoise = weights[0] / noise;
    all[0] = -ofNoise * signal;
    return toMultistep(ofX + ofNoise, 0, all).keepingNoise();
  }

  /**
   * Returns this row with the next x made of x, of the ε that the network's output says, of this
   * row's estimate of the image, and of fresh noise: ε = (signal·out - q·x)/(signal·p - noise·q),
   * of out = p·ε + q·x0.
   */
  Step toByOutput(
      PredictionType type, double ofX, double ofEpsilon, double fromX0, double fromNoise) {
    double p = type.fromNoise(signal, noise);
    double q = type.fromX0(signal, noise);
    double ofOutput = ofEpsilon / (signal * p - noise * q);
    return new Step(
        timestep,
        signal,
        noise,
        x0FromX,
        x0FromOut,
        ofX - ofOutput * q,
        ofOutput * signal,
        fromX0,
        0,
        0,
        0,
        fromNoise,
        keptFromX,
        keptFromX0);
  }

  /** {@return this row with the noise ε that its estimate of the image leaves in x kept} */
  public Step keepingNoise() {
    return keeping(1 / noise, -signal / noise);
  }

  /** Returns this row with something else kept, of x and of its estimate of the image. */
  Step keeping(double ofX, double ofX0) {
    return new Step(
        timestep,
        signal,
        noise,
        x0FromX,
        x0FromOut,
        fromX,
        fromOut,
        fromX0,
        fromPrevious,
        fromOlder,
        fromOldest,
        fromNoise,
        ofX,
        ofX0);
  }

  /** {@return whether the next rows are to have the estimate of the image itself} */
  public boolean keepsX0() {
    return keptFromX == 0 && keptFromX0 == 1;
  }
}

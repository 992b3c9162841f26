package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

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
 *   x0 = clip(x0FromX·x + x0FromOut·out)
 *   x' = fromX·x + fromOut·out + fromX0·x0 + fromPreviousX0·x0[-1] + fromOlderX0·x0[-2] + fromNoise·z
 * </pre>
 *
 * where x0[-1] and x0[-2] are the x0 of one and of two rows ago (zero before there were any). Every
 * solver that is linear in these is a table of such rows, so whoever runs them needs to know
 * neither the solver nor the prediction type.
 *
 * @param timestep what the network is called with, in [0, T-1]; whole or fractional
 * @param signal √ᾱ of x, the weight of the image in it, in [0, 1)
 * @param noise √(1-ᾱ) of x, the weight of the noise in it, in (0, 1]
 * @param x0FromX weight of x in the estimate of the image
 * @param x0FromOut weight of the network's output in the estimate of the image
 * @param fromX weight of x in the next x
 * @param fromOut weight of the network's output in the next x
 * @param fromX0 weight of this row's clipped estimate of the image in the next x
 * @param fromPreviousX0 weight of the estimate one row ago
 * @param fromOlderX0 weight of the estimate two rows ago
 * @param fromNoise weight of fresh noise, at least 0, because the noise has no sign; 0 where the
 *     row is deterministic
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
    double fromPreviousX0,
    double fromOlderX0,
    double fromNoise) {

  /**
   * Checks that every weight is finite and in its range above. A row doesn't know T: whether the
   * timestep is too large, {@link Predictor#denoise} checks.
   *
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
            + fromPreviousX0
            + fromOlderX0;
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
   * Makes a row that only estimates the image: it has the weights of x and out in x0 for that
   * prediction type, and all others are 0.
   *
   * <p>From x = signal·x0 + noise·ε and out = p·ε + q·x0 follows x0 = (p·x - noise·out)/(signal·p -
   * noise·q).
   *
   * @param timestep in [0, T-1]
   * @param alphaBar ᾱ there, in [0, 1)
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
    return new Step(
        timestep, signal, noise, p / determinant, -noise / determinant, 0, 0, 0, 0, 0, 0);
  }

  /**
   * Returns this row with the next x made of x, of this row's estimate of the image, and of fresh
   * noise.
   */
  public Step to(double fromX, double fromX0, double fromNoise) {
    return to(fromX, fromX0, 0, fromNoise);
  }

  /**
   * Returns this row with the next x made of x, of the estimates of this row and of the one before
   * it, and of fresh noise.
   */
  public Step to(double fromX, double fromX0, double fromPreviousX0, double fromNoise) {
    return new Step(
        timestep,
        signal,
        noise,
        x0FromX,
        x0FromOut,
        fromX,
        0,
        fromX0,
        fromPreviousX0,
        0,
        fromNoise);
  }
}

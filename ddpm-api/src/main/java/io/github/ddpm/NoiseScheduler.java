package io.github.ddpm;

import java.util.List;

/**
 * A solver: it turns a schedule and a plan of timesteps into rows of numbers, once, in double.
 * Running the rows is somebody else's work ({@link Predictor#denoise}).
 *
 * <p>A new solver is a function that returns rows; implement this interface and hand it to {@link
 * Sampler#of}.
 */
@FunctionalInterface
public interface NoiseScheduler {
  /**
   * Makes the table for a plan.
   *
   * @param schedule the model's schedule
   * @param type what the model predicts
   * @param timesteps strictly falling, in [0, T-1], at least one; the row after the last one would
   *     have ᾱ = 1
   * @return rows in the order they are run; a solver may need more than one for a timestep
   * @throws IllegalArgumentException if the solver can't do it, for instance for {@link
   *     PredictionType#EPSILON} at a timestep without signal
   */
  List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps);

  /**
   * Returns the number of timesteps when the user asks for none.
   *
   * @param trainTimesteps T, the model's training timesteps
   * @return in [1, T]
   * @implSpec The default is 50, or T if that is less.
   */
  default int defaultSteps(int trainTimesteps) {
    return Math.min(50, trainTimesteps);
  }

  /**
   * Returns the plan when the user asks for a number of timesteps and no more.
   *
   * @param n number of timesteps, at least 1
   * @param model what is sampled
   * @implSpec The default is spaced {@linkplain ModelInfo#spacing as suits the model}, evenly
   *     unless that says otherwise.
   */
  default Spacing spacing(int n, ModelInfo model) {
    return model.spacing(n);
  }

  /**
   * Makes a solver of DDIM (Song et al. 2021, "Denoising Diffusion Implicit Models", eq. 12), with
   * ε re-derived from the clipped x0, so that η = 1 is DDPM whether anything was clipped or not.
   *
   * @param eta share of DDPM's variance, in [0, 1]: σ² = η·β̃. 0 is deterministic, 1 is {@link
   *     #ddpm()}. The paper's η (and diffusers') multiplies σ, so it is the square root of this
   *     one.
   */
  static NoiseScheduler ddim(double eta) {
    return new Ddim(eta);
  }

  /**
   * Makes a solver of DPM-Solver++(2M) (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided
   * Sampling of Diffusion Probabilistic Models", algorithm 2). It adds no noise and is of second
   * order, so that few steps do what takes {@link #ddim DDIM} several times as many. A step costs
   * the same; by default there are 20.
   */
  static NoiseScheduler dpmSolver() {
    return new DpmSolver();
  }

  /**
   * Makes a solver of DDPM (Ho et al. 2020, eq. 6 and 7) with the posterior variance β̃, by default
   * on all of the model's timesteps.
   */
  static NoiseScheduler ddpm() {
    return new Ddpm(false);
  }

  /**
   * Makes a solver of DDPM with the larger of the variances that Ho et al. 2020 (section 3.2)
   * allow, σ² = β.
   */
  static NoiseScheduler ddpmLarge() {
    return new Ddpm(true);
  }
}

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
   * {@return the fewest timesteps that a plan may have, for instance as many as a multistep solver
   * uses estimates} A {@linkplain Sampler#from strength} may leave fewer of them to visit, which
   * {@link #steps} makes rows of too.
   *
   * @implSpec The default is 1.
   */
  default int leastSteps() {
    return 1;
  }

  /**
   * {@return the plan when the user asks for a number of timesteps and no more}
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
   * {@return a solver of DDIM (Song et al. 2021, "Denoising Diffusion Implicit Models", eq. 12),
   * with ε re-derived from the clipped x0, so that η = 1 is DDPM whether anything was clipped or
   * not}
   *
   * @param eta share of DDPM's variance, in [0, 1]: σ² = η·β̃. 0 is deterministic, 1 is {@link
   *     #ddpm()}. The paper's η (and diffusers') multiplies σ, so it is the square root of this
   *     one.
   */
  static NoiseScheduler ddim(double eta) {
    return ddim(eta, true, true);
  }

  /**
   * {@return a solver of DDIM with the options of diffusers}
   *
   * @param eta as {@link #ddim(double)} has it
   * @param useClippedModelOutput whether ε is re-derived from the clipped x0, or goes on as the
   *     network has it
   * @param toImage whether the last step goes to the image, or to the noise of timestep 0; {@code
   *     set_alpha_to_one} there
   */
  static NoiseScheduler ddim(double eta, boolean useClippedModelOutput, boolean toImage) {
    return new Ddim(eta, useClippedModelOutput, toImage);
  }

  /**
   * {@return a solver of Euler's method for the probability flow ODE of Karras et al. 2022 ("euler"
   * in k-diffusion)} It is {@link #ddim ddim(0)}, as their ancestral method is ddim(1): the two
   * differ in what they call x.
   */
  static NoiseScheduler euler() {
    return ddim(0);
  }

  /**
   * {@return a solver of Heun's method for the same ODE (Karras et al. 2022, "Elucidating the
   * Design Space of Diffusion-Based Generative Models", algorithm 1), which is of second order} It
   * calls the network twice for a timestep, but for the last. By default there are 20 timesteps.
   */
  static NoiseScheduler heun() {
    return new Heun();
  }

  /** {@return a solver of DPM-Solver++ of second order; see {@link #dpmSolver(int)}} */
  static NoiseScheduler dpmSolver() {
    return dpmSolver(2);
  }

  /**
   * {@return a solver of DPM-Solver++ (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided
   * Sampling of Diffusion Probabilistic Models", algorithm 2)} It adds no noise, and its order
   * makes few steps do what takes {@link #ddim DDIM} several times as many. A step costs the same;
   * by default there are 20.
   *
   * @param order 1 to 3; plans have at least as many timesteps. 1 is ddim(0)
   */
  static NoiseScheduler dpmSolver(int order) {
    return new DpmSolver(order, false, true, true, true);
  }

  /**
   * {@return a solver of DPM-Solver++ that makes all estimates of a step itself, of second order
   * (Lu et al. 2022, algorithm 1)} As the network is called as often, it goes in half as many
   * steps, twice as long, from noise to image. By default there are 20 calls.
   */
  static NoiseScheduler dpmSolverSinglestep() {
    return new DpmSolverSinglestep(2, true, true, true);
  }

  /** {@return a solver of SDE-DPM-Solver++ of second order; see {@link #dpmSolverSde(int)}} */
  static NoiseScheduler dpmSolverSde() {
    return dpmSolverSde(2);
  }

  /**
   * {@return a solver of SDE-DPM-Solver++ (Lu et al. 2022, appendix E), which adds noise as {@link
   * #ddpm DDPM} does} By default there are 20 timesteps.
   *
   * @param order 1 to 3; plans have at least as many timesteps. 1 is DDPM
   */
  static NoiseScheduler dpmSolverSde(int order) {
    return new DpmSolver(order, true, true, true, true);
  }

  /** {@return a solver of UniPC of second order; see {@link #uniPc(int)}} */
  static NoiseScheduler uniPc() {
    return uniPc(2);
  }

  /**
   * {@return a solver of UniPC (Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework
   * for Fast Sampling of Diffusion Models"): DPM-Solver++ that corrects where it has been by what
   * it learns there} A step costs the same; by default there are 20.
   *
   * @param order 1 to 3, of the predictor; plans have at least as many timesteps. The corrector
   *     adds 1
   */
  static NoiseScheduler uniPc(int order) {
    return new UniPc(order, true, true);
  }

  /**
   * {@return a solver of DEIS (Zhang and Chen 2023, "Fast Sampling of Diffusion Models with
   * Exponential Integrator") of second order, which extrapolates ε in the logarithm of the noise}
   * By default there are 20 timesteps.
   */
  static NoiseScheduler deis() {
    return new AdamsBashforth(2, true, true, true);
  }

  /**
   * {@return a solver of the linear multistep method of k-diffusion, of fourth order, which
   * extrapolates ε in the noise level σ} By default there are 20 timesteps.
   */
  static NoiseScheduler lms() {
    return new AdamsBashforth(4, false, true, true);
  }

  /**
   * {@return a solver of PLMS (Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on
   * Manifolds"), which extrapolates ε as if the plan were even} It is of second order, and calls
   * the network once more than the plan has timesteps.
   */
  static NoiseScheduler plms() {
    return new Plms(true);
  }

  /**
   * {@return a solver that goes the other way: from an image to the noise that {@link #ddim
   * ddim(0)} makes the image of (Song et al. 2021, section 4.3)} A sampler with it {@linkplain
   * Sampler#startingAt starts at} images, and the noise that it returns is what one with ddim(0),
   * the same plan and the same clipping starts at. It can't start from noise, by a strength or
   * without images, and has nothing to paint in. Each step is turned around by one step of a fixed
   * point iteration: the more of them, the nearer the image comes back. It calls the network once
   * more than the plan has timesteps.
   */
  static NoiseScheduler ddimInverse() {
    return new DdimInverse();
  }

  /**
   * {@return a solver of {@link #ddpm DDPM} that goes back again and again, so that what is drawn
   * comes to fit what is {@linkplain Sampler#inpainting known} (Lugmayr et al. 2022, "RePaint:
   * Inpainting using Denoising Diffusion Probabilistic Models", algorithm 1; they take 250 steps,
   * the default here, jumps of 10, and 10 resamplings)}
   *
   * @param jump how many timesteps of the plan it goes back, at least 1; plans have more of them
   * @param resamplings how often it goes through each of these, at least 1, which is DDPM; rows are
   *     about as many times as many
   */
  static NoiseScheduler rePaint(int jump, int resamplings) {
    return new RePaint(jump, resamplings);
  }

  /**
   * {@return a solver of DDPM (Ho et al. 2020, eq. 6 and 7) with the posterior variance β̃, by
   * default on all of the model's timesteps}
   */
  static NoiseScheduler ddpm() {
    return new Ddpm(false);
  }

  /**
   * {@return a solver of DDPM with the larger of the variances that Ho et al. 2020 (section 3.2)
   * allow, σ² = β}
   */
  static NoiseScheduler ddpmLarge() {
    return new Ddpm(true);
  }
}

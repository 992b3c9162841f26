/**
 * Denoising diffusion: the contracts, and everything about sampling that needs no network.
 *
 * <p>{@link io.github.ddpm.Sampler} is where a user starts. The idea behind it: every solver we
 * want is linear in the noisy image, the network's output and the last few estimates of the
 * finished image, so it is a table of numbers.
 *
 * <ol>
 *   <li>A {@link io.github.ddpm.Spacing} picks the timesteps.
 *   <li>A {@link io.github.ddpm.NoiseScheduler} turns them, the model's {@link
 *       io.github.ddpm.BetaSchedule} and its {@link io.github.ddpm.PredictionType} into rows,
 *       {@link io.github.ddpm.Step}, in double.
 *   <li>A {@link io.github.ddpm.Predictor} runs the rows: it multiplies and adds, and knows of no
 *       solver.
 *   <li>{@link io.github.ddpm.Images} holds what comes out.
 * </ol>
 *
 * <h2>Notation</h2>
 *
 * x0 is the image, ε the noise, T the number of training timesteps, t in [0, T). β_t is given, α_t
 * = 1 - β_t, ᾱ_t = Π α_s; <i>signal</i> = √ᾱ and <i>noise</i> = √(1-ᾱ), so x = signal·x0 + noise·ε.
 * <i>next</i> is ᾱ at the plan's next timestep, which is less noisy; after the last one it is 1.
 *
 * <h2>Where this differs from diffusers</h2>
 *
 * <ul>
 *   <li>η scales DDIM's variance, not its standard deviation: ours is theirs squared.
 *   <li>ε is re-derived after x0 is clipped, so DDIM with η = 1 is DDPM; theirs is off by default,
 *       and stays off in {@link io.github.ddpm.Predictor#sampler} of a folder that says DDIM.
 *   <li>Sampling starts from N(0, 1) noise whatever the solver; theirs that work in σ scale it by
 *       √(1-ᾱ) at the first timestep, which is 1 but for little.
 *   <li>The third order of DPM-Solver++ is one: theirs counts half of the second difference, which
 *       leaves the second.
 *   <li>PLMS extrapolates ε whatever the model predicts: theirs extrapolates v, if that is
 *       predicted, which leaves the first order of two.
 *   <li>The next timestep is the next of the plan, not t - T/n, which need not be in it.
 *   <li>Trailing spacing has exactly n timesteps for every n. A model may ask for more of them
 *       where there is much noise, and, if it predicts ε, for none where there is no signal ({@link
 *       io.github.ddpm.ModelInfo#spacing}).
 *   <li>The last row goes to the image and adds no noise, whatever its timestep, unless a solver is
 *       told to end at the noise of timestep 0.
 *   <li>Plans and models that can't work are refused, not run.
 * </ul>
 */
package io.github.ddpm;

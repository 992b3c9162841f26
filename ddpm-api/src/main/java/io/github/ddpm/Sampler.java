package io.github.ddpm;

import java.util.function.Predicate;

/**
 * Makes images with a diffusion model.
 *
 * <pre>{@code
 * Images digits = Sampler.ddim(0).steps(50).with(model).labels(7).seed(1).sample(16);
 * }</pre>
 *
 * <p>Immutable and thread-safe: each method but {@link #sample} returns a new sampler and leaves
 * this one as it is. What doesn't fit together (more steps than the model has timesteps, a label it
 * doesn't know) is refused by the call that brings it in, with an {@link IllegalArgumentException}
 * that names the value and the rule.
 */
public interface Sampler {
  /**
   * DDIM with 50 steps.
   *
   * @param eta share of DDPM's variance, in [0, 1]: 0 is deterministic, 1 is {@link #ddpm()}. The
   *     paper's η (and diffusers') is the square root of this one; see {@link NoiseScheduler#ddim}.
   */
  static Sampler ddim(double eta) {
    return of(NoiseScheduler.ddim(eta));
  }

  /**
   * DPM-Solver++ with 20 steps, for good images in little time; see {@link
   * NoiseScheduler#dpmSolver}.
   */
  static Sampler dpmSolver() {
    return of(NoiseScheduler.dpmSolver());
  }

  /** DDPM with all of the model's timesteps; see {@link NoiseScheduler#ddpm}. */
  static Sampler ddpm() {
    return of(NoiseScheduler.ddpm());
  }

  /**
   * A sampler with that solver and its {@linkplain NoiseScheduler#defaultSteps default} number of
   * steps.
   */
  static Sampler of(NoiseScheduler scheduler) {
    return TableSampler.of(scheduler);
  }

  /**
   * The number of timesteps to visit, {@link Spacing#trailing trailing} unless the {@linkplain
   * ModelInfo#spacing model} or the {@linkplain NoiseScheduler#spacing solver} says otherwise. For
   * another spacing, or timesteps of your own, call {@link #spacing}, which replaces this.
   *
   * @param n in [1, T], the model's training timesteps
   */
  Sampler steps(int n);

  /** The timesteps to visit; replaces {@link #steps}. */
  Sampler spacing(Spacing spacing);

  /** The model. Without one, {@link Predictor#pretrained()} is used. */
  Sampler with(Predictor model);

  /**
   * What to draw: image k gets label {@code labels[k mod labels.length]}. Without labels, a model
   * that has a {@linkplain ModelInfo#nullLabel null label} is called with that for every image, so
   * it draws from all that it was trained on; a model with classes and no null label is an error.
   *
   * @param labels in [0, classes)
   */
  Sampler labels(int... labels);

  /**
   * Classifier-free guidance: {@code out_null + w·(out_label - out_null)} (Ho and Salimans 2022,
   * with their w + 1 as ours). Doubles the work.
   *
   * @param w 1 is off, more keeps closer to the label
   */
  Sampler guidance(double w);

  /**
   * Makes all randomness a function of this seed and the image's index. Without it every call draws
   * a seed.
   */
  Sampler seed(long seed);

  /**
   * Starts at image k: with the same seed, {@code first(5).sample(1)} is the sixth image of {@code
   * sample(6)}.
   *
   * @param k at least 0
   */
  Sampler first(long k);

  /**
   * Clips each estimate of the image to [-limit, limit].
   *
   * @param limit above 0; 1 by default, the range of the pixels; {@link Double#POSITIVE_INFINITY}
   *     turns it off
   */
  Sampler clip(double limit);

  /**
   * Is told after each row; when it answers {@code false}, {@link #sample} ends in a {@code
   * CancellationException}.
   */
  Sampler listener(Predicate<Progress> listener);

  /**
   * Makes images.
   *
   * @param n at least 0
   * @throws IllegalArgumentException if n is negative, or for what could not be checked before the
   *     model was known
   * @throws IllegalStateException if no model was given and none is on the class path (the message
   *     says what to add), or the model is closed
   * @throws java.util.concurrent.CancellationException if the listener asks for it
   */
  Images sample(int n);
}

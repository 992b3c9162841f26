package io.github.ddpm;

import java.util.function.Predicate;

/**
 * Makes images with a diffusion model.
 *
 * <pre>{@code
 * Images digits = Sampler.ddim(0).steps(50).with(model).labels(7).seed(1).sample(16);
 * }</pre>
 *
 * <p>A sampler never changes, so any number of threads may use one: each method but {@link #sample}
 * returns a new sampler and leaves this one as it is. What doesn't fit together (more steps than
 * the model has timesteps, a label it doesn't know) is refused by the call that brings it in, with
 * an {@link IllegalArgumentException} that names the value and the rule.
 */
public interface Sampler {
  /**
   * The label by which a network draws without being told a class, for {@link #labels} alone:
   * {@code labels(NULL_LABEL)}. In {@link Predictor#predict} it is the number of classes.
   */
  int NULL_LABEL = Integer.MIN_VALUE;

  /**
   * {@return a sampler with DDIM and 50 steps, or those that the model was {@linkplain
   * ModelInfo#steps distilled} for}
   *
   * @param eta share of DDPM's variance, in [0, 1]: 0 is deterministic, 1 is {@link #ddpm()}. The
   *     paper's η (and diffusers') is the square root of this one; see {@link NoiseScheduler#ddim}.
   */
  static Sampler ddim(double eta) {
    return of(NoiseScheduler.ddim(eta));
  }

  /**
   * {@return a sampler with DPM-Solver++ and 20 steps, for good images in little time; see {@link
   * NoiseScheduler#dpmSolver}}
   */
  static Sampler dpmSolver() {
    return of(NoiseScheduler.dpmSolver());
  }

  /**
   * {@return a sampler with DDPM and all of the model's timesteps; see {@link NoiseScheduler#ddpm}}
   */
  static Sampler ddpm() {
    return of(NoiseScheduler.ddpm());
  }

  /**
   * {@return a sampler with that solver and its {@linkplain NoiseScheduler#defaultSteps default}
   * number of steps, or, for a model that was distilled, with {@linkplain ModelInfo#steps its own}}
   * Such a model learned to land where its teacher did by {@link #ddim ddim(0)}: other solvers and
   * numbers of steps ask it what it was not taught.
   *
   * @param scheduler the solver, of this library or your own; not null
   */
  static Sampler of(NoiseScheduler scheduler) {
    return TableSampler.of(scheduler);
  }

  /**
   * Sampling visits n timesteps, which are spaced evenly, {@link Spacing#trailing trailing}, unless
   * the {@linkplain ModelInfo#spacing model} or the {@linkplain NoiseScheduler#spacing solver} says
   * otherwise. For another spacing, or timesteps of your own, call {@link #spacing}, which replaces
   * this.
   *
   * <p>A step here is a timestep of the plan. A {@link Step} is a row of the solver's table, of
   * which there may be more than one for a timestep; rows are what a {@linkplain #listener
   * listener} is told of.
   *
   * @param n in [1, T], the model's training timesteps
   * @return a sampler of n steps
   */
  Sampler steps(int n);

  /**
   * Sampling visits the timesteps of this plan; it replaces {@link #steps}.
   *
   * @param spacing makes the plan from the model's schedule; not null
   * @return a sampler with this plan
   */
  Sampler spacing(Spacing spacing);

  /**
   * This model makes the images. Without one, {@link Predictor#pretrained()} does.
   *
   * @param model what is called, by any number of threads; who opened it closes it, after the last
   *     call of {@link #sample}
   * @return a sampler of this model's images
   */
  Sampler with(Predictor model);

  /**
   * Image k gets label {@code labels[k mod labels.length]}, which says what to draw. Without
   * labels, a model draws from all that it was trained on: each image's label is {@linkplain
   * ModelInfo#labelCounts drawn} by the frequencies of the training data, if the model knows these,
   * and else it is the {@linkplain ModelInfo#nullLabel null label}; a model with classes and
   * neither is an error.
   *
   * @param labels in [0, classes), or {@link #NULL_LABEL} for a model that has a null label
   * @return a sampler of these labels
   */
  Sampler labels(int... labels);

  /**
   * Classifier-free guidance moves the network's output away from what it is without a label:
   * {@code out_null + w·(out_label - out_null)} (Ho and Salimans 2022, "Classifier-Free Diffusion
   * Guidance", with their w + 1 as ours). This doubles the work.
   *
   * @param w 1 is off, more keeps closer to the label
   * @return a sampler with this guidance
   */
  Sampler guidance(double w);

  /**
   * Guidance is limited to some noise levels; the others cost half (Kynkäänniemi et al. 2024,
   * "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion
   * Models").
   *
   * @param lowestSigma at least 0; σ = noise/signal, as {@link BetaSchedule#sigma} has it
   * @param highestSigma at least as high; infinity is no limit
   * @return a sampler that is guided at these noise levels alone
   */
  Sampler guidanceInterval(double lowestSigma, double highestSigma);

  /**
   * Guidance is kept from making images glaring: a share of its output gets back the standard
   * deviation that it has with the label alone (Lin et al. 2024, "Common Diffusion Noise Schedules
   * and Sample Steps are Flawed", section 3.4).
   *
   * @param share in [0, 1]; 0 is off, they recommend 0.7
   * @return a sampler with so much of its guidance rescaled
   */
  Sampler guidanceRescale(double share);

  /**
   * This class stands for no label, in guidance and as {@link #NULL_LABEL}, for a model that was
   * trained so but doesn't say it, as folders of diffusers can't.
   *
   * @param label in [0, classes)
   * @return a sampler with this null label
   */
  Sampler nullLabel(int label);

  /**
   * All randomness becomes a function of this seed and the image's index. Without a seed, every
   * call of {@link #sample} draws one.
   *
   * @param seed any number
   * @return a sampler of the same images at every call
   */
  Sampler seed(long seed);

  /**
   * Sampling starts at image k: with the same seed, {@code first(5).sample(1)} is the sixth image
   * of {@code sample(6)}.
   *
   * @param k at least 0
   * @return a sampler of image k and those after it
   */
  Sampler first(long k);

  /**
   * Each estimate of the image is clipped to [-limit, limit].
   *
   * @param limit above 0; 1 by default, the range of the pixels; {@link Double#POSITIVE_INFINITY}
   *     turns it off
   * @return a sampler with this limit
   */
  Sampler clip(double limit);

  /**
   * Each estimate of an image is brought below a threshold of its own, and divided by that: dynamic
   * thresholding (Saharia et al. 2022, "Photorealistic Text-to-Image Diffusion Models with Deep
   * Language Understanding", section 2.3), which keeps strong guidance from saturating pixels. It
   * replaces {@link #clip}.
   *
   * @param ratio the share of the image's values that are at most at the threshold, in (0, 1];
   *     0.995 is usual
   * @param most the threshold is in [1, most]; at least 1, which is {@code clip(1)}
   * @return a sampler with this threshold
   */
  Sampler threshold(double ratio, double most);

  /**
   * The fresh noise of each row gets the variance that the model learned for each value, with v
   * what {@link Predictor#predictVariance} says of it: exp(v·log β + (1 - v)·log β̃), between those
   * of {@link #ddpm}, β̃, and of {@link NoiseScheduler#ddpmLarge}, β (Nichol and Dhariwal 2021,
   * "Improved Denoising Diffusion Probabilistic Models", eq. 15). With guidance, it is that with
   * the label. It goes with {@link #ddpm}.
   *
   * @return a sampler with learned variances
   */
  Sampler learnedVariance();

  /**
   * Sampling starts at these x in place of noise: noise of your own, such as that of {@link
   * #noise}, or, for {@link NoiseScheduler#ddimInverse}, images. Image k starts from {@code k mod
   * x.count()}.
   *
   * @param x of the size that the model draws, at least 1
   * @return a sampler that starts at x
   */
  Sampler startingAt(Images x);

  /**
   * Sampling starts from images with noise added: as much as the plan has at the last {@code
   * strength·n} of its n timesteps, rounded down, which are all that it visits (Meng et al. 2022,
   * "SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations"). Image k
   * starts from {@code k mod images.count()}. It replaces {@link #startingAt}.
   *
   * @param images of the size that the model draws, at least 1
   * @param strength in [0, 1]: 0 returns the images, 1 starts from noise and doesn't know them
   * @return a sampler that starts from these images
   */
  Sampler from(Images images, double strength);

  /**
   * A part of the images is known: these pixels are put in after each row with the noise that they
   * have there, and come out as they are. With {@link NoiseScheduler#rePaint} the rest fits them
   * better than with others.
   *
   * @param images of the size that the model draws, at least 1: image k has what {@code k mod
   *     images.count()} has
   * @param mask of the same height and width, of 1 channel or as many as the images, one for all of
   *     them or one for each: above 0, such as white, where a pixel is to be drawn, and at most 0,
   *     such as black, where it is known
   * @return a sampler of what these images lack
   */
  Sampler inpainting(Images images, Images mask);

  /**
   * Image k is conditioned on {@code k mod images.count()} of these: a network that was trained so
   * is given it beside the noisy image in each of its calls, with and without a label. It may be a
   * small picture that was scaled up, whose details are to be drawn (Saharia et al. 2021, "Image
   * Super-Resolution via Iterative Refinement"), or a gray one that is to get colors.
   *
   * @param images of the height and width that the model draws, with its {@link
   *     ModelInfo#conditionChannels}, at least 1
   * @return a sampler of images with this condition
   */
  Sampler condition(Images images);

  /**
   * The listener is told after each row, by the thread that samples. When it answers {@code false},
   * or interrupts the thread, {@link #sample} ends in a {@code CancellationException}.
   *
   * @param listener answers whether to go on; it replaces one that was there
   * @return a sampler that this listener is told of
   */
  Sampler listener(Predicate<Progress> listener);

  /**
   * Makes images. {@link Thread#interrupt}, and so {@code Future.cancel(true)}, ends that after the
   * row at work; the thread stays interrupted.
   *
   * @param n at least 0
   * @return n images of the model's height, width and channels
   * @throws IllegalArgumentException if n is negative, or for what could not be checked before the
   *     model was known
   * @throws IllegalStateException if no model was given and none is on the class path or module
   *     path (the message says what to add), or the model is closed
   * @throws java.util.concurrent.CancellationException after a row, if the listener asks for it or
   *     this thread is interrupted
   */
  Images sample(int n);

  /**
   * Returns the noise that {@link #sample} starts from, where it has no images to start from: a
   * function of the {@link #seed}, which must be set for that, and an image's index, for instance
   * to go from one to another by {@link Images#slerp}.
   *
   * @param n at least 0
   * @return N(0, 1) numbers
   * @throws IllegalArgumentException as {@link #sample}
   * @throws IllegalStateException as {@link #sample}
   */
  Images noise(int n);
}

package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;
import static com.google.common.base.Preconditions.checkPositionIndexes;
import static java.util.Objects.requireNonNull;

import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * What {@link Predictor#denoise} is asked for. A {@link Sampler} makes one, and whoever implements
 * {@link Predictor} reads it.
 *
 * @param steps the rows to run, in order
 * @param count number of images n, at least 0
 * @param seed of all randomness
 * @param first index of the first image, at least 0: image k is the same whatever the request it is
 *     part of
 * @param labels image k gets label {@code labels[k mod labels.size()]}, which may be {@link
 *     Sampler#NULL_LABEL}; empty for what the {@linkplain ModelInfo#labelCounts model} makes of
 *     that
 * @param guidance how the output is moved away from what it is without a label
 * @param clip estimates of the image are clipped to [-clip, clip]; above 0; infinity is off
 * @param thresholdRatio if above 0, estimates are clipped to [-s, s] and divided by s, where s is
 *     the absolute value that this share of an image's values is at most at, and in [1, clip]
 *     (dynamic thresholding, Saharia et al. 2022, "Photorealistic Text-to-Image Diffusion Models
 *     with Deep Language Understanding", section 2.3); in [0, 1]
 * @param learnedVariance whether the fresh noise of a row has the variance that the model learned
 *     for each value; {@link Sampler#learnedVariance} has more. The rows are those of DDPM then
 * @param start what sampling starts from; empty for noise
 * @param inpainting what is known of the images; empty for nothing
 * @param condition what the network is given beside the noisy images, in each of its calls: for
 *     image k, image {@code k mod condition.count()}; empty for a model that takes none
 * @param listener who is told after each row; sampling is canceled when it answers {@code false}
 */
public record DenoiseRequest(
    List<Step> steps,
    int count,
    long seed,
    long first,
    List<Integer> labels,
    Guidance guidance,
    double clip,
    double thresholdRatio,
    boolean learnedVariance,
    Optional<Start> start,
    Optional<Inpainting> inpainting,
    Optional<Images> condition,
    Predicate<Progress> listener) {

  /** A square root squared is no longer quite what it was. */
  private static final double ROUNDING = 1e-6;

  /** Stands for no listener. */
  static final Predicate<Progress> NOBODY = progress -> true;

  /**
   * Checks the ranges.
   *
   * @param steps at least 1 row, unless no images are asked for or there is a start; copied. The
   *     rows of DDPM, if the variance is a learned one
   * @param count at least 0
   * @param seed any number
   * @param first at least 0, and at most 2^63 - 1 - {@code count}
   * @param labels any: {@link #labels(ModelInfo)} checks them; copied
   * @param guidance not null
   * @param clip above 0, with a threshold at least 1; may be infinite
   * @param thresholdRatio in [0, 1]; 0 is off
   * @param learnedVariance true only with the rows of {@link NoiseScheduler#ddpm DDPM}
   * @param start empty for noise
   * @param inpainting empty for nothing
   * @param condition at least 1 image; empty for a model that takes none
   * @param listener not null
   * @throws IllegalArgumentException if a value is outside of its range
   */
  public DenoiseRequest {
    steps = List.copyOf(steps);
    labels = List.copyOf(labels);
    requireNonNull(listener, "listener");
    checkArgument(count >= 0, "the number of images must be at least 0, got %s", count);
    checkArgument(first >= 0, "the first image must be at least 0, got %s", first);
    checkArgument(
        first <= Long.MAX_VALUE - count,
        "the last image must be at most 2^63 - 1, got first %s",
        first);
    checkArgument(
        count == 0 || !steps.isEmpty() || start.isPresent(),
        "%s images need at least 1 row of a table, got none",
        count);
    requireNonNull(guidance, "guidance");
    checkArgument(clip > 0, "clip must be above 0, got %s", clip);
    checkArgument(
        thresholdRatio >= 0 && thresholdRatio <= 1,
        "the ratio of a threshold must be in [0, 1], got %s",
        thresholdRatio);
    checkArgument(thresholdRatio == 0 || clip >= 1, "a threshold must be at least 1, got %s", clip);
    checkArgument(
        condition.isEmpty() || condition.get().count() > 0, "a condition needs an image, got none");
    for (int row = 0; learnedVariance && row + 1 < steps.size(); row++) {
      checkSmallVariance(steps.get(row), steps.get(row + 1));
    }
  }

  private static void checkSmallVariance(Step step, Step next) {
    double small =
        Math.sqrt(
            Transition.posteriorVariance(
                step.signal() * step.signal(), next.signal() * next.signal()));
    checkArgument(
        Math.abs(step.fromNoise() - small) <= ROUNDING * small,
        "a learned variance goes with ddpm(), whose noise at timestep %s is %s, got %s",
        step.timestep(),
        small,
        step.fromNoise());
  }

  /**
   * Makes a request that starts from noise, knows nothing of the images and has no condition.
   *
   * @param steps at least 1 row, unless no images are asked for; copied
   * @param count at least 0
   * @param seed any number
   * @param first index of the first image, at least 0, and at most 2^63 - 1 - {@code count}
   * @param labels those that the images take in turns; empty to leave them to the model; copied
   * @param guidance w, finite; 1 is off
   * @param clip above 0; infinity is off
   * @param listener answers whether to go on; not null
   */
  public DenoiseRequest(
      List<Step> steps,
      int count,
      long seed,
      long first,
      List<Integer> labels,
      double guidance,
      double clip,
      Predicate<Progress> listener) {
    this(
        steps,
        count,
        seed,
        first,
        labels,
        Guidance.of(guidance),
        clip,
        0,
        false,
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        listener);
  }

  /** {@return whether the network must be called with and without labels} */
  public boolean isGuided() {
    return guidance.isOn();
  }

  /**
   * {@return whether the network must be called with and without labels at a row}
   *
   * @param row in [0, steps.size())
   */
  public boolean isGuided(int row) {
    return guidance.isOn(steps.get(row));
  }

  /**
   * {@return the request for some of the images, to work off a large one in batches}
   *
   * @param from position in this request, in [0, count]
   * @param to end, exclusive, in [from, count]
   */
  public DenoiseRequest slice(int from, int to) {
    checkPositionIndexes(from, to, count);
    return new DenoiseRequest(
        steps,
        to - from,
        seed,
        first + from,
        labels,
        guidance,
        clip,
        thresholdRatio,
        learnedVariance,
        start,
        inpainting,
        condition,
        listener);
  }

  /**
   * Returns the label of each image and checks this request against the model.
   *
   * @param model what runs this request
   * @return n labels; where none is asked for, drawn by the model's {@link ModelInfo#labelCounts},
   *     or its null label; an empty array for a model without labels
   * @throws IllegalArgumentException for timesteps, labels, guidance or pictures that the model
   *     doesn't know, or a missing label or condition that it needs
   */
  public int[] labels(ModelInfo model) {
    model.check(this);
    checkArgument(
        model.classes() == 0
            || model.nullLabel()
            || !model.labelCounts().isEmpty()
            || guidance.nullLabel().isPresent()
            || !labels.isEmpty(),
        "the model has %s classes, no label counts and no null label, so it needs labels: call labels(…)",
        model.classes());
    checkArgument(
        !isGuided()
            || (labels.isEmpty()
                ? !model.labelCounts().isEmpty()
                : labels.stream().anyMatch(label -> label != Sampler.NULL_LABEL)),
        "guidance needs labels, got guidance %s and no labels",
        guidance.weight());
    checkArgument(
        model.conditionChannels() == 0 || condition.isPresent(),
        "the model draws by a condition of %sx%sx%s, so it needs one: call condition(…)",
        model.height(),
        model.width(),
        model.conditionChannels());
    int[] result = new int[model.classes() == 0 ? 0 : count];
    for (int i = 0; i < result.length; i++) {
      int asked =
          labels.isEmpty()
              ? model.labelCounts().isEmpty() ? Sampler.NULL_LABEL : model.label(seed, first + i)
              : labels.get((int) ((first + i) % labels.size()));
      result[i] =
          asked == Sampler.NULL_LABEL ? guidance.nullLabel().orElse(model.classes()) : asked;
    }
    return result;
  }

  /**
   * {@return the null label for each image, for the unguided half of guidance}
   *
   * @param model what runs this request
   */
  public int[] nullLabels(ModelInfo model) {
    int[] result = new int[count];
    Arrays.fill(result, guidance.nullLabel().orElse(model.classes()));
    return result;
  }

  /**
   * Returns what each image is conditioned on.
   *
   * @return [n, height, width, conditionChannels]; empty if there is no condition
   */
  public float[] conditions() {
    if (condition.isEmpty()) {
      return new float[0];
    }
    Images images = condition.get();
    int size = images.height() * images.width() * images.channels();
    float[] conditions = new float[checkedSize(size)];
    for (int k = 0; k < count; k++) {
      int image = (int) ((first + k) % images.count());
      images.values().get(image * size, conditions, k * size, size);
    }
    return conditions;
  }

  /**
   * Makes the x that sampling starts from: the noise, or what {@link #start} has of it.
   *
   * @param imageSize floats in an image
   * @return [n, imageSize]
   */
  public float[] initial(int imageSize) {
    if (start.isEmpty()) {
      return initialNoise(imageSize);
    }
    Start from = start.get();
    float[] x = from.fromNoise() > 0 ? initialNoise(imageSize) : new float[checkedSize(imageSize)];
    FloatBuffer images = from.images().values();
    for (int k = 0; k < count; k++) {
      int image = (int) ((first + k) % from.images().count());
      Optional<float[]> known = known(k);
      for (int i = 0; i < imageSize; i++) {
        float value = images.get(image * imageSize + i);
        if (known.isPresent() && !Float.isNaN(known.get()[i])) {
          value = known.get()[i];
        }
        int at = k * imageSize + i;
        x[at] = (float) (from.fromImages() * value + from.fromNoise() * x[at]);
      }
    }
    return x;
  }

  /**
   * Puts in what is known of the images at the noise after a row, if anything is. Whoever runs the
   * rows calls this after each.
   *
   * @param row in [0, steps.size())
   * @param x [n, imageSize], changed
   */
  public void inpaint(int row, float... x) {
    if (inpainting.isEmpty() || count == 0) {
      return;
    }
    boolean last = row + 1 == steps.size();
    double signal = last ? 1 : steps.get(row + 1).signal();
    double noise = last ? 0 : steps.get(row + 1).noise();
    int imageSize = x.length / count;
    float[] z = last ? x : noise(GaussianNoise.KNOWN - row, imageSize);
    for (int k = 0; k < count; k++) {
      float[] known = known(k).orElseThrow();
      for (int i = 0; i < imageSize; i++) {
        if (!Float.isNaN(known[i])) {
          int at = k * imageSize + i;
          x[at] = last ? known[i] : (float) (signal * known[i] + noise * z[at]);
        }
      }
    }
  }

  /** Returns what is known of the k-th image of this request; not a number where nothing is. */
  private Optional<float[]> known(int k) {
    return inpainting.map(painting -> painting.known(first + k));
  }

  /**
   * Draws the noise that sampling starts from.
   *
   * @param imageSize floats in an image
   * @return N(0, 1) numbers [n, imageSize], a function of seed and image index alone
   */
  public float[] initialNoise(int imageSize) {
    return noise(GaussianNoise.INITIAL, imageSize);
  }

  /**
   * Draws the fresh noise z of a row.
   *
   * @param row in [0, steps.size())
   * @param imageSize floats in an image
   * @return N(0, 1) numbers [n, imageSize], a function of seed, image index and row alone
   */
  public float[] stepNoise(int row, int imageSize) {
    return noise(1 + checkElementIndex(row, steps.size(), "row"), imageSize);
  }

  /**
   * Returns the range of a learned variance: the noise z of a row is multiplied by exp(v·range),
   * with v what {@link Predictor#predictVariance} says of each value. It is log √(β/β̃), which is
   * the logarithm of the ratio of the noise before a row to that after it.
   *
   * @param row in [0, steps.size())
   * @return above 0; 0 where there is no learned variance or, in the last row, no noise
   */
  public double varianceRange(int row) {
    return learnedVariance && row + 1 < steps.size()
        ? Math.log(steps.get(row).noise() / steps.get(row + 1).noise())
        : 0;
  }

  /**
   * Tells the listener of a finished row and ends sampling where that is wanted. Whoever runs the
   * rows calls this after each; it costs nothing where there is no listener.
   *
   * @param row in [0, steps.size())
   * @param x0 makes the estimate of the images after it; called only if somebody listens
   * @throws CancellationException if the listener answers {@code false}, or this thread is
   *     interrupted, which it stays
   */
  public void report(int row, Supplier<Images> x0) {
    boolean goOn =
        listener == NOBODY
            || listener.test(
                new Progress(row, steps.size(), steps.get(row).timestep(), first, x0.get()));
    if (!goOn || Thread.currentThread().isInterrupted()) {
      throw new CancellationException(
          "sampling was %s after row %s of %s"
              .formatted(goOn ? "interrupted" : "canceled", row + 1, steps.size()));
    }
  }

  private float[] noise(int stream, int imageSize) {
    float[] noise = new float[checkedSize(imageSize)];
    for (int i = 0; i < count; i++) {
      GaussianNoise.fill(noise, i * imageSize, imageSize, seed, first + i, stream);
    }
    return noise;
  }

  private int checkedSize(int imageSize) {
    return Math.multiplyExact(count, imageSize);
  }
}

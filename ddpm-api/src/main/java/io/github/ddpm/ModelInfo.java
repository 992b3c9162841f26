package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;
import static java.util.Objects.requireNonNull;

import io.github.ddpm.spi.Excerpt;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What a model is: everything that sampling has to know about a network without running it. Who
 * implements {@link Predictor} finds the checks here that all models share.
 *
 * @param height of an image in pixels, at least 1
 * @param width of an image in pixels, at least 1
 * @param channels of an image, at least 1: 1 is gray, 3 is RGB
 * @param conditionChannels of the picture that each image is {@linkplain Sampler#condition
 *     conditioned} on, which the network takes after those of the noisy image; 0 for a model that
 *     takes none
 * @param classes number of classes its labels choose from; 0 for a model without labels
 * @param nullLabel whether the label {@code classes} stands for "no label", so that the model also
 *     samples without being told a class, and with guidance
 * @param schedule the noise it was trained with
 * @param predictionType what it predicts
 * @param spacingExponent what a plan of few of its timesteps is best spaced by, in [0.1, 1]: the
 *     exponent of {@link Spacing#power}; 1 is {@link Spacing#trailing}
 * @param steps number of steps it was distilled for, in [0, T], which samplers take unless they are
 *     told otherwise; 0 for a model that learned all of its timesteps
 * @param labelCounts how many images of each class it was trained on; empty if that is not known.
 *     Samplers draw the label of an image for which none is asked in these proportions, which makes
 *     better images than the null label: p(x) = Σ p(label)·p(x | label)
 * @param classNames what its classes are called, in the order of their numbers, no two alike; empty
 *     if they have no names
 */
public record ModelInfo(
    int height,
    int width,
    int channels,
    int conditionChannels,
    int classes,
    boolean nullLabel,
    BetaSchedule schedule,
    PredictionType predictionType,
    double spacingExponent,
    int steps,
    List<Long> labelCounts,
    List<String> classNames) {
  /** With less signal in x, x0 can't be told by ε. */
  static final double LEAST_SIGNAL = 1.0 / 32;

  /**
   * Checks the description.
   *
   * @param height at least 1
   * @param width at least 1
   * @param channels at least 1
   * @param conditionChannels at least 0, so few that height · width · (channels +
   *     conditionChannels) is at most 2^31 - 1
   * @param classes at least 0
   * @param nullLabel true only if there are classes
   * @param schedule not null; with signal at its last timestep if the model predicts ε
   * @param predictionType not null
   * @param spacingExponent in [0.1, 1]
   * @param steps in [0, T]
   * @param labelCounts one of each class, from 0 up, not all 0, with a sum below 2^63; or none;
   *     copied
   * @param classNames one of each class, no two alike; or none; copied
   * @throws IllegalArgumentException if one of them is out of its range, or doesn't go with another
   */
  public ModelInfo {
    checkArgument(
        height > 0 && width > 0 && channels > 0,
        "height, width and channels must be at least 1, got %sx%sx%s",
        height,
        width,
        channels);
    checkArgument(
        conditionChannels >= 0, "condition channels must be at least 0, got %s", conditionChannels);
    checkArgument(
        (double) height * width * ((long) channels + conditionChannels) <= Integer.MAX_VALUE,
        "an image must have at most 2^31 - 1 values, got %sx%sx%s",
        height,
        width,
        (long) channels + conditionChannels);
    checkArgument(classes >= 0, "classes must be at least 0, got %s", classes);
    checkArgument(classes > 0 || !nullLabel, "a null label needs classes, got 0");
    requireNonNull(schedule, "schedule");
    requireNonNull(predictionType, "predictionType");
    int last = schedule.timesteps() - 1;
    predictionType.checkSignal(Math.sqrt(schedule.alphaBar(last)), last);
    checkArgument(
        spacingExponent >= 0.1 && spacingExponent <= 1,
        "the spacing exponent must be in [0.1, 1], got %s",
        spacingExponent);
    checkArgument(
        steps >= 0 && steps <= schedule.timesteps(),
        "the steps that a model was distilled for must be in [0, %s], got %s",
        schedule.timesteps(),
        steps);
    labelCounts = List.copyOf(requireNonNull(labelCounts, "labelCounts"));
    checkArgument(
        labelCounts.isEmpty() || labelCounts.size() == classes,
        "there must be one label count for each of %s classes, got %s",
        classes,
        labelCounts.size());
    long sum = 0;
    for (long count : labelCounts) {
      sum += count;
      checkArgument(
          count >= 0 && sum >= 0,
          "label counts must be at least 0 and add up to less than 2^63, got %s",
          Excerpt.of(labelCounts));
    }
    checkArgument(
        labelCounts.isEmpty() || sum > 0,
        "label counts must not all be 0, got %s",
        Excerpt.of(labelCounts));
    classNames = checkClassNames(classes, classNames);
  }

  /**
   * Describes a model whose classes have no names.
   *
   * @param height in pixels, at least 1
   * @param width in pixels, at least 1
   * @param channels at least 1
   * @param conditionChannels at least 0; 0 is a model that takes no condition
   * @param classes at least 0; 0 is a model without labels
   * @param nullLabel whether the label {@code classes} stands for "no label"
   * @param schedule the noise it was trained with; not null
   * @param predictionType what it predicts; not null
   * @param spacingExponent in [0.1, 1]; 1 is evenly
   * @param steps in [0, T]; 0 is a model that learned all of its timesteps
   * @param labelCounts one of each class, from 0 up and not all 0; or none, which says that it is
   *     not known; copied
   * @throws IllegalArgumentException if one of them is out of its range, or doesn't go with another
   */
  public ModelInfo(
      int height,
      int width,
      int channels,
      int conditionChannels,
      int classes,
      boolean nullLabel,
      BetaSchedule schedule,
      PredictionType predictionType,
      double spacingExponent,
      int steps,
      List<Long> labelCounts) {
    this(
        height,
        width,
        channels,
        conditionChannels,
        classes,
        nullLabel,
        schedule,
        predictionType,
        spacingExponent,
        steps,
        labelCounts,
        List.of());
  }

  /**
   * Describes a model without a condition, whose plans are {@linkplain Spacing#trailing spaced
   * evenly}, as most are.
   *
   * @param height in pixels, at least 1
   * @param width in pixels, at least 1
   * @param channels at least 1
   * @param classes at least 0; 0 is a model without labels
   * @param nullLabel whether the label {@code classes} stands for "no label"
   * @param schedule the noise it was trained with; not null
   * @param predictionType what it predicts; not null
   * @throws IllegalArgumentException if one of them is out of its range, or doesn't go with another
   */
  public ModelInfo(
      int height,
      int width,
      int channels,
      int classes,
      boolean nullLabel,
      BetaSchedule schedule,
      PredictionType predictionType) {
    this(height, width, channels, 0, classes, nullLabel, schedule, predictionType, 1, 0, List.of());
  }

  /**
   * {@return this model as one whose images are {@linkplain Sampler#condition conditioned} on
   * pictures of so many channels}
   *
   * @param number at least 0; 0 is a model that takes no condition
   * @throws IllegalArgumentException if it is below that
   */
  public ModelInfo withConditionChannels(int number) {
    return with(number, schedule, spacingExponent, steps, labelCounts, classNames);
  }

  /**
   * {@return this model with plans that are {@linkplain Spacing#power spaced by a power}}
   *
   * @param exponent in [0.1, 1]; 1 is evenly
   * @throws IllegalArgumentException if it is not in that range
   */
  public ModelInfo withSpacingExponent(double exponent) {
    return with(conditionChannels, schedule, exponent, steps, labelCounts, classNames);
  }

  /**
   * {@return this model as one that was distilled for so many steps} It can be asked for others, at
   * whose timesteps it only answers by what it learned at its own.
   *
   * @param number in [0, T]; 0 is a model that learned all of its timesteps
   * @throws IllegalArgumentException if it is not in that range
   */
  public ModelInfo withSteps(int number) {
    return with(conditionChannels, schedule, spacingExponent, number, labelCounts, classNames);
  }

  /**
   * {@return this model as one that learned from so many images of each class}
   *
   * @param counts one of each class, at least 0 and not all 0; or none, which says that it is not
   *     known
   * @throws IllegalArgumentException if they are others
   */
  public ModelInfo withLabelCounts(List<Long> counts) {
    return with(conditionChannels, schedule, spacingExponent, steps, counts, classNames);
  }

  /**
   * {@return this model with names for its classes}
   *
   * @param names one of each class, in the order of their numbers, no two alike; or none
   * @throws IllegalArgumentException if they are others
   */
  public ModelInfo withClassNames(List<String> names) {
    return with(conditionChannels, schedule, spacingExponent, steps, labelCounts, names);
  }

  /**
   * Checks names of classes, for whoever has some: a model, or data.
   *
   * @param classes how many there are
   * @param names one of each, no two alike; or none
   * @return the names, which don't change
   * @throws IllegalArgumentException if they are others
   */
  public static List<String> checkClassNames(int classes, List<String> names) {
    List<String> copy = List.copyOf(requireNonNull(names, "classNames"));
    checkArgument(
        copy.isEmpty() || copy.size() == classes,
        "there must be one name for each of %s classes, got %s",
        classes,
        copy.size());
    Set<String> different = new HashSet<>();
    for (String name : copy) {
      checkArgument(
          different.add(name), "no two class names may be alike, got %s", Excerpt.of(copy));
    }
    return copy;
  }

  private ModelInfo with(
      int conditions,
      BetaSchedule otherSchedule,
      double exponent,
      int number,
      List<Long> counts,
      List<String> names) {
    return new ModelInfo(
        height,
        width,
        channels,
        conditions,
        classes,
        nullLabel,
        otherSchedule,
        predictionType,
        exponent,
        number,
        counts,
        names);
  }

  /**
   * {@return the plan for a number of timesteps, spaced as suits this model: evenly, or by its
   * exponent} All T are all, whatever the exponent.
   *
   * <p>With an exponent below 1 the plan of a model that predicts ε starts where x holds a signal
   * of at least 1/32. Beyond, x0 = (x - noise·ε)/signal multiplies the network's error by more than
   * that (Salimans and Ho 2022, "Progressive Distillation", section 4), which few steps don't
   * recover from.
   *
   * @param n number of timesteps, in [1, T]
   * @throws IllegalArgumentException if it is below 1; above T, when the plan is made
   */
  public Spacing spacing(int n) {
    if (spacingExponent == 1 || n >= schedule.timesteps()) {
      return Spacing.trailing(n);
    }
    Spacing power = Spacing.power(n, spacingExponent);
    return of ->
        power.timesteps(of.first(Math.min(of.timesteps(), Math.max(n, timestepsWithSignal()))));
  }

  /**
   * Returns this model with another count of time, in which plans are spaced evenly: its timestep t
   * has the noise of this model's {@link #timestepOf}, so {@link Spacing#trailing} there visits the
   * noise levels that {@link #spacing} visits here. A network that is trained so needs no exponent,
   * which diffusers doesn't know.
   *
   * @return this model, if its exponent is 1
   * @throws IllegalArgumentException for an exponent below 1 and zero terminal SNR, which no table
   *     of β has
   */
  public ModelInfo evenlySpaced() {
    if (spacingExponent == 1) {
      return this;
    }
    checkArgument(
        !schedule.isZeroTerminalSnr(),
        "a schedule of zero terminal SNR can't be spaced anew: the spacing exponent must be 1, got %s",
        spacingExponent);
    double[] betas = new double[schedule.timesteps()];
    double before = 1;
    for (int t = 0; t < betas.length; t++) {
      double alphaBar = schedule.alphaBar(timestepOf(t));
      betas[t] = 1 - alphaBar / before;
      before = alphaBar;
    }
    return with(conditionChannels, BetaSchedule.of(betas), 1, steps, labelCounts, classNames);
  }

  /** Returns the timestep of this model that has the noise of one of {@link #evenlySpaced}. */
  double timestepOf(double even) {
    int timesteps = schedule.timesteps();
    return spacingExponent == 1
        ? even
        : Math.max(
            0, timestepsWithSignal() * Math.pow((even + 1) / timesteps, spacingExponent) - 1);
  }

  /** Counts the timesteps from 0 up that have the signal that x0 can be told by. */
  private int timestepsWithSignal() {
    int timesteps = schedule.timesteps();
    if (predictionType == PredictionType.EPSILON) {
      while (timesteps > 1 && Math.sqrt(schedule.alphaBar(timesteps - 1)) < LEAST_SIGNAL) {
        timesteps--;
      }
    }
    return timesteps;
  }

  /**
   * Returns the label of an image for which none is asked, as a function of seed and image: drawn
   * by the {@link #labelCounts}, or {@code classes}, the null label, where these aren't known.
   */
  int label(long seed, long image) {
    if (labelCounts.isEmpty()) {
      return classes;
    }
    long sum = labelCounts.stream().mapToLong(Long::longValue).sum();
    double drawn = GaussianNoise.uniform(seed, image, GaussianNoise.LABELS) * sum;
    // Of a sum beyond 2^53 rounding may make all of it.
    long left = Math.min(sum - 1, (long) drawn);
    int label = 0;
    while (left >= labelCounts.get(label)) {
      left -= labelCounts.get(label);
      label++;
    }
    return label;
  }

  /** {@return the number of floats in one image: height · width · channels} */
  public int imageSize() {
    return height * width * channels;
  }

  /**
   * {@return the number of floats that the network takes for one image: height · width · (channels
   * + conditionChannels)}
   */
  public int inputSize() {
    return height * width * (channels + conditionChannels);
  }

  /**
   * Makes the x of {@link Predictor#predict}: at each pixel the channels of the image, and then
   * those of its condition.
   *
   * @param images [n, height, width, channels]
   * @param conditions [n, height, width, conditionChannels]
   * @return [n, inputSize]; the images themselves if the model takes no condition
   */
  float[] input(float[] images, float... conditions) {
    if (conditionChannels == 0) {
      return images;
    }
    int both = channels + conditionChannels;
    int pixels = images.length / channels;
    float[] input = new float[Math.multiplyExact(pixels, both)];
    for (int pixel = 0; pixel < pixels; pixel++) {
      System.arraycopy(images, pixel * channels, input, pixel * both, channels);
      System.arraycopy(
          conditions, pixel * conditionChannels, input, pixel * both + channels, conditionChannels);
    }
    return input;
  }

  /**
   * {@return pictures of what the model returned}
   *
   * @param values [n, height, width, channels]; copied
   * @throws IllegalStateException if a value is not finite, so that the model is broken
   */
  public Images images(float... values) {
    int bad = Images.firstNotFinite(values);
    checkState(
        bad < 0,
        "the model made a value that is not finite in image %s of %s: %s",
        bad / imageSize(),
        values.length / imageSize(),
        bad < 0 ? 0 : values[bad]);
    return Images.of(values.length / imageSize(), height, width, channels, values);
  }

  /**
   * Checks the arguments of {@link Predictor#predict}, for whoever implements it.
   *
   * @param x noisy images [n, height, width, channels + conditionChannels]
   * @param timestep in [0, T-1]
   * @param labels n labels, in [0, classes), or {@code classes} where there is a null label; empty
   *     for a model without labels
   * @return n
   * @throws IllegalArgumentException if an argument is not of that shape or range
   */
  public int checkInput(float[] x, double timestep, int... labels) {
    int count = x.length / inputSize();
    checkArgument(
        x.length % inputSize() == 0,
        "x must be whole images of %s values, got %s values",
        inputSize(),
        x.length);
    schedule.checkTimestep(timestep);
    int expected = classes == 0 ? 0 : count;
    checkArgument(
        labels.length == expected,
        "the model has %s classes, so %s images need %s labels, got %s",
        classes,
        count,
        expected,
        labels.length);
    int last = nullLabel ? classes : classes - 1;
    for (int label : labels) {
      checkArgument(label >= 0 && label <= last, "labels must be in [0, %s], got %s", last, label);
    }
    return count;
  }

  /** Refuses timesteps, labels, guidance and pictures that this model doesn't know. */
  void check(DenoiseRequest request) {
    for (Step step : request.steps()) {
      schedule.checkTimestep(step.timestep());
    }
    checkArgument(
        (long) request.count() * inputSize() <= Integer.MAX_VALUE,
        "one request can have at most %s images of this size, got %s; ask for the others with first(…)",
        Integer.MAX_VALUE / inputSize(),
        request.count());
    List<Integer> labels = request.labels();
    OptionalInt ofRequest = request.guidance().nullLabel();
    checkArgument(
        nullLabel || ofRequest.isPresent() || !labels.contains(Sampler.NULL_LABEL),
        "this model has no null label%s",
        advice());
    checkArgument(
        classes > 0 || labels.isEmpty(),
        "the model was trained without labels, got labels %s",
        labels);
    for (int label : labels) {
      checkArgument(
          label == Sampler.NULL_LABEL || (label >= 0 && label < classes),
          "labels must be in [0, %s], got %s",
          classes - 1,
          label);
    }
    checkArgument(
        ofRequest.isEmpty() || ofRequest.getAsInt() < classes,
        "the class that stands for no label must be in [0, %s], got %s",
        classes - 1,
        ofRequest.orElse(0));
    checkArgument(
        !request.isGuided() || nullLabel || ofRequest.isPresent(),
        "guidance needs a null label, but this model has none%s; got guidance %s",
        advice(),
        request.guidance().weight());
    request.start().ifPresent(start -> checkDrawn("images to start from", start.images()));
    request.inpainting().ifPresent(known -> checkDrawn("images to paint in", known.images()));
    request.condition().ifPresent(this::checkCondition);
  }

  private void checkDrawn(String what, Images images) {
    check(what, channels, "as the model draws", images);
  }

  private void checkCondition(Images images) {
    checkArgument(
        conditionChannels > 0,
        "the model takes no condition, got one of %sx%sx%s",
        images.height(),
        images.width(),
        images.channels());
    check("the condition", conditionChannels, "as the model takes", images);
  }

  private void check(String what, int expected, String why, Images images) {
    checkArgument(
        images.height() == height && images.width() == width && images.channels() == expected,
        "%s must be %sx%sx%s, %s, got %sx%sx%s",
        what,
        height,
        width,
        expected,
        why,
        images.height(),
        images.width(),
        images.channels());
  }

  /** Nothing in a folder of diffusers says what a class means. */
  private String advice() {
    return classes > 1 ? "; if one of its classes means no label, call nullLabel(…) before" : "";
  }
}

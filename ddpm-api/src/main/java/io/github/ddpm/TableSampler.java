package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import com.google.common.primitives.Ints;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * The one sampler there is: it turns its settings into a table of rows and has the model run it.
 */
final class TableSampler implements Sampler {
  /** Of 50 steps, 0.58 are 29, and not 28.999999999999996. */
  private static final double ROUNDING = 1e-9;

  private static final SecureRandom SEEDS = new SecureRandom();

  private final Settings settings;

  /** Refuses what no request can be made of, or none that fits the model. */
  private TableSampler(Settings settings) {
    this.settings = settings;
    Optional<ModelInfo> info = settings.model.map(Predictor::info);
    List<Step> rows = info.map(this::rows).orElse(List.of());
    DenoiseRequest none = request(rows, 0, 0);
    info.ifPresent(known -> known.check(none));
  }

  static Sampler of(NoiseScheduler scheduler) {
    Settings settings = new Settings();
    settings.scheduler = requireNonNull(scheduler, "scheduler");
    settings.spacing = info -> scheduler.spacing(defaultSteps(scheduler, info), info);
    return new TableSampler(settings);
  }

  private static int defaultSteps(NoiseScheduler scheduler, ModelInfo info) {
    return info.steps() > 0 ? info.steps() : scheduler.defaultSteps(info.schedule().timesteps());
  }

  /** Returns this sampler with one thing changed. */
  private Sampler with(Consumer<Settings> change) {
    Settings copy = settings.copy();
    change.accept(copy);
    return new TableSampler(copy);
  }

  @Override
  public Sampler steps(int n) {
    checkArgument(n >= 1, "steps must be at least 1, got %s", n);
    return with(copy -> copy.spacing = info -> copy.scheduler.spacing(n, info));
  }

  @Override
  public Sampler spacing(Spacing plan) {
    requireNonNull(plan, "spacing");
    return with(copy -> copy.spacing = info -> plan);
  }

  @Override
  public Sampler with(Predictor predictor) {
    return with(copy -> copy.model = Optional.of(predictor));
  }

  @Override
  public Sampler labels(int... cycle) {
    return with(copy -> copy.labels = List.copyOf(Ints.asList(cycle)));
  }

  @Override
  public Sampler guidance(double w) {
    return with(copy -> copy.guidance = copy.guidance.weighing(w));
  }

  @Override
  public Sampler guidanceInterval(double lowestSigma, double highestSigma) {
    return with(copy -> copy.guidance = copy.guidance.between(lowestSigma, highestSigma));
  }

  @Override
  public Sampler guidanceRescale(double share) {
    return with(copy -> copy.guidance = copy.guidance.rescaled(share));
  }

  @Override
  public Sampler nullLabel(int label) {
    return with(copy -> copy.guidance = copy.guidance.withNullLabel(label));
  }

  @Override
  public Sampler seed(long value) {
    return with(copy -> copy.seed = OptionalLong.of(value));
  }

  @Override
  public Sampler first(long k) {
    return with(copy -> copy.first = k);
  }

  @Override
  public Sampler clip(double limit) {
    return with(
        copy -> {
          copy.clip = limit;
          copy.thresholdRatio = 0;
        });
  }

  @Override
  public Sampler threshold(double ratio, double most) {
    checkArgument(ratio > 0, "the ratio of a threshold must be above 0, got %s", ratio);
    return with(
        copy -> {
          copy.clip = most;
          copy.thresholdRatio = ratio;
        });
  }

  @Override
  public Sampler learnedVariance() {
    return with(copy -> copy.learnedVariance = true);
  }

  @Override
  public Sampler startingAt(Images x) {
    requireNonNull(x, "x");
    return with(
        copy -> {
          copy.images = Optional.of(x);
          copy.strength = Double.NaN;
        });
  }

  @Override
  public Sampler from(Images images, double strength) {
    requireNonNull(images, "images");
    checkArgument(strength >= 0 && strength <= 1, "strength must be in [0, 1], got %s", strength);
    return with(
        copy -> {
          copy.images = Optional.of(images);
          copy.strength = strength;
        });
  }

  @Override
  public Sampler inpainting(Images images, Images mask) {
    return with(copy -> copy.inpainting = Optional.of(new Inpainting(images, mask)));
  }

  @Override
  public Sampler condition(Images images) {
    requireNonNull(images, "condition");
    return with(copy -> copy.condition = Optional.of(images));
  }

  @Override
  public Sampler listener(Predicate<Progress> told) {
    return with(copy -> copy.listener = told);
  }

  @Override
  public Images sample(int n) {
    Predictor predictor = settings.model.orElseGet(Predictor::pretrained);
    List<Step> rows = rows(predictor.info());
    checkArgument(
        settings.images.isPresent() || !goToNoise(rows),
        "a solver that goes from images to noise needs images: give them by startingAt");
    return predictor.denoise(request(rows, n, settings.seed.orElseGet(SEEDS::nextLong)));
  }

  @Override
  public Images noise(int n) {
    Predictor predictor = settings.model.orElseGet(Predictor::pretrained);
    ModelInfo info = predictor.info();
    long seed = settings.seed.orElseGet(SEEDS::nextLong);
    DenoiseRequest request = request(rows(info), n, seed);
    info.check(request);
    return info.images(request.initialNoise(info.imageSize()));
  }

  /** Makes the table: of a part of the plan, if there is a picture to start from. */
  private List<Step> rows(ModelInfo info) {
    BetaSchedule schedule = info.schedule();
    double[] plan = settings.spacing.apply(info).timesteps(schedule);
    checkArgument(
        plan.length >= settings.scheduler.leastSteps(),
        "the solver needs at least %s steps, got %s; ddim(0) takes any number of them",
        settings.scheduler.leastSteps(),
        plan.length);
    // As many of the last timesteps as the strength has of all.
    int visited =
        Double.isNaN(settings.strength)
            ? plan.length
            : (int) (plan.length * settings.strength + ROUNDING);
    double[] timesteps = Arrays.copyOfRange(plan, plan.length - visited, plan.length);
    List<Step> rows =
        visited == 0
            ? List.of()
            : settings.scheduler.steps(schedule, info.predictionType(), timesteps);
    if (goToNoise(rows)) {
      checkArgument(
          Double.isNaN(settings.strength),
          "a solver that goes from images to noise starts at images as they are, by startingAt, but was given a"
              + " strength of %s",
          settings.strength);
      checkArgument(
          settings.inpainting.isEmpty(),
          "a solver that goes from images to noise has nothing to paint in, but was given a mask");
    }
    return rows;
  }

  /** Returns whether rows go the other way, as those of {@link NoiseScheduler#ddimInverse} do. */
  private static boolean goToNoise(List<Step> rows) {
    return !rows.isEmpty() && rows.get(0).noise() < rows.get(rows.size() - 1).noise();
  }

  private DenoiseRequest request(List<Step> rows, int n, long seed) {
    return new DenoiseRequest(
        rows,
        n,
        seed,
        settings.first,
        settings.labels,
        settings.guidance,
        settings.clip,
        settings.thresholdRatio,
        settings.learnedVariance,
        settings.images.map(images -> start(images, rows)),
        settings.inpainting,
        settings.condition,
        settings.listener);
  }

  private Start start(Images images, List<Step> rows) {
    double strength = settings.strength;
    if (Double.isNaN(strength) || rows.isEmpty()) {
      return new Start(images, 1, 0);
    }
    // All of the plan starts at noise alone, where the schedule may leave a little of the image.
    return strength == 1
        ? new Start(images, 0, 1)
        : new Start(images, rows.get(0).signal(), rows.get(0).noise());
  }

  /** What a sampler is made of; nobody changes it once it has one. */
  private static final class Settings {
    private NoiseScheduler scheduler;

    /** Which timesteps of a model to visit. */
    private Function<ModelInfo, Spacing> spacing;

    /** Empty for the pretrained one, which is looked for only when images are wanted. */
    private Optional<Predictor> model = Optional.empty();

    private List<Integer> labels = List.of();
    private Guidance guidance = Guidance.NONE;

    /** Empty to draw one at each call. */
    private OptionalLong seed = OptionalLong.empty();

    private long first;
    private double clip = 1;
    private double thresholdRatio;
    private boolean learnedVariance;

    /** What to start from. */
    private Optional<Images> images = Optional.empty();

    /** How much of the plan these images go through; not a number if they are x as it is. */
    private double strength = Double.NaN;

    private Optional<Inpainting> inpainting = Optional.empty();
    private Optional<Images> condition = Optional.empty();
    private Predicate<Progress> listener = DenoiseRequest.NOBODY;

    Settings copy() {
      Settings copy = new Settings();
      copy.scheduler = scheduler;
      copy.spacing = spacing;
      copy.model = model;
      copy.labels = labels;
      copy.guidance = guidance;
      copy.seed = seed;
      copy.first = first;
      copy.clip = clip;
      copy.thresholdRatio = thresholdRatio;
      copy.learnedVariance = learnedVariance;
      copy.images = images;
      copy.strength = strength;
      copy.inpainting = inpainting;
      copy.condition = condition;
      copy.listener = listener;
      return copy;
    }
  }
}

package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import com.google.common.primitives.Ints;
import java.security.SecureRandom;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * The one sampler there is: turns its settings into a table of rows and has the model run it.
 *
 * @param spacing which timesteps of a model to visit
 * @param model empty for the pretrained one, which is looked for only when images are wanted
 * @param seed empty to draw one at each call
 */
record TableSampler(
    NoiseScheduler scheduler,
    Function<ModelInfo, Spacing> spacing,
    Optional<Predictor> model,
    List<Integer> labels,
    double guidance,
    OptionalLong seed,
    long first,
    double clip,
    Predicate<Progress> listener)
    implements Sampler {

  private static final SecureRandom SEEDS = new SecureRandom();

  static Sampler of(NoiseScheduler scheduler) {
    return new TableSampler(
        requireNonNull(scheduler, "scheduler"),
        model -> scheduler.spacing(scheduler.defaultSteps(model.schedule().timesteps()), model),
        Optional.empty(),
        List.of(),
        1,
        OptionalLong.empty(),
        0,
        1,
        DenoiseRequest.NOBODY);
  }

  @Override
  public Sampler steps(int n) {
    checkArgument(n >= 1, "steps must be at least 1, got %s", n);
    return withSpacing(info -> scheduler.spacing(n, info));
  }

  @Override
  public Sampler spacing(Spacing plan) {
    requireNonNull(plan, "spacing");
    return withSpacing(info -> plan);
  }

  private Sampler withSpacing(Function<ModelInfo, Spacing> spaced) {
    return new TableSampler(scheduler, spaced, model, labels, guidance, seed, first, clip, listener)
        .checked();
  }

  @Override
  public Sampler with(Predictor predictor) {
    return new TableSampler(
            scheduler,
            spacing,
            Optional.of(predictor),
            labels,
            guidance,
            seed,
            first,
            clip,
            listener)
        .checked();
  }

  @Override
  public Sampler labels(int... cycle) {
    return new TableSampler(
            scheduler,
            spacing,
            model,
            List.copyOf(Ints.asList(cycle)),
            guidance,
            seed,
            first,
            clip,
            listener)
        .checked();
  }

  @Override
  public Sampler guidance(double w) {
    return new TableSampler(scheduler, spacing, model, labels, w, seed, first, clip, listener)
        .checked();
  }

  @Override
  public Sampler seed(long value) {
    return new TableSampler(
        scheduler, spacing, model, labels, guidance, OptionalLong.of(value), first, clip, listener);
  }

  @Override
  public Sampler first(long k) {
    return new TableSampler(scheduler, spacing, model, labels, guidance, seed, k, clip, listener)
        .checked();
  }

  @Override
  public Sampler clip(double limit) {
    return new TableSampler(
            scheduler, spacing, model, labels, guidance, seed, first, limit, listener)
        .checked();
  }

  @Override
  public Sampler listener(Predicate<Progress> told) {
    return new TableSampler(scheduler, spacing, model, labels, guidance, seed, first, clip, told)
        .checked();
  }

  @Override
  public Images sample(int n) {
    Predictor predictor = model.orElseGet(Predictor::pretrained);
    return predictor.denoise(
        request(n, seed.orElseGet(SEEDS::nextLong), Optional.of(predictor.info())));
  }

  /** This sampler, if a request can be made of it. */
  private TableSampler checked() {
    Optional<ModelInfo> info = model.map(Predictor::info);
    DenoiseRequest request = request(0, 0, info);
    info.ifPresent(known -> known.check(request));
    return this;
  }

  private DenoiseRequest request(int n, long drawnSeed, Optional<ModelInfo> info) {
    return new DenoiseRequest(
        info.map(this::table).orElse(List.of()),
        n,
        drawnSeed,
        first,
        labels,
        guidance,
        clip,
        listener);
  }

  private List<Step> table(ModelInfo info) {
    BetaSchedule schedule = info.schedule();
    double[] timesteps = spacing.apply(info).timesteps(schedule.timesteps());
    return scheduler.steps(schedule, info.predictionType(), timesteps);
  }
}

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
 * The one sampler there is: it turns its settings into a table of rows and has the model run it.
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

  /** Refuses what no request can be made of, or none that fits the model. */
  TableSampler {
    labels = List.copyOf(labels);
    Optional<ModelInfo> info = model.map(Predictor::info);
    List<Step> rows = info.map(known -> table(scheduler, spacing, known)).orElse(List.of());
    DenoiseRequest none = new DenoiseRequest(rows, 0, 0, first, labels, guidance, clip, listener);
    info.ifPresent(known -> known.check(none));
  }

  static Sampler of(NoiseScheduler scheduler) {
    return new TableSampler(
        requireNonNull(scheduler, "scheduler"),
        info -> scheduler.spacing(defaultSteps(scheduler, info), info),
        Optional.empty(),
        List.of(),
        1,
        OptionalLong.empty(),
        0,
        1,
        DenoiseRequest.NOBODY);
  }

  private static int defaultSteps(NoiseScheduler scheduler, ModelInfo info) {
    return info.steps() > 0 ? info.steps() : scheduler.defaultSteps(info.schedule().timesteps());
  }

  @Override
  public Sampler steps(int n) {
    checkArgument(n >= 1, "steps must be at least 1, got %s", n);
    return visiting(info -> scheduler.spacing(n, info));
  }

  @Override
  public Sampler spacing(Spacing plan) {
    requireNonNull(plan, "spacing");
    return visiting(info -> plan);
  }

  private Sampler visiting(Function<ModelInfo, Spacing> plan) {
    return new TableSampler(scheduler, plan, model, labels, guidance, seed, first, clip, listener);
  }

  @Override
  public Sampler with(Predictor predictor) {
    Optional<Predictor> one = Optional.of(predictor);
    return new TableSampler(scheduler, spacing, one, labels, guidance, seed, first, clip, listener);
  }

  @Override
  public Sampler labels(int... cycle) {
    List<Integer> all = Ints.asList(cycle);
    return new TableSampler(scheduler, spacing, model, all, guidance, seed, first, clip, listener);
  }

  @Override
  public Sampler guidance(double w) {
    return new TableSampler(scheduler, spacing, model, labels, w, seed, first, clip, listener);
  }

  @Override
  public Sampler seed(long value) {
    OptionalLong one = OptionalLong.of(value);
    return new TableSampler(
        scheduler, spacing, model, labels, guidance, one, first, clip, listener);
  }

  @Override
  public Sampler first(long k) {
    return new TableSampler(scheduler, spacing, model, labels, guidance, seed, k, clip, listener);
  }

  @Override
  public Sampler clip(double limit) {
    return new TableSampler(
        scheduler, spacing, model, labels, guidance, seed, first, limit, listener);
  }

  @Override
  public Sampler listener(Predicate<Progress> told) {
    return new TableSampler(scheduler, spacing, model, labels, guidance, seed, first, clip, told);
  }

  @Override
  public Images sample(int n) {
    Predictor predictor = model.orElseGet(Predictor::pretrained);
    List<Step> rows = table(scheduler, spacing, predictor.info());
    return predictor.denoise(
        new DenoiseRequest(
            rows, n, seed.orElseGet(SEEDS::nextLong), first, labels, guidance, clip, listener));
  }

  private static List<Step> table(
      NoiseScheduler scheduler, Function<ModelInfo, Spacing> spacing, ModelInfo info) {
    BetaSchedule schedule = info.schedule();
    double[] timesteps = spacing.apply(info).timesteps(schedule);
    return scheduler.steps(schedule, info.predictionType(), timesteps);
  }
}

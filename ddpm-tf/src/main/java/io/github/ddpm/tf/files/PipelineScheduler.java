package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import io.github.ddpm.Step;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * How a pipeline of diffusers samples: what its {@code scheduler_config.json} says beside the
 * schedule and the prediction type, and how many steps it takes when not told.
 *
 * <p>A plan goes from entry to entry and adds no noise at its end, also where diffusers does
 * otherwise; see the package documentation of {@code io.github.ddpm}.
 */
public final class PipelineScheduler implements NoiseScheduler {
  /** How a network is sampled that was saved alone. */
  public static final PipelineScheduler DEFAULT = trailing(false, SchedulerClass.DDPM, 1);

  /** What {@code DPMSolverMultistepScheduler} of diffusers knows; DDPM knows more. */
  private static final Set<String> FAST_SCHEDULES =
      Set.of("linear", "scaled_linear", "squaredcos_cap_v2", "trained_betas");

  private static final String VARIANCE = "variance_type";

  private static final int DDIM_STEPS = 50;
  private static final int DDPM_STEPS = 1000;

  private final boolean ddimPipeline;
  private final SchedulerClass kind;
  private final SchedulerSettings settings;
  private final double clip;
  private final double thresholdRatio;

  /**
   * Makes one of its settings.
   *
   * @param ddimPipeline whether the pipeline is {@code DDIMPipeline}, which takes 50 steps
   * @param config has settings by their names there, beside others
   * @param clip estimates of the image are clipped to [-clip, clip]; infinity is off
   * @param thresholdRatio of {@link Sampler#threshold}, where clip is the most; 0 is off
   * @throws IllegalArgumentException if one is none that we can do
   */
  PipelineScheduler(
      boolean ddimPipeline,
      SchedulerClass kind,
      JsonNode config,
      double clip,
      double thresholdRatio) {
    checkArgument(clip > 0, "clip_sample_range must be above 0, got %s", clip);
    checkArgument(
        thresholdRatio >= 0 && thresholdRatio <= 1,
        "dynamic_thresholding_ratio must be in (0, 1], got %s",
        thresholdRatio);
    this.ddimPipeline = ddimPipeline;
    this.kind = kind;
    this.settings = SchedulerSettings.of(kind.settings(), config);
    this.clip = clip;
    this.thresholdRatio = thresholdRatio;
    kind.plans().check(settings);
  }

  private static PipelineScheduler trailing(
      boolean ddimPipeline, SchedulerClass kind, double clip) {
    ObjectNode config = Json.object().put("timestep_spacing", PipelinePlans.TRAILING);
    return new PipelineScheduler(ddimPipeline, kind, config, clip, 0);
  }

  /**
   * Returns how a model is sampled that is trained here: by DPM-Solver++, which takes 20 steps,
   * where that of diffusers knows the schedule, else by DDPM, which takes all.
   */
  public static PipelineScheduler ofTrained(BetaSchedule schedule) {
    return FAST_SCHEDULES.contains(schedule.name())
        ? trailing(false, SchedulerClass.DPM_SOLVER, 1)
        : DEFAULT;
  }

  /**
   * Returns how a model is sampled that learned steps of DDIM with η = 0, spaced evenly or as the
   * model itself says, from one that was sampled like this.
   */
  public PipelineScheduler ofDistilled() {
    checkArgument(
        thresholdRatio == 0,
        "a student has no dynamic threshold, but its teacher does: thresholding is true");
    return trailing(true, SchedulerClass.DDIM, clip);
  }

  /** Returns whether the pipeline is {@code DDIMPipeline}, or else {@code DDPMPipeline}. */
  boolean ddimPipeline() {
    return ddimPipeline;
  }

  /** Returns the class of the scheduler. */
  SchedulerClass kind() {
    return kind;
  }

  /** Returns the limit of estimates; infinity is off. */
  public double clip() {
    return clip;
  }

  /** Returns the ratio of a dynamic threshold, where that limit is the most; 0 is off. */
  double thresholdRatio() {
    return thresholdRatio;
  }

  /** Writes the settings to a configuration. */
  void write(ObjectNode config) {
    settings.write(kind.settings(), config);
  }

  /**
   * Returns the sampler, which is still to be given a model.
   *
   * @param learnedVariance whether the model learned a variance; where its configuration says so
   *     and it did not, the variance is the small one
   */
  public Sampler sampler(boolean learnedVariance) {
    Sampler sampler = Sampler.of(this);
    sampler = thresholdRatio > 0 ? sampler.threshold(thresholdRatio, clip) : sampler.clip(clip);
    return learnedVariance && hasLearnedVariance() ? sampler.learnedVariance() : sampler;
  }

  /** Returns the same with the small variance where one that was learned is no longer trained. */
  public PipelineScheduler withoutLearnedVariance() {
    if (!hasLearnedVariance()) {
      return this;
    }
    ObjectNode config = Json.object();
    write(config);
    config.put(VARIANCE, "fixed_small");
    return new PipelineScheduler(ddimPipeline, kind, config, clip, thresholdRatio);
  }

  private boolean hasLearnedVariance() {
    return "learned_range".equals(settings.values().get(VARIANCE));
  }

  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    kind.plans().checkOwn(settings, schedule, timesteps);
    return kind.solver(settings).steps(schedule, type, timesteps).stream()
        .map(row -> row.calledAt(kind.plans().told(settings, schedule, row.timestep())))
        .toList();
  }

  /**
   * {@inheritDoc}
   *
   * <p>That is what the pipeline takes with its own scheduler; with a solver for few steps, it is
   * what that takes.
   */
  @Override
  public int defaultSteps(int trainTimesteps) {
    int steps =
        ddimPipeline
            ? DDIM_STEPS
            : kind == SchedulerClass.DDPM || kind == SchedulerClass.DDIM
                ? DDPM_STEPS
                : kind.solver(settings).defaultSteps(trainTimesteps);
    return Math.min(steps, kind.plans().most(settings, trainTimesteps));
  }

  @Override
  public Spacing spacing(int n, ModelInfo model) {
    return kind.plans().spacing(settings, n, model);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PipelineScheduler that
        && ddimPipeline == that.ddimPipeline
        && kind == that.kind
        && settings.equals(that.settings)
        && clip == that.clip
        && thresholdRatio == that.thresholdRatio;
  }

  @Override
  public int hashCode() {
    return Objects.hash(ddimPipeline, kind, settings, clip, thresholdRatio);
  }

  @Override
  public String toString() {
    return kind.className() + settings.values();
  }
}

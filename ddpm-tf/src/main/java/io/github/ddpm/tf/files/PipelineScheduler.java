package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import io.github.ddpm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How a pipeline of diffusers samples: what its {@code scheduler_config.json} says beside the
 * schedule and the prediction type, and how many steps it takes when not told. The names are those
 * on disk.
 *
 * <p>A plan goes from entry to entry and adds no noise at its end, also where diffusers does
 * otherwise; see the package documentation of {@code io.github.ddpm}.
 *
 * @param ddimPipeline whether the pipeline is {@code DDIMPipeline}, which takes 50 steps, or {@code
 *     DDPMPipeline}, which takes 1000
 * @param ddim whether the scheduler is {@code DDIMScheduler} or {@code DDPMScheduler}
 * @param varianceType of {@code DDPMScheduler}: {@code fixed_small}, {@code fixed_large}, the same
 *     with {@code _log}, {@code learned} or {@code learned_range}; a learned variance is replaced
 *     by the small one
 * @param timestepSpacing {@code leading}, {@code trailing} or {@code linspace}
 * @param stepsOffset added to each timestep of leading spacing, at least 0
 * @param setAlphaToOne whether the last step of {@code DDIMScheduler} removes all noise, or goes to
 *     the noise of timestep 0
 * @param clip estimates of the image are clipped to [-clip, clip]; infinity is off
 */
public record PipelineScheduler(
    boolean ddimPipeline,
    boolean ddim,
    String varianceType,
    String timestepSpacing,
    int stepsOffset,
    boolean setAlphaToOne,
    double clip)
    implements NoiseScheduler {

  /** The spacing for which a model may have an exponent. */
  static final String TRAILING = "trailing";

  /** How models that are trained here are sampled. */
  public static final PipelineScheduler DEFAULT =
      new PipelineScheduler(false, false, "fixed_small", TRAILING, 0, true, 1);

  private static final int DDIM_STEPS = 50;
  private static final int DDPM_STEPS = 1000;

  /**
   * Checks the settings.
   *
   * @throws IllegalArgumentException if one is none that diffusers knows
   */
  public PipelineScheduler {
    checkArgument(
        List.of(
                "fixed_small",
                "fixed_small_log",
                "fixed_large",
                "fixed_large_log",
                "learned",
                "learned_range")
            .contains(varianceType),
        "variance_type must be fixed_small, fixed_large, one of these with _log, learned or learned_range, got %s",
        varianceType);
    checkArgument(
        List.of("leading", TRAILING, "linspace").contains(timestepSpacing),
        "timestep_spacing must be leading, trailing or linspace, got %s",
        timestepSpacing);
    checkArgument(stepsOffset >= 0, "steps_offset must be at least 0, got %s", stepsOffset);
    checkArgument(clip > 0, "clip_sample_range must be above 0, got %s", clip);
  }

  /**
   * Returns how a model is sampled that learned steps of DDIM with η = 0, spaced evenly or as the
   * model itself says, from one that was sampled like this.
   */
  public PipelineScheduler ofDistilled() {
    return new PipelineScheduler(true, true, varianceType, TRAILING, 0, true, clip);
  }

  /** Returns the sampler, which is still to be given a model. */
  public Sampler sampler() {
    return Sampler.of(this).clip(clip);
  }

  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    if (!ddim) {
      boolean large = varianceType.startsWith("fixed_large");
      return (large ? NoiseScheduler.ddpmLarge() : NoiseScheduler.ddpm())
          .steps(schedule, type, timesteps);
    }
    List<Step> steps = new ArrayList<>();
    for (int i = 0; i < timesteps.length; i++) {
      double last = setAlphaToOne ? 1 : schedule.alphaBar(0);
      double next = i + 1 < timesteps.length ? schedule.alphaBar(timesteps[i + 1]) : last;
      steps.add(ddimStep(Step.at(timesteps[i], schedule.alphaBar(timesteps[i]), type), type, next));
    }
    return steps;
  }

  /**
   * Completes a row by Song et al. 2021, eq. 12 with σ = 0 and the ε of the network itself, ε =
   * (signal·out - q·x)/d, instead of one that is derived from the clipped x0.
   */
  private static Step ddimStep(Step from, PredictionType type, double next) {
    double p = type.fromNoise(from.signal(), from.noise());
    double q = type.fromX0(from.signal(), from.noise());
    double determinant = from.signal() * p - from.noise() * q;
    double direction = Math.sqrt(1 - next);
    return new Step(
        from.timestep(),
        from.signal(),
        from.noise(),
        from.x0FromX(),
        from.x0FromOut(),
        -direction * q / determinant,
        direction * from.signal() / determinant,
        Math.sqrt(next),
        0,
        0,
        0,
        0,
        0,
        1);
  }

  @Override
  public int defaultSteps(int trainTimesteps) {
    int most = timestepSpacing.equals("leading") ? trainTimesteps - stepsOffset : trainTimesteps;
    return Math.min(ddimPipeline ? DDIM_STEPS : DDPM_STEPS, Math.max(1, most));
  }

  @Override
  public Spacing spacing(int n, ModelInfo model) {
    return switch (timestepSpacing) {
      case TRAILING -> model.spacing(n);
      case "linspace" -> Spacing.linspace(n);
      default -> {
        Spacing leading = Spacing.leading(n);
        yield schedule ->
            Arrays.stream(leading.timesteps(schedule)).map(t -> t + stepsOffset).toArray();
      }
    };
  }
}

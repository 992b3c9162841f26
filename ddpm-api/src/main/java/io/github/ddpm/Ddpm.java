package io.github.ddpm;

import java.util.List;

/** See {@link NoiseScheduler#ddpm} and {@link NoiseScheduler#ddpmLarge}. */
record Ddpm(boolean largeVariance) implements NoiseScheduler {
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    return Transition.steps(schedule, type, timesteps, this::step);
  }

  @Override
  public int defaultSteps(int trainTimesteps) {
    return trainTimesteps;
  }

  /**
   * Ho et al. 2020, eq. 7, with α the ratio of two ᾱ of the plan, so that it holds for any stride.
   */
  private Step step(Step from, double alphaBar, double next) {
    double alpha = alphaBar / next;
    double beta = 1 - alpha;
    double variance = largeVariance ? beta : Transition.posteriorVariance(alphaBar, next);
    return from.to(
        Math.sqrt(alpha) * (1 - next) / (1 - alphaBar),
        Math.sqrt(next) * beta / (1 - alphaBar),
        // Decided by being last, not by timestep 0, where trailing plans never arrive.
        next == 1 ? 0 : Math.sqrt(variance));
  }
}

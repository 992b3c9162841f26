package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.List;

/** See {@link NoiseScheduler#ddim(double, boolean, boolean)}. */
record Ddim(double eta, boolean useClippedModelOutput, boolean toImage) implements NoiseScheduler {
  Ddim {
    checkArgument(eta >= 0 && eta <= 1, "eta must be in [0, 1], got %s", eta);
  }

  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    double end = toImage ? 1 : schedule.alphaBar(0);
    List<Step> rows = Transition.steps(schedule, type, timesteps, end, this::step);
    return useClippedModelOutput
        ? rows
        : rows.stream()
            .map(
                // Where the row has ε as (x - signal·x0)/noise.
                row ->
                    row.toByOutput(
                        type,
                        0,
                        row.fromX() * row.noise(),
                        row.fromX0() + row.fromX() * row.signal(),
                        row.fromNoise()))
            .toList();
  }

  /**
   * Song et al. 2021, eq. 12 with σ² = η·β̃ (eq. 16 with its η squared), ε written as (x -
   * signal·x0)/noise.
   */
  private Step step(Step from, double alphaBar, double next) {
    double variance = eta * Transition.posteriorVariance(alphaBar, next);
    // 1 - next - variance without the cancellation, so never below zero.
    double direction =
        (1 - next)
            * ((1 - eta) * (1 - alphaBar) + eta * alphaBar * (1 - next) / next)
            / (1 - alphaBar);
    double fromX = Math.sqrt(direction) / from.noise();
    return from.to(fromX, Math.sqrt(next) - fromX * from.signal(), Math.sqrt(variance));
  }
}

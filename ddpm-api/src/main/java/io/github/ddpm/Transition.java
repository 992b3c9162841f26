package io.github.ddpm;

import java.util.List;
import java.util.stream.IntStream;

/** The step from one timestep of a plan to the next, for solvers with one row a timestep. */
@FunctionalInterface
interface Transition {
  /**
   * Completes a row.
   *
   * @param from the row with the estimate of x0
   * @param alphaBar ᾱ of x
   * @param next ᾱ of the next x; 1 after the last timestep, unless the solver ends elsewhere
   */
  Step step(Step from, double alphaBar, double next);

  static List<Step> steps(
      BetaSchedule schedule, PredictionType type, double[] timesteps, Transition transition) {
    return steps(schedule, type, timesteps, 1, transition);
  }

  /**
   * Makes a row of each timestep.
   *
   * @param end ᾱ after the last timestep
   */
  static List<Step> steps(
      BetaSchedule schedule,
      PredictionType type,
      double[] timesteps,
      double end,
      Transition transition) {
    return IntStream.range(0, timesteps.length)
        .mapToObj(
            i -> {
              double alphaBar = schedule.alphaBar(timesteps[i]);
              // The next entry of the plan, not a stride further on: strides are not all equal.
              double next = i + 1 < timesteps.length ? schedule.alphaBar(timesteps[i + 1]) : end;
              return transition.step(Step.at(timesteps[i], alphaBar, type), alphaBar, next);
            })
        .toList();
  }

  /** β̃, the variance of the next x given x and x0 (Ho et al. 2020, eq. 7). */
  static double posteriorVariance(double alphaBar, double next) {
    return (1 - next) / (1 - alphaBar) * (1 - alphaBar / next);
  }
}

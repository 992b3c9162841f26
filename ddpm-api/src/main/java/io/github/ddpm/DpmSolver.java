package io.github.ddpm;

import java.util.ArrayList;
import java.util.List;

/** See {@link NoiseScheduler#dpmSolver}. */
record DpmSolver() implements NoiseScheduler {
  private static final int STEPS = 20;

  /**
   * Lu et al. 2022, algorithm 2. With one estimate of the image it is DDIM's row; here that
   * estimate is replaced by D = (1 + 1/2r)·x0 - 1/2r·x0[-1] with r = h[-1]/h, where h is how far a
   * step goes in λ = log(signal/noise).
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    List<Step> rows = new ArrayList<>();
    double previous = 0;
    for (Step row : NoiseScheduler.ddim(0).steps(schedule, type, timesteps)) {
      int i = rows.size();
      boolean last = i + 1 == timesteps.length;
      double h = last ? 0 : lambda(schedule, timesteps[i + 1]) - lambda(schedule, timesteps[i]);
      // The first step knows one estimate, and the last is infinitely long: both are DDIM's.
      double share = i == 0 || last ? 0 : h / (2 * previous);
      rows.add(row.to(row.fromX(), row.fromX0() * (1 + share), 0 - row.fromX0() * share, 0));
      previous = h;
    }
    return rows;
  }

  /** Returns half the logarithm of the signal-to-noise ratio. */
  private static double lambda(BetaSchedule schedule, double timestep) {
    double alphaBar = schedule.alphaBar(timestep);
    return Math.log(alphaBar / (1 - alphaBar)) / 2;
  }

  @Override
  public int defaultSteps(int trainTimesteps) {
    return Math.min(STEPS, trainTimesteps);
  }
}

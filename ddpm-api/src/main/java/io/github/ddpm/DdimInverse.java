package io.github.ddpm;

import java.util.ArrayList;
import java.util.List;

/** See {@link NoiseScheduler#ddimInverse}. */
record DdimInverse() implements NoiseScheduler {
  /**
   * DDIM goes from x to y = a·x + f·x0(x). Of y, and of the estimate x0 that was made there,
   * follows a first x = (y - f·x0)/a; of the estimate that the network makes there, the better x +
   * f/a·(x0 - x0(x)), one step of the fixed point iteration for the equation. A row does the
   * second, and at once the first for the next timestep.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    List<Step> ddim = NoiseScheduler.ddim(0).steps(schedule, type, timesteps);
    int last = timesteps.length - 1;
    List<Step> rows = new ArrayList<>();
    rows.add(fromImage(ddim.get(last), type));
    for (int i = last; i >= 0; i--) {
      Step row = ddim.get(i);
      // The image is the estimate at its timestep: x = signal·image + noise·ε(x) has no a.
      double correction = i == last ? row.signal() : row.fromX0() / row.fromX();
      double a = i == 0 ? 1 : ddim.get(i - 1).fromX();
      double f = i == 0 ? 0 : ddim.get(i - 1).fromX0();
      rows.add(
          Step.at(row.timestep(), schedule.alphaBar(row.timestep()), type)
              .to(1 / a, 0, new double[] {-(correction + f) / a, correction / a}));
    }
    return List.copyOf(rows);
  }

  /**
   * The image has no ε. It gets the one that the network finds in it at the first timestep: x' =
   * signal·x + noise·ε, with ε = (signal·out - q·x)/(signal·p - noise·q). The image is kept.
   */
  private static Step fromImage(Step row, PredictionType type) {
    double p = type.fromNoise(row.signal(), row.noise());
    double q = type.fromX0(row.signal(), row.noise());
    double ofNoise = row.noise() / (row.signal() * p - row.noise() * q);
    return new Step(
        row.timestep(),
        row.signal(),
        row.noise(),
        row.x0FromX(),
        row.x0FromOut(),
        row.signal() - ofNoise * q,
        ofNoise * row.signal(),
        0,
        0,
        0,
        0,
        0,
        1,
        0);
  }
}

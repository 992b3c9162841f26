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
    // The image has no ε: it gets the one that the network finds in it, and is kept.
    Step image = ddim.get(last);
    rows.add(image.toByOutput(type, image.signal(), image.noise(), 0, 0).keeping(1, 0));
    for (int i = last; i >= 0; i--) {
      Step row = ddim.get(i);
      // The image is the estimate at its timestep: x = signal·image + noise·ε(x) has no a.
      double correction = i == last ? row.signal() : row.fromX0() / row.fromX();
      double a = i == 0 ? 1 : ddim.get(i - 1).fromX();
      double f = i == 0 ? 0 : ddim.get(i - 1).fromX0();
      rows.add(
          Step.at(row.timestep(), schedule.alphaBar(row.timestep()), type)
              .toMultistep(1 / a, 0, new double[] {-(correction + f) / a, correction / a}));
    }
    return List.copyOf(rows);
  }
}

package io.github.ddpm;

import java.util.ArrayList;
import java.util.List;

/** See {@link NoiseScheduler#heun}. */
record Heun() implements FewSteps {
  /**
   * Karras et al. 2022, algorithm 1, in x of ours, which is signal times theirs. Euler's step is a
   * row of DDIM. The row that corrects it, where it lands, has the slope there and, in x itself,
   * the slope where it came from: with σ = noise/signal, and σ' where it landed, half the sum of
   * both leads to x' = x + signal·(σ/σ' - 1)/2·(x0 - x0[-1]).
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    Stride.checkSignal("heun", schedule, timesteps);
    List<Step> rows = new ArrayList<>();
    for (Step row : NoiseScheduler.ddim(0).steps(schedule, type, timesteps)) {
      if (!rows.isEmpty()) {
        double before = schedule.sigma(rows.get(rows.size() - 1).timestep());
        double half = row.signal() * (before / schedule.sigma(row.timestep()) - 1) / 2;
        rows.add(
            Step.at(row.timestep(), schedule.alphaBar(row.timestep()), type)
                .toMultistep(1, 0, new double[] {half, -half}));
      }
      // The last one leads to σ' = 0, where there is no slope.
      rows.add(row);
    }
    return List.copyOf(rows);
  }
}

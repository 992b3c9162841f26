package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.primitives.Ints;
import java.util.ArrayList;
import java.util.List;

/** See {@link NoiseScheduler#rePaint}. */
record RePaint(int jump, int resamplings) implements NoiseScheduler {
  private static final int STEPS = 250;

  RePaint {
    checkArgument(jump >= 1, "the length of a jump must be at least 1, got %s", jump);
    checkArgument(resamplings >= 1, "resamplings must be at least 1, got %s", resamplings);
  }

  /**
   * Lugmayr et al. 2022, algorithm 1. A jump back adds noise, x' = √α·x + √(1-α)·z with α the ratio
   * of two ᾱ (Ho et al. 2020, eq. 2), which the row before it does as well: two independent noises
   * are one of the sum of their variances.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    List<Step> down = NoiseScheduler.ddpm().steps(schedule, type, timesteps);
    List<Step> rows = new ArrayList<>();
    int[] jumped = new int[timesteps.length];
    int i = 0;
    while (i < timesteps.length) {
      Step row = down.get(i);
      i++;
      int left = timesteps.length - i;
      if (left % jump == 0 && i > jump && jumped[left] < resamplings - 1) {
        jumped[left]++;
        double alphaBar = left == 0 ? 1 : schedule.alphaBar(timesteps[i]);
        i -= jump;
        double alpha = schedule.alphaBar(timesteps[i]) / alphaBar;
        double root = Math.sqrt(alpha);
        row =
            row.to(
                root * row.fromX(),
                root * row.fromX0(),
                Math.hypot(root * row.fromNoise(), Math.sqrt(1 - alpha)));
      }
      rows.add(row);
    }
    return List.copyOf(rows);
  }

  @Override
  public int defaultSteps(int trainTimesteps) {
    return Math.min(STEPS, trainTimesteps);
  }

  /** With fewer it never goes back. */
  @Override
  public int leastSteps() {
    return Ints.saturatedCast(jump + 1L);
  }
}

package io.github.ddpm;

import java.util.ArrayList;
import java.util.List;

/**
 * A singlestep solver: DPM-Solver++ (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling
 * of Diffusion Probabilistic Models", algorithm 1) as {@code DPMSolverSinglestepScheduler} of
 * diffusers does it. As many entries of the plan as the order are one step, which makes all of its
 * estimates itself: to the first of them it goes by the first order, to the next from the same
 * start again by the second, and so on. {@link NoiseScheduler#dpmSolverSinglestep()} makes the
 * usual one.
 *
 * @param order 1 to 3, of whole steps; a plan has at least as many timesteps
 * @param midpoint whether the second order takes the slope in the middle of a step and the third
 *     that of the line through its first and its last estimate, or all orders integrate the
 *     polynomial through all estimates, which diffusers calls {@code heun}
 * @param lowerOrderFinal whether the last row is of first order where it ends a whole step
 * @param toImage whether the last row goes to the image, where λ is infinite, so that it is of
 *     first order, or to the noise of timestep 0
 */
public record DpmSolverSinglestep(
    int order, boolean midpoint, boolean lowerOrderFinal, boolean toImage) implements FewSteps {
  /**
   * Checks the order.
   *
   * @param order 1 to 3
   * @param midpoint true for slopes, false for the polynomial through all estimates
   * @param lowerOrderFinal true for a last row of first order where it ends a whole step
   * @param toImage true to end at the image, false to end at the noise of timestep 0
   * @throws IllegalArgumentException if the order is not 1, 2 or 3
   */
  public DpmSolverSinglestep {
    Stride.checkOrder(order, 3);
  }

  /**
   * {@inheritDoc}
   *
   * <p>The x that a row has is that at the start of the step, times a factor, and weights of the
   * estimates since then. A row takes these back, and has its own instead.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    List<Step> rows = new ArrayList<>();
    double[] before = {};
    for (Step row : NoiseScheduler.ddim(0, true, toImage).steps(schedule, type, timesteps)) {
      int i = rows.size();
      int start = start(schedule, timesteps, i);
      double[] weights = weights(new Stride(schedule, timesteps, start, i, toImage), i - start + 1);
      double[] from = weights.clone();
      for (int k = 1; k < from.length; k++) {
        from[k] -= row.fromX() * before[k - 1];
      }
      rows.add(row.toMultistep(row.fromX(), 0, from));
      before = weights;
    }
    return List.copyOf(rows);
  }

  /** Returns the entry of the plan where the step that a row belongs to starts. */
  private int start(BetaSchedule schedule, double[] timesteps, int i) {
    int n = timesteps.length;
    boolean alone = i == n - 1 && (toImage || (lowerOrderFinal && n % order == 0));
    int start = alone ? i : i - i % order;
    // From where there is no signal a step is infinitely long.
    return schedule.alphaBar(timesteps[start]) > 0 ? start : i;
  }

  /** Returns the weights of x0, x0[-1], … in the x that a step leads to. */
  private double[] weights(Stride step, int estimates) {
    double[] moments = step.moments(1);
    double[] nodes = step.nodes(estimates);
    if (midpoint && estimates == 3) {
      double[] ends = Lagrange.weights(new double[] {nodes[0], nodes[2]}, moments);
      return new double[] {ends[0], 0, ends[1]};
    }
    moments[1] = midpoint ? moments[0] / 2 : moments[1];
    return Lagrange.weights(nodes, moments);
  }

  @Override
  public int leastSteps() {
    return order;
  }
}

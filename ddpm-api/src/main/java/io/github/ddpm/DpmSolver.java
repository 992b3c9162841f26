package io.github.ddpm;

import java.util.ArrayList;
import java.util.List;

/**
 * A multistep solver that extrapolates the last estimates of the image: DPM-Solver++ (Lu et al.
 * 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models"). {@link
 * NoiseScheduler#dpmSolver()} and {@link NoiseScheduler#dpmSolverSde()} make the usual ones.
 *
 * @param order 1 to 3: how many estimates are used; a plan has at least as many timesteps
 * @param stochastic whether a step adds noise, as the diffusion SDE does (SDE-DPM-Solver++,
 *     appendix E), or none, as its probability flow ODE
 * @param midpoint whether the second order takes the slope in the middle of a step (algorithm 2),
 *     or integrates the line through both estimates, which diffusers calls {@code heun}
 * @param lowerOrderFinal whether of less than 15 timesteps the last are of lower order, down to 1
 * @param toImage whether the last step goes to the image, where λ is infinite, so that it is of
 *     first order, or to the noise of timestep 0
 */
public record DpmSolver(
    int order, boolean stochastic, boolean midpoint, boolean lowerOrderFinal, boolean toImage)
    implements FewSteps {
  /**
   * Checks the order.
   *
   * @param order 1 to 3
   * @param stochastic true for the SDE, false for the ODE
   * @param midpoint true for the slope in the middle of a step, false for the line through both
   *     estimates
   * @param lowerOrderFinal true for lower orders at the end of a plan of less than 15 timesteps
   * @param toImage true to end at the image, false to end at the noise of timestep 0
   * @throws IllegalArgumentException if the order is not 1, 2 or 3
   */
  public DpmSolver {
    Stride.checkOrder(order, 3);
  }

  /**
   * {@inheritDoc}
   *
   * <p>With one estimate of the image a step is that of {@link NoiseScheduler#ddim DDIM}, with η =
   * 1 if it adds noise. With more, the image is the polynomial through them. Of the third order,
   * that differs from diffusers, where the second difference counts half, so that it is of second
   * order.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    NoiseScheduler first = NoiseScheduler.ddim(stochastic ? 1 : 0, true, toImage);
    List<Step> rows = new ArrayList<>();
    for (Step row : first.steps(schedule, type, timesteps)) {
      Stride step = new Stride(schedule, timesteps, rows.size(), toImage);
      int estimates = step.estimates(order, lowerOrderFinal);
      double[] moments = step.moments(stochastic ? 2 : 1);
      moments[0] = row.fromX0();
      moments[1] = midpoint && estimates == 2 ? moments[0] / 2 : moments[1];
      rows.add(
          row.toMultistep(
              row.fromX(), row.fromNoise(), Lagrange.weights(step.nodes(estimates), moments)));
    }
    return List.copyOf(rows);
  }

  @Override
  public int leastSteps() {
    return order;
  }
}

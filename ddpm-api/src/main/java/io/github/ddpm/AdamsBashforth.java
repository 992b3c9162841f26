package io.github.ddpm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A multistep solver that extrapolates the last estimates of the noise ε by a polynomial: in log σ,
 * with σ = noise/signal, as DEIS does (Zhang and Chen 2023, "Fast Sampling of Diffusion Models with
 * Exponential Integrator", tAB-DEIS in log ρ), or in σ, as the linear multistep method of Karras'
 * followers does. {@link NoiseScheduler#deis()} and {@link NoiseScheduler#lms()} make the usual
 * ones.
 *
 * @param order 1 to 4: how many estimates are used; a plan has at least as many timesteps. 1 is
 *     {@link NoiseScheduler#ddim DDIM}
 * @param logarithmic whether the polynomial is one in log σ
 * @param lowerOrderFinal whether then of less than 15 timesteps the last are of lower order, down
 *     to 1
 * @param toImage whether the last step goes to the image, where log σ is infinite, so that it is of
 *     first order in that, or to the noise of timestep 0
 */
public record AdamsBashforth(
    int order, boolean logarithmic, boolean lowerOrderFinal, boolean toImage) implements FewSteps {
  /**
   * Checks the order.
   *
   * @param order 1 to 4
   * @param logarithmic true for a polynomial in log σ, false for one in σ
   * @param lowerOrderFinal true for lower orders at the end of a plan of less than 15 timesteps
   * @param toImage true to end at the image, false to end at the noise of timestep 0
   * @throws IllegalArgumentException if the order is not in [1, 4]
   */
  public AdamsBashforth {
    Stride.checkOrder(order, 4);
  }

  /**
   * {@inheritDoc}
   *
   * <p>x/signal changes by ε·dσ: what a step adds to it are weights of the estimates of ε.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    Stride.checkSignal(logarithmic ? "deis" : "lms", schedule, timesteps);
    List<Step> rows = new ArrayList<>();
    for (Step row : NoiseScheduler.ddim(0, true, toImage).steps(schedule, type, timesteps)) {
      Stride step = new Stride(schedule, timesteps, rows.size(), toImage);
      double[] weights = logarithmic ? exponential(step) : linear(step);
      double signal = step.signal();
      rows.add(
          weights.length == 1
              ? row.keepingNoise()
              : row.toByNoise(signal / row.signal(), times(signal, weights)));
    }
    return List.copyOf(rows);
  }

  /** With s as in {@link Stride}, dσ = -h·σ·exp(-h·s) ds. */
  private double[] exponential(Stride step) {
    double[] nodes = step.nodes(step.estimates(order, lowerOrderFinal));
    double h = step.h();
    double[] moments = new double[nodes.length];
    for (int k = 0; k < moments.length; k++) {
      moments[k] = k == 0 ? Math.expm1(-h) : Math.exp(-h) + k / h * moments[k - 1];
    }
    return Lagrange.weights(nodes, times(step.sigma(0), moments));
  }

  /** With s the share of the step in σ. */
  private double[] linear(Stride step) {
    double length = step.sigma(1) - step.sigma(0);
    if (length == 0) {
      return new double[1];
    }
    double[] nodes =
        IntStream.range(0, Math.min(order, step.estimates()))
            .mapToDouble(k -> (step.sigma(-k) - step.sigma(0)) / length)
            .toArray();
    double[] moments = IntStream.range(0, nodes.length).mapToDouble(k -> 1.0 / (k + 1)).toArray();
    return Lagrange.weights(nodes, times(length, moments));
  }

  private static double[] times(double factor, double... moments) {
    return Arrays.stream(moments).map(moment -> factor * moment).toArray();
  }

  @Override
  public int leastSteps() {
    return order;
  }
}

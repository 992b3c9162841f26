package io.github.ddpm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * PLMS, a multistep solver that extrapolates the last four estimates of the noise ε as if the plan
 * were even (Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds"), after
 * a first step of Heun's method: {@code PNDMScheduler} of diffusers with {@code skip_prk_steps}. It
 * is of second order, and calls the network once more than the plan has timesteps. {@link
 * NoiseScheduler#plms()} makes the usual one.
 *
 * @param toImage whether the last step goes to the image, or to the noise of timestep 0
 */
public record Plms(boolean toImage) implements NoiseScheduler {
  /**
   * {@inheritDoc}
   *
   * <p>x/signal changes by ε·dσ, so a step adds estimates of ε to it, times its length in σ. The
   * row that corrects the first step estimates an ε that no step after it uses. Because of this
   * row, the first ε is one row too far back for the fourth step. So what this row keeps is
   * x/signal before the correction and half a step of its own ε; that is x/signal after the
   * correction and half a step of the first ε. The fourth step knows all else that has been added
   * since, and takes the first ε from the difference.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    Stride.checkSignal("plms", schedule, timesteps);
    List<Step> ddim = NoiseScheduler.ddim(0, true, toImage).steps(schedule, type, timesteps);
    List<Step> rows = new ArrayList<>();
    double[][] added = new double[timesteps.length][];
    for (int i = 0; i < timesteps.length; i++) {
      Step row = ddim.get(i);
      Stride step = new Stride(schedule, timesteps, i, toImage);
      double[] weights = weights(step.sigma(1) - step.sigma(0), Math.min(i + 1, 4));
      added[i] = weights;
      if (i == 1) {
        rows.add(correction(row, added[0][0] / 2));
      }
      rows.add(
          switch (i) {
            case 0 -> row.keepingNoise();
            case 1 -> to(row, step, 1, weights[0], 0, weights[1]);
            case 2 -> to(row, step, 1, weights[0], weights[1], 0, weights[2]);
            case 3 -> fourth(row, step, added);
            default -> to(row, step, 1, weights);
          });
    }
    return List.copyOf(rows);
  }

  /** Returns what a step adds of each ε, newest first. */
  private static double[] weights(double length, int estimates) {
    return Lagrange.weights(
        IntStream.range(0, estimates).mapToDouble(k -> -k).toArray(),
        IntStream.range(0, estimates).mapToDouble(k -> length / (k + 1)).toArray());
  }

  /** Returns the row that replaces half of the first ε by that where the first step has led. */
  private static Step correction(Step row, double half) {
    double ofNoise = half / row.noise();
    return row.toByNoise(1, row.signal() * half, -row.signal() * half)
        .keeping(1 / row.signal() + ofNoise, -ofNoise * row.signal());
  }

  private static Step fourth(Step row, Stride step, double[]... added) {
    double[] weights = added[3];
    // How often the difference has the first ε in it.
    double first = added[0][0] / 2 - added[1][1] - added[2][2];
    double ofDifference = weights[3] / first;
    return to(
        row,
        step,
        1 - ofDifference,
        weights[0],
        weights[1] + ofDifference * added[2][0],
        weights[2] + ofDifference * (added[1][0] + added[2][1]),
        ofDifference);
  }

  /** Completes a row by x'/signal' as a sum of x/signal, its ε and what is kept. */
  private static Step to(Step row, Stride step, double ofX, double... weights) {
    return row.toByNoise(
        ofX * step.signal() / row.signal(),
        Arrays.stream(weights).map(weight -> step.signal() * weight).toArray());
  }
}

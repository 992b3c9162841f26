package io.github.ddpm;

import com.google.common.primitives.Doubles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A multistep solver that predicts and corrects: UniPC (Zhao et al. 2023, "UniPC: A Unified
 * Predictor-Corrector Framework for Fast Sampling of Diffusion Models", algorithms 1 and 2, for
 * x0). What the network says of a predicted x also corrects that x, so it is called once a step.
 * {@link NoiseScheduler#uniPc()} makes the usual one.
 *
 * @param order 1 to 3: how many estimates the predictor uses, to which the corrector adds one; a
 *     plan has at least as many timesteps. The last steps are of lower order, down to 1
 * @param bh2 whether the paper's B(h) is e^h - 1, or else h
 * @param toImage whether the last step goes to the image, where λ is infinite, or to the noise of
 *     timestep 0
 */
public record UniPc(int order, boolean bh2, boolean toImage) implements FewSteps {
  /**
   * Checks the order.
   *
   * @param order 1 to 3
   * @param bh2 true for B(h) = e^h - 1, false for B(h) = h
   * @param toImage true to end at the image, false to end at the noise of timestep 0
   * @throws IllegalArgumentException if the order is not 1, 2 or 3
   */
  public UniPc {
    Stride.checkOrder(order, 3);
  }

  /**
   * {@inheritDoc}
   *
   * <p>Predictor and corrector of a step start at the same x, so they differ by estimates of the
   * image alone. A row adds that difference, for the step that has led to it, to its x, and
   * predicts the next.
   */
  @Override
  public List<Step> steps(BetaSchedule schedule, PredictionType type, double[] timesteps) {
    List<Step> rows = new ArrayList<>();
    double[] correction = {};
    for (Step row : NoiseScheduler.ddim(0, true, toImage).steps(schedule, type, timesteps)) {
      Stride step = new Stride(schedule, timesteps, rows.size(), toImage);
      int estimates = Math.min(step.estimates(order, false), timesteps.length - rows.size());
      double[] predictor = predictor(row, step, estimates);
      double[] weights = Arrays.copyOf(correction, Math.max(correction.length, estimates));
      for (int k = 0; k < weights.length; k++) {
        weights[k] = row.fromX() * weights[k] + (k < estimates ? predictor[k] : 0);
      }
      rows.add(row.toMultistep(row.fromX(), 0, weights));
      correction = correction(row, step, predictor);
    }
    return List.copyOf(rows);
  }

  /** Returns the weights of x0, x0[-1], … in the x that a step leads to. */
  private double[] predictor(Step row, Stride step, int estimates) {
    double[] moments = step.moments(1);
    // The paper's simplified form.
    moments[1] = estimates == 2 ? half(row, step) : moments[1];
    return Lagrange.weights(step.nodes(estimates), withX0(row, moments));
  }

  /**
   * Returns what the corrector adds to that x: the weights of the estimate of the image there, and
   * of x0, x0[-1], … before the step.
   */
  private double[] correction(Step row, Stride step, double... predictor) {
    double[] weights = new double[predictor.length + 1];
    if (Double.isInfinite(step.h()) || step.h() == 0) {
      return weights;
    }
    double[] moments = step.moments(1);
    moments[1] = predictor.length == 1 ? half(row, step) : moments[1];
    // The new estimate is a whole step away.
    double[] nodes = Doubles.concat(new double[] {1}, step.nodes(predictor.length));
    double[] corrector = Lagrange.weights(nodes, withX0(row, moments));
    for (int k = 0; k < weights.length; k++) {
      weights[k] = corrector[k] - (k == 0 ? 0 : predictor[k - 1]);
    }
    return weights;
  }

  /** Returns the weight of a slope that counts for half of -signal·B(-h). */
  private double half(Step row, Stride step) {
    return (bh2 ? row.fromX0() : step.signal() * step.h()) / 2;
  }

  private static double[] withX0(Step row, double... moments) {
    moments[0] = row.fromX0();
    return moments;
  }

  @Override
  public int leastSteps() {
    return order;
  }
}

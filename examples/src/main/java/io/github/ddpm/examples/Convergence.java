package io.github.ddpm.examples;

import io.github.ddpm.AdamsBashforth;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DpmSolver;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Spacing;
import io.github.ddpm.Step;
import io.github.ddpm.UniPc;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How far a solver ends up from the probability flow ODE, in double. The plan's noise levels are
 * even in log σ, from the last timestep to timestep 0, where these solvers end.
 *
 * @param title name of the solver
 * @param solver to be measured
 * @param calls of the network in a step
 * @param order that theory gives it: with half the step, the error is 2^order times smaller
 */
record Convergence(String title, NoiseScheduler solver, int calls, int order) {
  /** All solvers that add no noise. */
  static final List<Convergence> ALL =
      List.of(
          new Convergence("DDIM, Euler", NoiseScheduler.ddim(0, true, false), 1, 1),
          new Convergence("Heun", NoiseScheduler.heun(), 2, 2),
          new Convergence("DPM-Solver++ (2)", dpmSolver(2), 1, 2),
          new Convergence("DPM-Solver++ (3) of diffusers", Convergence::ofDiffusers, 1, 2),
          new Convergence("DEIS (2)", new AdamsBashforth(2, true, false, false), 1, 2),
          new Convergence("DPM-Solver++ (3)", dpmSolver(3), 1, 3),
          new Convergence("UniPC (2)", new UniPc(2, true, false), 1, 3),
          new Convergence("UniPC (3)", new UniPc(3, true, false), 1, 4),
          new Convergence("LMS (4)", new AdamsBashforth(4, false, false, false), 1, 4));

  private static final BetaSchedule SCHEDULE = BetaSchedule.linear();
  private static final GaussianData DATA = new GaussianData(0.4, 0.6);
  private static final double[] STARTS = {-1, 2};

  /** Returns the largest error at any timestep of a plan, from any of the starts. */
  double error(int steps) {
    double[] levels = Spacing.exponential(steps + 1).timesteps(SCHEDULE);
    // Whoever ends at the image is not asked about its last row.
    double[] plan = calls == 1 ? Arrays.copyOf(levels, steps) : levels;
    List<Step> rows = solver.steps(SCHEDULE, PredictionType.SAMPLE, plan);
    double worst = 0;
    for (double start : STARTS) {
      double[] xs = run(rows, start);
      for (int i = 1; i <= steps; i++) {
        double exact = DATA.solution(SCHEDULE, start, levels[i]);
        worst = Math.max(worst, Math.abs(xs[i * calls - 1] - exact));
      }
    }
    return worst;
  }

  /** Returns the order that the errors of so many steps and of twice as many show. */
  double orderFound(int steps) {
    return Math.log(error(steps) / error(2 * steps)) / Math.log(2);
  }

  /** Returns x after each row. These solvers make nothing of the network's output but the image. */
  private static double[] run(List<Step> rows, double start) {
    double[] xs = new double[rows.size()];
    double[] kept = new double[3];
    double x = start;
    for (int i = 0; i < xs.length; i++) {
      Step row = rows.get(i);
      double x0 = DATA.image(row.signal(), x);
      double keeps = row.keptFromX() * x + row.keptFromX0() * x0;
      x =
          row.fromX() * x
              + row.fromX0() * x0
              + row.fromPrevious() * kept[0]
              + row.fromOlder() * kept[1]
              + row.fromOldest() * kept[2];
      kept = new double[] {keeps, kept[0], kept[1]};
      xs[i] = x;
    }
    return xs;
  }

  private static NoiseScheduler dpmSolver(int order) {
    return new DpmSolver(order, false, true, false, false);
  }

  /**
   * Makes the rows of the third order of diffusers' DPMSolverMultistepScheduler: of the second
   * difference it counts half. With steps of equal length h in λ = -log σ, the parabola through the
   * estimates differs from the line by s²·(x0 - 2·x0[-1] + x0[-2])/2 and a share of s, the part of
   * the step; half of what s² adds goes.
   */
  static List<Step> ofDiffusers(BetaSchedule schedule, PredictionType type, double... timesteps) {
    List<Step> rows = dpmSolver(3).steps(schedule, type, timesteps);
    return IntStream.range(0, rows.size())
        .mapToObj(
            i -> {
              double next = i + 1 < timesteps.length ? timesteps[i + 1] : 0;
              return i < 2 ? rows.get(i) : withHalfTheCurve(rows.get(i), schedule, next);
            })
        .toList();
  }

  private static Step withHalfTheCurve(Step row, BetaSchedule schedule, double next) {
    double h = Math.log(schedule.sigma(row.timestep()) / schedule.sigma(next));
    // ∫ h·exp(-h·(1-s))·s² ds.
    double share = 1 - 2 / h * (1 + Math.expm1(-h) / h);
    double quarter = Math.sqrt(schedule.alphaBar(next)) * share / 4;
    return new Step(
        row.timestep(),
        row.signal(),
        row.noise(),
        row.x0FromX(),
        row.x0FromOut(),
        row.fromX(),
        row.fromOut(),
        row.fromX0() - quarter,
        row.fromPrevious() + 2 * quarter,
        row.fromOlder() - quarter,
        row.fromOldest(),
        row.fromNoise(),
        row.keptFromX(),
        row.keptFromX0());
  }
}

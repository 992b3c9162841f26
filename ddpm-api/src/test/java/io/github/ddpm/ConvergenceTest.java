package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * How fast solvers come nearer to the probability flow ODE as steps get shorter. For Gaussian data
 * its solution is known at each noise level, down to that of timestep 0, where these solvers end.
 */
class ConvergenceTest {
  /**
   * A solver and how its error falls.
   *
   * @param entriesOfStep of a plan, of which only the last is of that order
   * @param steps of a plan, to be compared with four times as many
   */
  private record Case(
      String name, NoiseScheduler solver, int entriesOfStep, int steps, double order) {
    @Override
    public String toString() {
      return name;
    }
  }

  static List<Case> cases() {
    return List.of(
        new Case("ddim(0)", NoiseScheduler.ddim(0, true, false), 1, 80, 1),
        new Case("ddim(0), output's ε", NoiseScheduler.ddim(0, false, false), 1, 80, 1),
        new Case("heun", NoiseScheduler.heun(), 1, 80, 2),
        new Case("dpmSolver(1)", new DpmSolver(1, false, true, false, false), 1, 80, 1),
        new Case("dpmSolver(2)", new DpmSolver(2, false, true, false, false), 1, 80, 2),
        new Case("of heun type", new DpmSolver(2, false, false, false, false), 1, 80, 2),
        new Case("dpmSolver(3)", new DpmSolver(3, false, true, false, false), 1, 80, 3),
        new Case("singlestep, order 1", singlestep(1, true), 1, 80, 1),
        new Case("singlestep, order 2", singlestep(2, true), 2, 80, 2),
        new Case("singlestep of heun type, order 2", singlestep(2, false), 2, 80, 2),
        new Case("singlestep, order 3", singlestep(3, true), 3, 240, 3),
        new Case("singlestep of heun type, order 3", singlestep(3, false), 3, 240, 3),
        new Case("deis, order 2", new AdamsBashforth(2, true, false, false), 1, 80, 2),
        new Case("deis, order 3", new AdamsBashforth(3, true, false, false), 1, 80, 3),
        new Case("lms", new AdamsBashforth(4, false, false, false), 1, 160, 4),
        new Case("plms", new Plms(false), 1, 80, 2),
        // Its corrector adds one.
        new Case("uniPc(1)", new UniPc(1, true, false), 1, 80, 2),
        new Case("uniPc(2)", new UniPc(2, true, false), 1, 80, 3),
        new Case("uniPc(2), h", new UniPc(2, false, false), 1, 80, 3),
        new Case("uniPc(3)", new UniPc(3, true, false), 1, 80, 4));
  }

  private static NoiseScheduler singlestep(int order, boolean midpoint) {
    return new DpmSolverSinglestep(order, midpoint, false, false);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void errorFallsAsTheOrderSays(Case one) {
    for (double start : new double[] {-1, 2}) {
      double ratio = error(one, start, one.steps()) / error(one, start, 4 * one.steps());
      assertThat(Math.log(ratio) / Math.log(4)).isCloseTo(one.order(), within(0.15));
    }
  }

  /** Returns the largest error at any entry of a plan that ends a step. */
  private static double error(Case one, double start, int n) {
    BetaSchedule schedule = BetaSchedule.linear();
    double[] plan = Spacing.exponential(n + 1).timesteps(schedule);
    List<Step> rows = one.solver().steps(schedule, PredictionType.SAMPLE, plan);
    double[] xs =
        RunRows.run(
            rows, start, (t, signal, x) -> ExactSamplingTest.bestImage(signal, x), row -> 0);
    double worst = 0;
    int row = 0;
    // Nobody is asked about the step from the last entry.
    for (int entry = one.entriesOfStep(); entry <= n; entry += one.entriesOfStep()) {
      // The last row that is called there has what rows before it have corrected.
      while (row + 1 < rows.size() && rows.get(row + 1).timestep() >= plan[entry]) {
        row++;
      }
      double exact = ExactSamplingTest.odeAt(schedule, start, plan[entry]);
      worst = Math.max(worst, Math.abs(xs[row - 1] - exact));
    }
    return worst;
  }
}

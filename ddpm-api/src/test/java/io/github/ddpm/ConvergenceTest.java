package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
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
   * @param rowsOfStep of which the last leads to the next entry of the plan
   * @param steps of a plan, to be compared with four times as many
   */
  private record Case(String name, NoiseScheduler solver, int rowsOfStep, int steps, double order) {
    @Override
    public String toString() {
      return name;
    }
  }

  static List<Case> cases() {
    return List.of(
        new Case("ddim(0)", NoiseScheduler.ddim(0, true, false), 1, 80, 1),
        new Case("ddim(0), output's ε", NoiseScheduler.ddim(0, false, false), 1, 80, 1),
        new Case("heun", NoiseScheduler.heun(), 2, 80, 2),
        new Case("dpmSolver(1)", new DpmSolver(1, false, true, false, false), 1, 80, 1),
        new Case("dpmSolver(2)", new DpmSolver(2, false, true, false, false), 1, 80, 2),
        new Case("of heun type", new DpmSolver(2, false, false, false, false), 1, 80, 2),
        new Case("dpmSolver(3)", new DpmSolver(3, false, true, false, false), 1, 80, 3),
        new Case("deis, order 2", new AdamsBashforth(2, true, false, false), 1, 80, 2),
        new Case("deis, order 3", new AdamsBashforth(3, true, false, false), 1, 80, 3),
        new Case("lms", new AdamsBashforth(4, false, false, false), 1, 160, 4),
        // Its corrector adds one.
        new Case("uniPc(1)", new UniPc(1, true, false), 1, 80, 2),
        new Case("uniPc(2)", new UniPc(2, true, false), 1, 80, 3),
        new Case("uniPc(2), h", new UniPc(2, false, false), 1, 80, 3),
        new Case("uniPc(3)", new UniPc(3, true, false), 1, 80, 4));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void errorFallsAsTheOrderSays(Case one) {
    for (double start : new double[] {-1, 2}) {
      double ratio = error(one, start, one.steps()) / error(one, start, 4 * one.steps());
      assertThat(Math.log(ratio) / Math.log(4)).isCloseTo(one.order(), within(0.15));
    }
  }

  /** Returns the largest error at any entry of a plan. */
  private static double error(Case one, double start, int n) {
    BetaSchedule schedule = BetaSchedule.linear();
    double[] levels = Spacing.exponential(n + 1).timesteps(schedule);
    // Whoever ends at the image is not asked about its last row.
    double[] plan = one.rowsOfStep() == 1 ? Arrays.copyOf(levels, n) : levels;
    List<Step> rows = one.solver().steps(schedule, PredictionType.SAMPLE, plan);
    double[] xs =
        RunRows.run(
            rows, start, (t, signal, x) -> ExactSamplingTest.bestImage(signal, x), row -> 0);
    double worst = 0;
    for (int i = 1; i <= n; i++) {
      double exact = ExactSamplingTest.odeAt(schedule, start, levels[i]);
      worst = Math.max(worst, Math.abs(xs[i * one.rowsOfStep() - 1] - exact));
    }
    return worst;
  }
}

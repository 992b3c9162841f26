package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DpmSolverTest {
  @Test
  void loopsAreThoseOfDiffusers() {
    List<JsonNode> loops = GoldenJson.records("multistep.json", "loops");
    assertThat(loops).hasSize(90);
    for (JsonNode loop : loops) {
      List<Step> rows =
          NoiseScheduler.dpmSolver()
              .steps(
                  GoldenJson.schedule(loop),
                  PredictionType.ofConfigName(loop.get("prediction_type").asText()),
                  GoldenJson.doubles(loop.get("timesteps")));
      double[] start = GoldenJson.doubles(loop.get("x"));
      double[][] x = new double[start.length][];
      for (int i = 0; i < start.length; i++) {
        x[i] =
            RunRows.run(
                rows,
                start[i],
                (t, signal, value) -> 0.7 * Math.sin(2 * value + t / 300),
                row -> 0);
      }
      for (int row = 0; row < rows.size(); row++) {
        double[] expected = GoldenJson.doubles(loop.get("xs").get(row));
        for (int i = 0; i < expected.length; i++) {
          assertThat(x[i][row])
              .as("%s", loop)
              .isCloseTo(expected[i], within(1e-10 * Math.max(1, Math.abs(expected[i]))));
        }
      }
    }
  }

  /** For Gaussian data the probability flow ODE keeps (x - mean)/sd as it is. */
  @ParameterizedTest
  @ValueSource(doubles = {-2, -0.5, 1, 2.5})
  void itComesNearerToTheOdeThanDdim(double start) {
    NoiseScheduler solver = NoiseScheduler.dpmSolver();
    NoiseScheduler ddim = NoiseScheduler.ddim(0);
    for (BetaSchedule schedule : List.of(BetaSchedule.linear(), BetaSchedule.cosine())) {
      for (int n : new int[] {25, 50, 100, 200}) {
        assertThat(odeError(solver, schedule, n, start))
            .as("%s, n = %s", schedule, n)
            .isLessThan(0.11 * odeError(ddim, schedule, n, start));
      }
      // The first order gains 8 and the second 64, but for rounded timesteps.
      assertThat(odeError(ddim, schedule, 25, start) / odeError(ddim, schedule, 200, start))
          .isLessThan(9);
      assertThat(odeError(solver, schedule, 25, start) / odeError(solver, schedule, 200, start))
          .isGreaterThan(20);
    }
  }

  /** Whatever is between, an image that is known all along arrives with the noise it had. */
  @Test
  void theMarginalsAreThoseOfForwardNoising() {
    for (BetaSchedule schedule :
        List.of(BetaSchedule.linear(), BetaSchedule.cosine().zeroTerminalSnr())) {
      double[] plan = Spacing.trailing(20).timesteps(BetaSchedule.linear(1000));
      List<Step> rows =
          NoiseScheduler.dpmSolver().steps(schedule, PredictionType.V_PREDICTION, plan);
      for (int i = 0; i < 20; i++) {
        Step row = rows.get(i);
        double next = i + 1 < 20 ? schedule.alphaBar(plan[i + 1]) : 1;
        assertThat(row.fromX() * row.signal() + row.fromX0() + row.fromPrevious())
            .isCloseTo(Math.sqrt(next), within(1e-12));
        assertThat(row.fromX() * row.noise()).isCloseTo(Math.sqrt(1 - next), within(1e-12));
        assertThat(row.fromNoise()).isZero();
      }
    }
  }

  /** The first row has one estimate, and the last goes to where λ is infinite. */
  @Test
  void firstAndLastRowAreOfDdim() {
    double[] plan = Spacing.trailing(10).timesteps(BetaSchedule.linear(1000));
    List<Step> rows =
        NoiseScheduler.dpmSolver().steps(BetaSchedule.cosine(), PredictionType.EPSILON, plan);
    List<Step> ddim =
        NoiseScheduler.ddim(0).steps(BetaSchedule.cosine(), PredictionType.EPSILON, plan);
    for (int i = 0; i < 10; i++) {
      boolean same = i == 0 || i == 9;
      assertThat(rows.get(i).equals(ddim.get(i))).as("%s", i).isEqualTo(same);
    }
  }

  /** From no signal at all the first step is infinitely long too, so the second is of DDIM. */
  @Test
  void zeroTerminalSnrIsNoProblem() {
    BetaSchedule schedule = BetaSchedule.cosine().zeroTerminalSnr();
    double[] plan = Spacing.trailing(5).timesteps(BetaSchedule.linear(1000));
    List<Step> rows = NoiseScheduler.dpmSolver().steps(schedule, PredictionType.SAMPLE, plan);
    List<Step> ddim = NoiseScheduler.ddim(0).steps(schedule, PredictionType.SAMPLE, plan);
    assertThat(rows.subList(0, 2)).isEqualTo(ddim.subList(0, 2));
    assertThat(rows.get(2)).isNotEqualTo(ddim.get(2));
  }

  @Test
  void thereAre20StepsUnlessAskedOtherwise() {
    assertThat(NoiseScheduler.dpmSolver().defaultSteps(1000)).isEqualTo(20);
    assertThat(NoiseScheduler.dpmSolver().defaultSteps(4)).isEqualTo(4);
  }

  private static double odeError(
      NoiseScheduler solver, BetaSchedule schedule, int n, double start) {
    double[] plan = Spacing.trailing(n).timesteps(BetaSchedule.linear(1000));
    double[] x =
        RunRows.run(
            solver.steps(schedule, PredictionType.SAMPLE, plan),
            start,
            (t, signal, value) -> ExactSamplingTest.bestImage(signal, value),
            row -> 0);
    return Math.abs(x[n - 1] - ExactSamplingTest.odeEnd(schedule, start));
  }
}

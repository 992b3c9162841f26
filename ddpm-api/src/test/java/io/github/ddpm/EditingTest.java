package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Images that start from images, and what becomes of the network's output on the way. */
class EditingTest {
  private final FormulaPredictor model = FormulaPredictor.withLabels();
  private final ModelInfo info = model.info();
  private final Images image =
      Images.of(1, info.height(), info.width(), info.channels(), new float[info.imageSize()]);

  @Test
  void aRequestStartsFromAnImageAndNoise() {
    float[] values = new float[info.imageSize()];
    Arrays.fill(values, 0.5f);
    Images half = Images.of(1, info.height(), info.width(), info.channels(), values);
    Step row = Step.at(500, 0.36, PredictionType.SAMPLE).to(0, 1, 0);
    DenoiseRequest request = request(List.of(row), new Start(half, 0.6, 0.8));
    float[] noise = request.initialNoise(info.imageSize());
    float[] x = request.initial(info.imageSize());
    for (int i = 0; i < x.length; i++) {
      assertThat(x[i]).isEqualTo((float) (0.6 * 0.5f + 0.8 * noise[i]));
    }
  }

  private DenoiseRequest request(List<Step> rows, Start start) {
    return new DenoiseRequest(
        rows,
        2,
        7,
        0,
        List.of(0),
        Guidance.NONE,
        1,
        0,
        false,
        Optional.of(start),
        Optional.empty(),
        Optional.empty(),
        DenoiseRequest.NOBODY);
  }

  @Test
  void aStrengthVisitsItsShareOfThePlan() {
    for (int percent : new int[] {10, 29, 55, 99}) {
      int[] rows = {0};
      double[] first = {0};
      Sampler.ddim(0)
          .steps(10)
          .with(model)
          .labels(0)
          .from(image, percent / 100.0)
          .listener(
              progress -> {
                first[0] = rows[0] == 0 ? progress.timestep() : first[0];
                return ++rows[0] > 0;
              })
          .sample(1);
      assertThat(rows[0]).isEqualTo(percent / 10);
      assertThat(first[0]).isEqualTo(percent / 10 * 100 - 1);
    }
  }

  @Test
  void aShareOfThePlanIsNotLostToRounding() {
    int[] rows = {0};
    Sampler.ddim(0)
        .steps(50)
        .with(model)
        .labels(0)
        .from(image, 0.58)
        .listener(progress -> ++rows[0] > 0)
        .sample(1);
    assertThat(rows[0]).isEqualTo(29);
  }

  @Test
  void whatIsKnownComesOutWithoutARow() {
    float[] values = new float[info.imageSize()];
    Arrays.fill(values, 0.5f);
    Images half = Images.of(1, info.height(), info.width(), info.channels(), values);
    Images nothing =
        Images.of(1, info.height(), info.width(), 1, new float[info.height() * info.width()]);
    Sampler sampler = Sampler.ddim(0).steps(4).with(model).labels(0);
    assertThat(sampler.from(image, 0).inpainting(half, nothing).sample(1)).isEqualTo(half);
  }

  @Test
  void constantOutputsHaveNothingToRescale() {
    float[] out = Estimates.guided(Guidance.of(2).rescaled(1), new float[] {1, 1}, new float[2], 1);
    assertThat(out).containsExactly(2, 2);
  }

  @Test
  void aStepToWhereItIsChangesNothing() {
    BetaSchedule schedule = BetaSchedule.linear();
    double[] plan = Spacing.linspace(5).timesteps(schedule);
    for (NoiseScheduler solver :
        List.of(
            new AdamsBashforth(4, false, true, false),
            new AdamsBashforth(3, true, true, false),
            new DpmSolver(3, false, true, true, false),
            new DpmSolverSinglestep(1, true, true, false),
            new Plms(false),
            new UniPc(3, true, false))) {
      List<Step> rows = solver.steps(schedule, PredictionType.SAMPLE, plan);
      Step last = rows.get(rows.size() - 1);
      double ofImages = last.fromX0() + last.fromPrevious() + last.fromOlder() + last.fromOldest();
      assertThat(last.fromX()).as("%s", solver).isCloseTo(1, within(1e-12));
      assertThat(ofImages).as("%s", solver).isCloseTo(0, within(1e-12));
    }
  }

  @ParameterizedTest
  @EnumSource
  void theInverseAddsTheNoiseThatDdimTakesAway(PredictionType type) {
    BetaSchedule schedule = BetaSchedule.linear();
    double[] plan = Spacing.trailing(20).timesteps(schedule);
    List<Step> rows = NoiseScheduler.ddimInverse().steps(schedule, type, plan);
    assertThat(rows).hasSize(21);
    // The image has no noise: x is x0, and the network says which noise would be in it.
    Step first = rows.get(0);
    double x = 0.7;
    double epsilon = -0.3;
    double out =
        type == PredictionType.SAMPLE
            ? (x - first.noise() * epsilon) / first.signal()
            : type == PredictionType.EPSILON
                ? epsilon
                : (epsilon - first.noise() * x) / first.signal();
    assertThat(first.fromX() * x + first.fromOut() * out)
        .isCloseTo(first.signal() * x + first.noise() * epsilon, within(1e-12));
    // If the network always saw the same image, each x would be the one that DDIM goes through.
    List<Step> ddim = NoiseScheduler.ddim(0).steps(schedule, type, plan);
    double now = first.signal() * x + first.noise() * epsilon;
    for (int i = 1; i <= 20; i++) {
      Step row = rows.get(i);
      Step forward = ddim.get(20 - i);
      assertThat(row.timestep()).isEqualTo(forward.timestep());
      now = row.fromX() * now + (row.fromX0() + row.fromPrevious()) * x;
      double noise = i < 20 ? rows.get(i + 1).noise() : forward.noise();
      double signal = i < 20 ? rows.get(i + 1).signal() : forward.signal();
      assertThat(now).isCloseTo(signal * x + noise * epsilon, within(1e-9));
    }
  }

  /** For Gaussian data, where the network is the exact one. */
  @Test
  void anImageComesBackFromItsNoise() {
    BetaSchedule schedule = BetaSchedule.linear();
    double before = 0.03;
    for (int n : new int[] {50, 100, 200}) {
      double[] plan = Spacing.trailing(n).timesteps(schedule);
      double worst = 0;
      for (double x0 : new double[] {-1, 0, 0.3, 1}) {
        double[] up = run(NoiseScheduler.ddimInverse(), schedule, plan, x0);
        double[] down = run(NoiseScheduler.ddim(0), schedule, plan, up[n]);
        worst = Math.max(worst, Math.abs(down[n - 1] - x0));
      }
      // Faster than DDIM itself converges.
      assertThat(worst).isLessThan(before);
      before = worst / 2.5;
    }
    assertThat(before).isLessThan(0.002);
  }

  private static double[] run(
      NoiseScheduler solver, BetaSchedule schedule, double[] plan, double start) {
    return RunRows.run(
        solver.steps(schedule, PredictionType.SAMPLE, plan),
        start,
        (t, signal, x) -> ExactSamplingTest.bestImage(signal, x),
        row -> 0);
  }

  @Test
  void rePaintGoesBackAndKeepsTheNoiseItShouldHave() {
    BetaSchedule schedule = BetaSchedule.linear();
    double[] plan = Spacing.trailing(30).timesteps(schedule);
    assertThat(NoiseScheduler.rePaint(5, 1).steps(schedule, PredictionType.EPSILON, plan))
        .isEqualTo(NoiseScheduler.ddpm().steps(schedule, PredictionType.EPSILON, plan));
    List<Step> rows = NoiseScheduler.rePaint(5, 3).steps(schedule, PredictionType.EPSILON, plan);
    // From 20, 15, 10, 5 and 0 timesteps before the end, twice back by 5.
    assertThat(rows).hasSize(30 + 5 * 2 * 5);
    for (int i = 0; i < rows.size(); i++) {
      Step row = rows.get(i);
      boolean last = i + 1 == rows.size();
      double signal = last ? 1 : rows.get(i + 1).signal();
      double noise = last ? 0 : rows.get(i + 1).noise();
      assertThat(row.fromX() * row.signal() + row.fromX0()).isCloseTo(signal, within(1e-12));
      assertThat(Math.hypot(row.fromX() * row.noise(), row.fromNoise()))
          .isCloseTo(noise, within(1e-12));
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.25, 0.5, 1})
  void aThresholdIsAQuantileOfTheImage(double ratio) {
    // Of 0, 1, 2, 3, 4 the values at 1/4, 1/2 and 1 are 1, 2 and 4.
    float[] x = {0, -1, 2, -3, 4};
    Step row = Step.at(0, 0.5, PredictionType.SAMPLE);
    DenoiseRequest request =
        new DenoiseRequest(
            List.of(row),
            1,
            0,
            0,
            List.of(),
            Guidance.NONE,
            3,
            ratio,
            false,
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            DenoiseRequest.NOBODY);
    double s = Math.min(3, Math.max(1, 4 * ratio));
    float[] expected = new float[5];
    for (int i = 0; i < 5; i++) {
      expected[i] = (float) (Math.max(-s, Math.min(s, x[i])) / s);
    }
    assertThat(Estimates.ofImages(request, row, new float[5], x))
        .containsExactly(expected, within(1e-6f));
  }

  @Test
  void rescaledGuidanceHasTheDeviationOfTheLabel() {
    float[] labeled = {1, 3, 10, 30};
    float[] unlabeled = {0, 1, 0, 10};
    float[] plain = Estimates.guided(Guidance.of(2), labeled, unlabeled, 2);
    assertThat(plain).containsExactly(2, 5, 20, 50);
    float[] whole = Estimates.guided(Guidance.of(2).rescaled(1), labeled, unlabeled, 2);
    // Deviations of 1 and 10, where guidance made them 1.5 and 15.
    assertThat(whole)
        .containsExactly(new float[] {4 / 3f, 10 / 3f, 40 / 3f, 100 / 3f}, within(1e-5f));
    float[] half = Estimates.guided(Guidance.of(2).rescaled(0.5), labeled, unlabeled, 2);
    assertThat(half)
        .containsExactly(new float[] {5 / 3f, 25 / 6f, 50 / 3f, 125 / 3f}, within(1e-5f));
  }

  @Test
  void guidanceIsWhereItsIntervalSays() {
    Sampler plain = Sampler.ddim(0).steps(4).with(model).labels(3).seed(1);
    Sampler guided = plain.guidance(3);
    double[] plan = Spacing.trailing(4).timesteps(info.schedule());
    double second = info.schedule().sigma(plan[1]);
    assertThat(guided.guidanceInterval(1e9, Double.POSITIVE_INFINITY).sample(1))
        .isEqualTo(plain.sample(1));
    assertThat(guided.guidanceInterval(0, Double.POSITIVE_INFINITY).sample(1))
        .isEqualTo(guided.sample(1));
    // The first row alone, and the first two.
    Images one = guided.guidanceInterval(1.001 * second, 1e9).sample(1);
    Images two = guided.guidanceInterval(0.999 * second, 1e9).sample(1);
    assertThat(one).isNotEqualTo(two).isNotEqualTo(plain.sample(1));
    assertThat(two).isNotEqualTo(guided.sample(1));
  }

  /** A class instead of the null label that the model has: with its own, guidance does nothing. */
  @Test
  void theNullLabelMayBeTheCallers() {
    Sampler plain = Sampler.ddim(0).steps(4).with(model).labels(3).seed(1);
    assertThat(plain.guidance(3).nullLabel(3).sample(1)).isEqualTo(plain.sample(1));
    assertThat(plain.guidance(3).nullLabel(5).sample(1)).isNotEqualTo(plain.guidance(3).sample(1));
    assertThat(plain.nullLabel(5).labels(Sampler.NULL_LABEL).sample(1))
        .isEqualTo(plain.labels(5).sample(1));
  }

  @Test
  void slerpStaysOnTheArc() {
    Images a = Images.of(1, 1, 2, 1, 1, 0);
    Images b = Images.of(1, 1, 2, 1, 0, 1);
    float root = (float) Math.sqrt(0.5);
    assertThat(a.slerp(b, 0)).isEqualTo(a);
    assertThat(a.slerp(b, 0.5).toArray()).containsExactly(new float[] {root, root}, within(1e-6f));
    assertThat(a.slerp(b, 1).toArray()).containsExactly(new float[] {0, 1}, within(1e-6f));
    assertThat(a.slerp(a, 0.3)).as("no arc").isEqualTo(a);
    Images two = Images.of(2, 1, 2, 1, 0, 1, 0, 1);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> a.slerp(two, 0.5))
        .withMessage("slerp needs as many images of the same size, got " + a + " and " + two);
  }
}

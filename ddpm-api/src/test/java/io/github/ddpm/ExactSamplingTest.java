package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.api.recursive.comparison.RecursiveComparisonConfiguration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Exact answers without a network. If the data are N(m, s²), the best prediction is a linear
 * function of x, so without clipping every row is one too, and x stays Gaussian: its mean and
 * variance follow by recursion.
 */
class ExactSamplingTest {
  private static final double MEAN = 0.4;
  private static final double SD = 0.6;
  private static final double EXACT = 1e-12;

  /**
   * Before the last row. Where the cosine schedule has ᾱ = 2.4e-9, the weights of x and ε in x0 are
   * ±20,000, of which the last bit alone is 3.6e-12; the rows after it shrink that again.
   */
  private static final double ON_THE_WAY = 5e-12;

  private static final List<Method> METHODS =
      List.of(
          new Method("ddim(0)", NoiseScheduler.ddim(0), ddim(0)),
          new Method("ddim(0.3)", NoiseScheduler.ddim(0.3), ddim(0.3)),
          new Method("ddim(1)", NoiseScheduler.ddim(1), ddim(1)),
          new Method("ddpm", NoiseScheduler.ddpm(), ExactSamplingTest::ddpm),
          new Method("ddpmLarge", NoiseScheduler.ddpmLarge(), ExactSamplingTest::ddpmLarge));

  static Stream<Arguments> methodsAndTypes() {
    return METHODS.stream()
        .flatMap(
            method -> Stream.of(PredictionType.values()).map(type -> Arguments.of(method, type)));
  }

  static Stream<Method> methods() {
    return METHODS.stream();
  }

  @ParameterizedTest
  @MethodSource("methodsAndTypes")
  void rowsAgreeWithTextbookPosteriors(Method method, PredictionType type) {
    for (BetaSchedule schedule : schedules(type)) {
      for (int n : new int[] {1, 7, 10, 50, 1000}) {
        for (Spacing spacing : spacings(n)) {
          double[] plan = spacing.timesteps(schedule);
          List<Step> rows = method.scheduler().steps(schedule, type, plan);
          assertThat(rows).hasSize(n);
          Gaussian byRows = Gaussian.STANDARD;
          Gaussian byTextbook = Gaussian.STANDARD;
          for (int i = 0; i < n; i++) {
            double alphaBar = schedule.alphaBar(plan[i]);
            double next = i + 1 < n ? schedule.alphaBar(plan[i + 1]) : 1;
            byRows = byRows.through(map(rows.get(i), type));
            byTextbook = byTextbook.through(method.textbook().map(alphaBar, next));
            double tolerance = i + 1 < n ? ON_THE_WAY : EXACT;
            String where = "%s %s, n = %s, timestep %s".formatted(schedule, type, n, plan[i]);
            assertThat(byRows.mean()).as(where).isCloseTo(byTextbook.mean(), within(tolerance));
            assertThat(byRows.variance())
                .as(where)
                .isCloseTo(byTextbook.variance(), within(tolerance));
          }
        }
      }
    }
  }

  /** Including a last timestep without signal, where ε can't be had. */
  private static List<BetaSchedule> schedules(PredictionType type) {
    List<BetaSchedule> schedules =
        new ArrayList<>(List.of(BetaSchedule.linear(), BetaSchedule.cosine()));
    if (type != PredictionType.EPSILON) {
      schedules.add(BetaSchedule.linear().zeroTerminalSnr());
      schedules.add(BetaSchedule.cosine().zeroTerminalSnr());
    }
    return schedules;
  }

  private static List<Spacing> spacings(int n) {
    return n == 1
        ? List.of(Spacing.trailing(1))
        : List.of(Spacing.trailing(n), Spacing.leading(n), Spacing.linspace(n));
  }

  @ParameterizedTest
  @MethodSource("methods")
  void standardDeviationComesNearTheData(Method method) {
    for (double sd : new double[] {0.3, SD}) {
      assertThat(sdError(method, BetaSchedule.linear(), 1000, sd)).isLessThan(0.02);
      assertThat(sdError(method, BetaSchedule.cosine(), 1000, sd)).isLessThan(0.01);
    }
  }

  @ParameterizedTest
  @MethodSource("methods")
  void errorShrinksAtFirstOrder(Method method) {
    for (BetaSchedule schedule : List.of(BetaSchedule.linear(), BetaSchedule.cosine())) {
      double ratio = sdError(method, schedule, 500, SD) / sdError(method, schedule, 1000, SD);
      assertThat(ratio).as("%s", schedule).isBetween(1.8, 2.2);
    }
  }

  private static double sdError(Method method, BetaSchedule schedule, int n, double sd) {
    return Math.abs(Math.sqrt(sample(method, schedule, n, sd).variance()) - sd) / sd;
  }

  private static Gaussian sample(Method method, BetaSchedule schedule, int n, double sd) {
    PredictionType type = PredictionType.V_PREDICTION;
    Gaussian x = Gaussian.STANDARD;
    for (Step row :
        method.scheduler().steps(schedule, type, Spacing.trailing(n).timesteps(schedule))) {
      x = x.through(map(row, type, sd));
    }
    return x;
  }

  /**
   * Without noise, DDIM is Euler's method for the probability flow ODE (Song et al. 2021, section
   * 4.3). For Gaussian data its solution keeps (x - mean)/sd as it is.
   */
  @ParameterizedTest
  @EnumSource
  void etaZeroArrivesWhereTheOdeDoes(PredictionType type) {
    for (BetaSchedule schedule : List.of(BetaSchedule.linear(), BetaSchedule.cosine())) {
      for (double start : new double[] {-2, -0.5, 0, 1, 2.5}) {
        double end = odeEnd(schedule, start);
        double error500 = odeError(schedule, type, 500, start, end);
        double error1000 = odeError(schedule, type, 1000, start, end);
        assertThat(error1000)
            .as("%s from %s", schedule, start)
            .isLessThan(0.01 * Math.abs(start) + 1e-3);
        if (error1000 > 1e-4) {
          assertThat(error500 / error1000).as("%s from %s", schedule, start).isBetween(1.8, 2.2);
        }
      }
    }
  }

  /** Where the probability flow ODE brings an x at the last timestep. */
  static double odeEnd(BetaSchedule schedule, double start) {
    double alphaBar = schedule.alphaBar(schedule.timesteps() - 1);
    double startSd = Math.sqrt(alphaBar * SD * SD + 1 - alphaBar);
    return MEAN + SD * (start - Math.sqrt(alphaBar) * MEAN) / startSd;
  }

  /** Where it brings that x at another timestep. */
  static double odeAt(BetaSchedule schedule, double start, double timestep) {
    double alphaBar = schedule.alphaBar(timestep);
    return Math.sqrt(alphaBar) * MEAN
        + (odeEnd(schedule, start) - MEAN) / SD * Math.sqrt(alphaBar * SD * SD + 1 - alphaBar);
  }

  /** E[x0|x]. */
  static double bestImage(double signal, double x) {
    Linear image = new Best(signal, Math.sqrt(1 - signal * signal), SD).image();
    return image.slope() * x + image.intercept();
  }

  private static double odeError(
      BetaSchedule schedule, PredictionType type, int n, double start, double end) {
    double x = start;
    for (Step row :
        NoiseScheduler.ddim(0)
            .steps(schedule, type, Spacing.trailing(n).timesteps(BetaSchedule.linear(1000)))) {
      assertThat(row.fromNoise()).isZero();
      Linear map = map(row, type);
      x = map.slope() * x + map.intercept();
    }
    return Math.abs(x - end);
  }

  @ParameterizedTest
  @EnumSource
  void ddpmIsDdimWithEtaOneOnAllSteps(PredictionType type) {
    for (BetaSchedule schedule : schedules(type)) {
      double[] plan = Spacing.trailing(1000).timesteps(BetaSchedule.linear(1000));
      List<Step> ddpm = NoiseScheduler.ddpm().steps(schedule, type, plan);
      List<Step> ddim = NoiseScheduler.ddim(1).steps(schedule, type, plan);
      assertThat(ddpm).hasSize(1000);
      assertThat(ddim)
          .usingRecursiveFieldByFieldElementComparator(
              RecursiveComparisonConfiguration.builder()
                  .withComparatorForType(
                      (a, b) -> Math.abs(a - b) <= EXACT ? 0 : Double.compare(a, b), Double.class)
                  .build())
          .isEqualTo(ddpm);
    }
  }

  /** Our η is the share of the variance; the paper's is its square root. */
  @Test
  void etaIsTheShareOfThePosteriorVariance() {
    BetaSchedule schedule = BetaSchedule.linear();
    double[] plan = Spacing.trailing(10).timesteps(BetaSchedule.linear(1000));
    List<Step> rows = NoiseScheduler.ddim(0.3).steps(schedule, PredictionType.EPSILON, plan);
    for (int i = 0; i < 9; i++) {
      double variance =
          bayes(schedule.alphaBar(plan[i]), schedule.alphaBar(plan[i + 1])).variance();
      assertThat(rows.get(i).fromNoise()).isCloseTo(Math.sqrt(0.3 * variance), within(EXACT));
    }
    assertThat(rows.get(9).fromNoise()).isZero();
  }

  /** Whatever η, x' given x0 has the variance that forward noising gives it. */
  @Test
  void everyEtaKeepsTheForwardMarginals() {
    for (BetaSchedule schedule : schedules(PredictionType.SAMPLE)) {
      double[] plan = Spacing.trailing(50).timesteps(BetaSchedule.linear(1000));
      for (double eta : new double[] {0, 0.3, 0.7, 1}) {
        List<Step> rows = NoiseScheduler.ddim(eta).steps(schedule, PredictionType.SAMPLE, plan);
        for (int i = 0; i < 50; i++) {
          Step row = rows.get(i);
          double next = i + 1 < 50 ? schedule.alphaBar(plan[i + 1]) : 1;
          assertThat(row.fromX() * row.signal() + row.fromX0())
              .isCloseTo(Math.sqrt(next), within(EXACT));
          assertThat(square(row.fromX() * row.noise()) + square(row.fromNoise()))
              .isCloseTo(1 - next, within(EXACT));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("methods")
  void predictionTypesAgree(Method method) {
    for (BetaSchedule schedule : schedules(PredictionType.EPSILON)) {
      double[] plan = Spacing.trailing(50).timesteps(BetaSchedule.linear(1000));
      List<Step> rows = method.scheduler().steps(schedule, PredictionType.SAMPLE, plan);
      for (PredictionType type : PredictionType.values()) {
        List<Step> others = method.scheduler().steps(schedule, type, plan);
        for (int i = 0; i < plan.length; i++) {
          Linear expected = map(rows.get(i), PredictionType.SAMPLE);
          Linear map = map(others.get(i), type);
          String where = "%s %s, timestep %s".formatted(schedule, type, plan[i]);
          assertThat(map.slope()).as(where).isCloseTo(expected.slope(), within(EXACT));
          assertThat(map.intercept()).as(where).isCloseTo(expected.intercept(), within(EXACT));
          assertThat(map.noise()).as(where).isEqualTo(expected.noise());
        }
      }
    }
  }

  /** A row with the best predictor in it, as x' = slope·x + intercept + noise·z. */
  private static Linear map(Step row, PredictionType type) {
    return map(row, type, SD);
  }

  private static Linear map(Step row, PredictionType type, double sd) {
    assertThat(row.fromPrevious()).isZero();
    assertThat(row.fromOlder()).isZero();
    assertThat(row.fromOldest()).isZero();
    Best best = new Best(row.signal(), row.noise(), sd);
    Linear out =
        switch (type) {
          case EPSILON -> best.noise();
          case SAMPLE -> best.image();
          case V_PREDICTION ->
              new Linear(
                  row.signal() * best.noise().slope() - row.noise() * best.image().slope(),
                  row.signal() * best.noise().intercept() - row.noise() * best.image().intercept(),
                  0);
        };
    double x0Slope = row.x0FromX() + row.x0FromOut() * out.slope();
    double x0Intercept = row.x0FromOut() * out.intercept();
    return new Linear(
        row.fromX() + row.fromOut() * out.slope() + row.fromX0() * x0Slope,
        row.fromOut() * out.intercept() + row.fromX0() * x0Intercept,
        row.fromNoise());
  }

  /** Song et al. 2021, eq. 12, with σ² the share eta of the posterior's variance. */
  private static Textbook ddim(double eta) {
    return (alphaBar, next) -> {
      double variance = eta * bayes(alphaBar, next).variance();
      double direction = Math.sqrt(Math.max(0, 1 - next - variance));
      Best best = new Best(Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar), SD);
      return new Linear(
          Math.sqrt(next) * best.image().slope() + direction * best.noise().slope(),
          Math.sqrt(next) * best.image().intercept() + direction * best.noise().intercept(),
          Math.sqrt(variance));
    };
  }

  /**
   * Ho et al. 2020, algorithm 2: a draw from the posterior, but for the last row, which takes its
   * mean.
   */
  private static Linear ddpm(double alphaBar, double next) {
    Posterior posterior = bayes(alphaBar, next);
    return withImage(posterior, alphaBar, Math.sqrt(posterior.variance()));
  }

  /** The same mean, with the variance of the forward step. */
  private static Linear ddpmLarge(double alphaBar, double next) {
    return withImage(
        bayes(alphaBar, next), alphaBar, next == 1 ? 0 : Math.sqrt(1 - alphaBar / next));
  }

  private static Linear withImage(Posterior posterior, double alphaBar, double noise) {
    Linear image = new Best(Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar), SD).image();
    return new Linear(
        posterior.fromX() + posterior.fromX0() * image.slope(),
        posterior.fromX0() * image.intercept(),
        noise);
  }

  /**
   * q(x'|x, x0) by Bayes' rule: the prior is N(√ᾱ'·x0, 1-ᾱ'), and x is N(√α·x', 1-α) with α = ᾱ/ᾱ'.
   */
  private static Posterior bayes(double alphaBar, double next) {
    if (next == 1) {
      return new Posterior(0, 1, 0);
    }
    double alpha = alphaBar / next;
    double beta = 1 - alpha;
    double precision = 1 / (1 - next) + alpha / beta;
    return new Posterior(
        Math.sqrt(alpha) / beta / precision,
        Math.sqrt(next) / (1 - next) / precision,
        1 / precision);
  }

  private static double square(double value) {
    return value * value;
  }

  /** E[x0|x] and E[ε|x] for x = signal·x0 + noise·ε with x0 from N(MEAN, sd²). */
  private record Best(double signal, double noiseWeight, double sd) {
    private double variance() {
      return square(signal * sd) + square(noiseWeight);
    }

    Linear image() {
      return new Linear(signal * sd * sd / variance(), MEAN * square(noiseWeight) / variance(), 0);
    }

    Linear noise() {
      return new Linear(noiseWeight / variance(), -noiseWeight * signal * MEAN / variance(), 0);
    }
  }

  private record Linear(double slope, double intercept, double noise) {}

  private record Posterior(double fromX, double fromX0, double variance) {}

  private record Gaussian(double mean, double variance) {
    static final Gaussian STANDARD = new Gaussian(0, 1);

    Gaussian through(Linear map) {
      return new Gaussian(
          map.slope() * mean + map.intercept(),
          square(map.slope()) * variance + square(map.noise()));
    }
  }

  @FunctionalInterface
  private interface Textbook {
    Linear map(double alphaBar, double next);
  }

  private record Method(String name, NoiseScheduler scheduler, Textbook textbook) {
    @Override
    public String toString() {
      return name;
    }
  }
}

package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A variance that a model says, which is that of a solver where it is the same for all. */
class LearnedVarianceTest {
  private static final Sampler DDPM = Sampler.ddpm().labels(3, 1).seed(4);

  /** A model whose variance is this part of the way from the least to the most. */
  private static Predictor saying(double variance) {
    return new FormulaPredictor(FormulaPredictor.withLabels().info()) {
      @Override
      public float[] predictVariance(float[] x, double timestep, int... labels) {
        float[] same = new float[x.length];
        Arrays.fill(same, (float) variance);
        return same;
      }
    };
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5, 1000})
  void theLeastIsThatOfDdpmAndTheMostThatOfTheLargeOne(int steps) {
    Sampler learned = DDPM.steps(steps).learnedVariance();
    Sampler small = DDPM.steps(steps).with(saying(0));
    assertThat(learned.with(saying(0)).sample(3)).isEqualTo(small.sample(3));
    Sampler large =
        Sampler.of(NoiseScheduler.ddpmLarge()).labels(3, 1).seed(4).steps(steps).with(saying(1));
    assertThat(learned.with(saying(1)).sample(3).toArray())
        .containsExactly(large.sample(3).toArray(), within(2e-5f));
  }

  /** Of a row from one timestep to another, by the paper's formula. */
  @ParameterizedTest
  @ValueSource(doubles = {-0.25, 0.5, 1.25})
  void aRowHasTheNoiseOfTheFormula(double v) {
    BetaSchedule schedule = BetaSchedule.cosine();
    double alphaBar = schedule.alphaBar(700);
    double next = schedule.alphaBar(400);
    double beta = 1 - alphaBar / next;
    double posterior = beta * (1 - next) / (1 - alphaBar);
    double expected = Math.exp((v * Math.log(beta) + (1 - v) * Math.log(posterior)) / 2);
    List<Step> rows =
        NoiseScheduler.ddpm().steps(schedule, PredictionType.V_PREDICTION, new double[] {700, 400});
    DenoiseRequest request =
        new DenoiseRequest(
            rows,
            1,
            0,
            0,
            List.of(),
            Guidance.NONE,
            1,
            0,
            true,
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            DenoiseRequest.NOBODY);
    float[] spread =
        Estimates.spread(new float[] {1}, new float[] {(float) v}, request.varianceRange(0));
    assertThat(rows.get(0).fromNoise() * spread[0]).isCloseTo(expected, within(1e-7));
    assertThat(request.varianceRange(1)).as("the last row has no noise").isZero();
  }

  @Test
  void otherSolversAndModelsAreRefused() {
    for (Sampler other :
        new Sampler[] {
          Sampler.ddim(0.5), Sampler.of(NoiseScheduler.ddpmLarge()), Sampler.dpmSolver()
        }) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> other.with(saying(0)).learnedVariance())
          .withMessageContaining("a learned variance goes with ddpm(), whose noise at timestep ");
    }
    assertThatIllegalArgumentException()
        .isThrownBy(() -> DDPM.learnedVariance().with(FormulaPredictor.withLabels()).sample(1))
        .withMessage("the model learned no variance");
  }
}

package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ModelInfoTest {
  /** Three models of 10 classes and a null label, of 10 classes, and without labels. */
  private static final ModelInfo WITH = FormulaPredictor.withLabels().info();

  private static final ModelInfo NEEDING = FormulaPredictor.needingLabels().info();
  private static final ModelInfo WITHOUT = FormulaPredictor.withoutLabels().info();

  /** Those of MNIST's training images. */
  static final List<Long> DIGITS =
      List.of(5923L, 6742L, 5958L, 6131L, 5842L, 5421L, 5918L, 6265L, 5851L, 5949L);

  @Test
  void inputIsCounted() {
    assertThat(WITH.checkInput(new float[12], 999, 10, 0)).isEqualTo(2);
    assertThat(NEEDING.checkInput(new float[12], 0, 9)).isEqualTo(1);
    assertThat(WITHOUT.checkInput(new float[27], 0.5)).isEqualTo(3);
    assertThat(WITHOUT.checkInput(new float[0], 0)).isZero();
  }

  @Test
  void aConditionIsPartOfTheInput() {
    ModelInfo conditioned = NEEDING.withConditionChannels(1);
    assertThat(conditioned.imageSize()).isEqualTo(12);
    assertThat(conditioned.inputSize()).isEqualTo(16);
    assertThat(conditioned.checkInput(new float[32], 0, 9, 0)).isEqualTo(2);
    refused(conditioned, 24, 0, "x must be whole images of 16 values, got 24 values", 1, 1);
    float[] images = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    assertThat(conditioned.input(images, -1, -2, -3, -4))
        .containsExactly(1, 2, 3, -1, 4, 5, 6, -2, 7, 8, 9, -3, 10, 11, 12, -4);
    assertThat(NEEDING.input(images)).isSameAs(images);
    assertThat(conditioned.withSpacingExponent(0.5).evenlySpaced().conditionChannels())
        .isEqualTo(1);
    assertThat(conditioned.withConditionChannels(0)).isEqualTo(NEEDING);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> NEEDING.withConditionChannels(-1))
        .withMessage("condition channels must be at least 0, got -1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> NEEDING.withConditionChannels(Integer.MAX_VALUE))
        .withMessage("an image must have at most 2^31 - 1 values, got 2x2x2147483650");
  }

  @Test
  void inputThatDoesNotFitIsRefused() {
    refused(WITH, 7, 0, "x must be whole images of 6 values, got 7 values", 1);
    refused(WITH, 6, -0.5, "timestep must be in [0, 999], got -0.5", 1);
    refused(WITH, 6, 999.5, "timestep must be in [0, 999], got 999.5", 1);
    refused(WITH, 6, Double.NaN, "timestep must be in [0, 999], got NaN", 1);
    refused(WITH, 12, 0, "the model has 10 classes, so 2 images need 2 labels, got 1", 1);
    refused(WITHOUT, 9, 0, "the model has 0 classes, so 1 images need 0 labels, got 1", 1);
    refused(WITH, 6, 0, "labels must be in [0, 10], got 11", 11);
    refused(NEEDING, 12, 0, "labels must be in [0, 9], got 10", 10);
    refused(NEEDING, 12, 0, "labels must be in [0, 9], got -1", -1);
  }

  /** Evenly in its own time is by the power in that of the model, also where ε starts later. */
  @Test
  void anotherTimeMakesPlansEven() {
    for (ModelInfo model : new ModelInfo[] {WITH, WITHOUT}) {
      ModelInfo spaced = model.withSpacingExponent(0.5);
      ModelInfo even = spaced.evenlySpaced();
      assertThat(even.withSpacingExponent(0.5).withSteps(3).evenlySpaced().steps()).isEqualTo(3);
      for (int n : new int[] {1, 4, 10, 500}) {
        double[] plan = spaced.spacing(n).timesteps(BetaSchedule.linear(1000));
        double[] own = Spacing.trailing(n).timesteps(BetaSchedule.linear(1000));
        for (int i = 0; i < n; i++) {
          double alphaBar = spaced.schedule().alphaBar(plan[i]);
          assertThat(even.schedule().alphaBar(own[i]))
              .isCloseTo(alphaBar, within(1e-12 * alphaBar));
        }
      }
    }
    ModelInfo noSignal =
        new ModelInfo(
                1, 1, 1, 0, false, BetaSchedule.linear().zeroTerminalSnr(), PredictionType.SAMPLE)
            .withSpacingExponent(0.5);
    assertThatIllegalArgumentException()
        .isThrownBy(noSignal::evenlySpaced)
        .withMessage(
            "a schedule of zero terminal SNR can't be spaced anew: the spacing exponent must be 1, got 0.5");
  }

  @Test
  void theStepsOfADistilledModelAreAtMostAllOfIts() {
    assertThat(WITH.steps()).isZero();
    assertThat(WITH.withSteps(1000).withSpacingExponent(0.5).steps()).isEqualTo(1000);
    assertThat(WITH.withSteps(4).withSteps(0)).isEqualTo(WITH);
    for (int steps : new int[] {-1, 1001}) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> WITH.withSteps(steps))
          .withMessage(
              "the steps that a model was distilled for must be in [0, 1000], got " + steps);
    }
  }

  /** From a Python script of its own: word 0 of Philox of [0, 2³² - 1, image low, image high]. */
  @Test
  void labelsAreAFunctionOfSeedAndImage() {
    ModelInfo digits = WITH.withLabelCounts(DIGITS);
    assertThat(IntStream.range(0, 12).map(image -> digits.label(1, image)))
        .containsExactly(0, 1, 9, 5, 6, 7, 8, 0, 2, 5, 6, 8);
    assertThat(IntStream.range(0, 6).map(image -> digits.label(-2, (5L << 32) + image)))
        .containsExactly(3, 0, 4, 6, 2, 5);
    assertThat(WITH.label(1, 0)).isEqualTo(10);
  }

  /** 5 standard deviations of a binomial distribution, and none of what was never learned. */
  @Test
  void labelsAreAsFrequentAsInTheTrainingData() {
    List<Long> counts = List.of(0L, 1L << 61, 1L << 60, 0L, 1L << 60, 0L, 0L, 0L, 0L, 0L);
    ModelInfo model = WITH.withLabelCounts(counts);
    int n = 100_000;
    int[] drawn = new int[10];
    for (int image = 0; image < n; image++) {
      drawn[model.label(3, image)]++;
    }
    for (int label = 0; label < 10; label++) {
      double share = counts.get(label) * 0x1p-62;
      assertThat((double) drawn[label])
          .isCloseTo(share * n, within(5 * Math.sqrt(n * share * (1 - share))));
    }
  }

  @Test
  void labelCountsAreOneOfEachClass() {
    assertThat(WITH.withLabelCounts(DIGITS).withSteps(3).withSpacingExponent(0.5).evenlySpaced())
        .extracting(ModelInfo::labelCounts)
        .isEqualTo(DIGITS);
    assertThat(WITH.withLabelCounts(DIGITS).withLabelCounts(List.of())).isEqualTo(WITH);
    refused(List.of(1L), "there must be one label count for each of 10 classes, got 1");
    refused(
        Collections.nCopies(10, 0L),
        "label counts must not all be 0, got [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]");
    String rule = "label counts must be at least 0 and add up to less than 2^63, got ";
    List<Long> many = new ArrayList<>(DIGITS);
    many.set(9, Long.MAX_VALUE);
    refused(many, rule + many);
    List<Long> negative = new ArrayList<>(DIGITS);
    negative.set(7, -1L);
    refused(negative, rule + negative);
  }

  @Test
  void classNamesAreOneOfEachClass() {
    List<String> names = List.of("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
    ModelInfo named = WITH.withClassNames(names);
    assertThat(WITH.classNames()).isEmpty();
    assertThat(named.withLabelCounts(DIGITS).withSteps(3).withSpacingExponent(0.5).evenlySpaced())
        .extracting(ModelInfo::classNames)
        .isEqualTo(names);
    assertThat(named.withClassNames(List.of())).isEqualTo(WITH);
    namesRefused(List.of("a"), "there must be one name for each of 10 classes, got 1");
    List<String> twice = new ArrayList<>(names);
    twice.set(9, "a");
    namesRefused(twice, "no two class names may be alike, got " + twice);
  }

  private static void namesRefused(List<String> names, String message) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> WITH.withClassNames(names))
        .withMessage(message);
  }

  private static void refused(List<Long> counts, String message) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> WITH.withLabelCounts(counts))
        .withMessage(message);
  }

  private static void refused(
      ModelInfo model, int values, double timestep, String message, int... labels) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> model.checkInput(new float[values], timestep, labels))
        .withMessage(message);
  }
}

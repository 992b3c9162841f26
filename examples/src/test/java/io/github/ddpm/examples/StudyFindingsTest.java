package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyCell.Spaced;
import io.github.ddpm.examples.StudyFindings.Finding;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;

/** The words of the report, for made up numbers. */
class StudyFindingsTest {
  private static final String V = "v_prediction";
  private static final String EPSILON = "epsilon";

  /** Up to 50 steps an error of 0.5, so that 2.12 counts; above 2. */
  private static final StudyPlan PLAN = new StudyPlan(List.of(1, 5, 10, 100), 1000, 1000, 100);

  private static final Map<Integer, Double> V_BY_STEPS = Map.of(1, 40.0, 5, 6.0, 10, 2.0, 100, 1.0);

  @Test
  void chanceIsGivenForTheFloor() {
    assertThat(about("Chance:", setting -> 1))
        .isEqualTo(
            "With 1000 images, two settings near the floor can be told apart if their kernel distances are 0.85 apart;"
                + " the floor is 0.10 ± 0.20, 98.0 % of its images sure.");
  }

  @Test
  void theBestNumberOfStepsIsNotTheLuckiestOfFewImages() {
    assertThat(about("v_prediction, η = 0:", setting -> V_BY_STEPS.get(setting.steps())))
        .isEqualTo(
            "the kernel distance falls from 40.00 with 1 step to 2.00 with 10 steps; no number of steps is shown to be"
                + " better than 10 steps, with 2.00. The share of sure digits goes from 10 % with 1 step to 90 % with"
                + " 10 steps.");
    assertThat(about("v_prediction, η = 0:", setting -> 3))
        .isEqualTo(
            "no number of steps is shown to be better than 1 step, with a kernel distance of 3.00.");
  }

  @Test
  void etaCountsOnlyWhereItsBestAndWorstAreApart() {
    ToDoubleFunction<Setting> kernel =
        setting ->
            V_BY_STEPS.get(setting.steps())
                + (setting.steps() == 5 && setting.eta() == 1 ? 3 : 0)
                // Within chance.
                + (setting.steps() == 10 ? 2 * setting.eta() : 0);
    assertThat(about("v_prediction, η:", kernel))
        .isEqualTo(
            "the best and the worst by the number of steps: 5: η = 0.0 with 6.00 against 9.00 with η = 1.0. With 10, 100"
                + " steps the best is not shown to be better than the worst.");
    assertThat(about("epsilon, η:", setting -> 1))
        .isEqualTo("at no number of steps is the best shown to be better than the worst.");
  }

  @Test
  void typesAreComparedAtEachNumberOfSteps() {
    ToDoubleFunction<Setting> kernel =
        setting -> V_BY_STEPS.get(setting.steps()) * (setting.prediction().equals(EPSILON) ? 2 : 1);
    assertThat(about("v_prediction or epsilon, η = 0:", kernel))
        .isEqualTo(
            "ahead by the number of steps, 1: v_prediction (40.00 against 80.00); 5: v_prediction (6.00 against 12.00)."
                + " With 10, 100 steps no difference could be shown.");
    assertThat(about("v_prediction or epsilon, η = 0:", setting -> 1))
        .isEqualTo("no difference could be shown.");
  }

  @Test
  void spacingAndClippingAreToldFromBestToWorst() {
    ToDoubleFunction<Setting> kernel =
        setting ->
            setting.prediction().equals(V) && setting.steps() == 5
                ? 6 + (setting.spaced() == Spaced.LEADING ? 5 : 0) - (setting.clip() ? 0 : 0.25)
                : 1;
    assertThat(about("Spacing and clipping, few steps, η = 0:", kernel))
        .isEqualTo(
            "the best and the worst by kernel distance,"
                + " v_prediction, 5 steps: from 5.75 (trailing, free) to 11.00 (leading, clipped), 6.00 trailing and clipped;"
                + " v_prediction, 10 steps: from 1.00 (trailing, clipped) to 1.00 (trailing, clipped), 1.00 trailing and clipped,"
                + " no difference shown;"
                + " epsilon, 5 steps: from 1.00 (trailing, clipped) to 1.00 (trailing, clipped), 1.00 trailing and clipped, no"
                + " difference shown;"
                + " epsilon, 10 steps: from 1.00 (trailing, clipped) to 1.00 (trailing, clipped), 1.00 trailing and clipped, no"
                + " difference shown.");
  }

  /** What is found about something, in a study with that kernel distance for each setting. */
  private static String about(String about, ToDoubleFunction<Setting> kernel) {
    List<String> predictions = List.of(V, EPSILON);
    Map<Setting, StudyCell> cells = new LinkedHashMap<>();
    for (Setting setting : PLAN.settings(predictions)) {
      int images = PLAN.images(setting.steps());
      double error = images == 1000 ? 0.5 : 2;
      Quality quality =
          quality(kernel.applyAsDouble(setting), error, setting.steps() == 1 ? 0.1 : 0.9);
      cells.put(setting, new StudyCell(setting, images, 1, quality));
    }
    StudyResults results =
        new StudyResults(PLAN, 0, predictions, cells, Map.of(1000, quality(0.1, 0.2, 0.98)));
    return StudyFindings.of(results).stream()
        .filter(finding -> finding.about().equals(about))
        .map(Finding::text)
        .findFirst()
        .orElseThrow();
  }

  private static Quality quality(double kernel, double error, double sure) {
    return new Quality(1, new Estimate(kernel, error), new PrecisionRecall(1, 1), sure, 0.1);
  }
}

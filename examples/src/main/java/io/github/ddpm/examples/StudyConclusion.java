package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyCurves.Point;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The conclusion is the study in three plain sentences, of which each is what numbers show. */
final class StudyConclusion {
  private final StudyResults results;

  private StudyConclusion(StudyResults results) {
    this.results = results;
  }

  /**
   * Returns the sentences: on steps, on η, and on how to do with fewer steps.
   *
   * @param others what other studies found, maybe none
   */
  static List<String> of(StudyResults results, List<StudyCurves> others) {
    StudyConclusion conclusion = new StudyConclusion(results);
    return List.of(
        conclusion.steps(),
        conclusion.eta(),
        others.isEmpty() ? conclusion.spacing() : shortcuts(others));
  }

  private String steps() {
    List<String> needed =
        results.predictions().stream()
            .map(
                prediction ->
                    format(
                        "%s needs %s",
                        prediction, results.enough(prediction).setting().stepsInWords()))
            .toList();
    return format(
        "With evenly spaced steps and η = 0, %s: no other number of them is shown to make better digits.",
        and(needed));
  }

  private String eta() {
    List<String> better = new ArrayList<>();
    List<String> worse = new ArrayList<>();
    for (String prediction : results.predictions()) {
      List<String> betterSteps = new ArrayList<>();
      List<String> worseSteps = new ArrayList<>();
      for (int steps : results.plan().steps()) {
        StudyCell without = results.cell(prediction, steps, 0);
        List<StudyCell> all =
            StudyPlan.etas(steps).stream()
                .map(eta -> results.cell(prediction, steps, eta))
                .toList();
        if (all.stream().anyMatch(without::isWorseThan)) {
          betterSteps.add(String.valueOf(steps));
        }
        if (all.stream().anyMatch(cell -> cell.isWorseThan(without))) {
          worseSteps.add(String.valueOf(steps));
        }
      }
      addIfAny(better, prediction, betterSteps);
      addIfAny(worse, prediction, worseSteps);
    }
    if (better.isEmpty() && worse.isEmpty()) {
      return "Fresh noise on the way (η above 0) is not shown to matter anywhere.";
    }
    List<String> parts = new ArrayList<>();
    if (!better.isEmpty()) {
      parts.add("better digits of " + and(better));
    }
    if (!worse.isEmpty()) {
      parts.add("worse ones of " + and(worse));
    }
    return format(
        "Fresh noise on the way (η above 0) can make %s; elsewhere it is not shown to matter.",
        String.join(", and ", parts));
  }

  private static void addIfAny(List<String> parts, String prediction, List<String> steps) {
    if (!steps.isEmpty()) {
      parts.add(format("%s in %s steps", prediction, and(steps)));
    }
  }

  /** Of the fewest steps that are spaced in several ways. */
  private String spacing() {
    int steps = StudyPlan.FEW_STEPS.get(0);
    List<String> parts = new ArrayList<>();
    for (String prediction : results.predictions()) {
      List<StudyCell> clipped =
          results.variants(prediction, steps).stream()
              .filter(cell -> cell.setting().clip())
              .toList();
      StudyCell best = StudyCell.best(clipped);
      StudyCell worst = StudyCell.worst(clipped);
      if (worst.isWorseThan(best)) {
        parts.add(format("%s from %s to %s", prediction, spaced(best), spaced(worst)));
      }
    }
    return parts.isEmpty()
        ? "Where the few steps are is not shown to matter."
        : format(
            "Where the few steps are matters too: with %d the kernel distance varies, of %s.",
            steps, String.join(", ", parts));
  }

  private static String spaced(StudyCell cell) {
    Setting setting = cell.setting();
    return format("%.2f (%s)", cell.kernel(), setting.spaced());
  }

  private static String shortcuts(List<StudyCurves> others) {
    List<String> parts = new ArrayList<>();
    for (StudyCurves curves : others) {
      Point usual = curves.usual();
      Optional<Point> shortcut = curves.shortcut();
      shortcut.ifPresent(
          point ->
              parts.add(
                  format(
                      "%s in %s (Fréchet distance %.2f, %s in %d: %.2f)",
                      point.name(),
                      point.steps() == 1 ? "1 step" : point.steps() + " steps",
                      point.distance(),
                      usual.name(),
                      usual.steps(),
                      usual.distance())));
    }
    return parts.isEmpty()
        ? "No other way to sample comes as near to real digits in fewer steps."
        : format(
            "Other ways come as near to real digits, within %.0f %%, in fewer steps: %s.",
            100 * (StudyCurves.NEAR - 1), and(parts));
  }

  private static String and(List<String> parts) {
    int last = parts.size() - 1;
    return last == 0
        ? parts.get(0)
        : String.join(", ", parts.subList(0, last)) + " and " + parts.get(last);
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** The findings say in words what the study shows, and nothing that its numbers don't bear out. */
final class StudyFindings {
  private final StudyResults results;

  private StudyFindings(StudyResults results) {
    this.results = results;
  }

  /**
   * A finding is one thing that the study shows.
   *
   * @param about what it is about
   * @param text what it is
   */
  record Finding(String about, String text) {}

  static List<Finding> of(StudyResults results) {
    StudyFindings findings = new StudyFindings(results);
    List<String> predictions = results.predictions();
    List<Finding> all = new ArrayList<>();
    all.add(findings.chance());
    predictions.forEach(prediction -> all.add(findings.steps(prediction)));
    predictions.forEach(prediction -> all.add(findings.eta(prediction)));
    if (predictions.size() == 2) {
      all.add(findings.types(predictions.get(0), predictions.get(1)));
    }
    all.add(findings.variants());
    return all;
  }

  private Finding chance() {
    String text =
        results.floors().entrySet().stream()
            .map(
                floor ->
                    format(
                        "With %d images, two settings near the floor can be told apart if their kernel distances are"
                            + " %.2f apart; the floor is %.2f ± %.2f, %.1f %% of its images sure.",
                        floor.getKey(),
                        StudyCell.CERTAIN
                            * Math.sqrt(2)
                            * floor.getValue().kernel().standardError(),
                        floor.getValue().kernel().value(),
                        floor.getValue().kernel().standardError(),
                        100 * floor.getValue().sure()))
            .collect(Collectors.joining(" "));
    return new Finding("Chance:", text);
  }

  private Finding steps(String prediction) {
    List<StudyCell> deterministic = results.row(prediction, 0);
    StudyCell first = deterministic.get(0);
    // Of those with most images: with few, the best is the luckiest.
    int most = results.plan().images();
    StudyCell best =
        StudyCell.best(deterministic.stream().filter(cell -> cell.images() == most).toList());
    StudyCell enough = results.enough(prediction);
    String text =
        enough.equals(first)
            ? format(
                "no number of steps is shown to be better than %s, with a kernel distance of %.2f.",
                count(first), first.kernel())
            : format(
                "the kernel distance falls from %.2f with %s to %.2f with %s; no number of steps is shown to be better than"
                    + " %s, with %.2f. The share of sure digits goes from %.0f %% with %s to %.0f %% with %s.",
                first.kernel(),
                count(first),
                best.kernel(),
                count(best),
                count(enough),
                enough.kernel(),
                100 * first.quality().sure(),
                count(first),
                100 * best.quality().sure(),
                count(best));
    return new Finding(prediction + ", η = 0:", text);
  }

  private Finding eta(String prediction) {
    List<String> decided = new ArrayList<>();
    List<Integer> undecided = new ArrayList<>();
    for (int steps : results.plan().steps()) {
      if (steps == 1) {
        continue;
      }
      List<StudyCell> column =
          StudyPlan.ETAS.stream().map(eta -> results.cell(prediction, steps, eta)).toList();
      StudyCell best = StudyCell.best(column);
      StudyCell worst = StudyCell.worst(column);
      if (worst.isWorseThan(best)) {
        decided.add(
            format(
                "%d: η = %s with %.2f against %.2f with η = %s",
                steps, best.setting().eta(), best.kernel(), worst.kernel(), worst.setting().eta()));
      } else {
        undecided.add(steps);
      }
    }
    String text =
        decided.isEmpty()
            ? "at no number of steps is the best shown to be better than the worst."
            : "the best and the worst by the number of steps: "
                + String.join("; ", decided)
                + "."
                + with(undecided, "the best is not shown to be better than the worst");
    return new Finding(prediction + ", η:", text);
  }

  private Finding types(String one, String other) {
    List<String> decided = new ArrayList<>();
    List<Integer> undecided = new ArrayList<>();
    for (int steps : results.plan().steps()) {
      List<StudyCell> both = List.of(results.cell(one, steps, 0), results.cell(other, steps, 0));
      StudyCell best = StudyCell.best(both);
      StudyCell worst = StudyCell.worst(both);
      if (worst.isWorseThan(best)) {
        decided.add(
            format(
                "%d: %s (%.2f against %.2f)",
                steps, best.setting().prediction(), best.kernel(), worst.kernel()));
      } else {
        undecided.add(steps);
      }
    }
    String text =
        decided.isEmpty()
            ? "no difference could be shown."
            : "ahead by the number of steps, "
                + String.join("; ", decided)
                + "."
                + with(undecided, "no difference could be shown");
    return new Finding(one + " or " + other + ", η = 0:", text);
  }

  private Finding variants() {
    List<String> parts = new ArrayList<>();
    for (String prediction : results.predictions()) {
      for (int steps : StudyPlan.FEW_STEPS) {
        StudyCell usual = results.cell(prediction, steps, 0);
        StudyCell best = StudyCell.best(results.variants(prediction, steps));
        StudyCell worst = StudyCell.worst(results.variants(prediction, steps));
        parts.add(
            format(
                "%s, %d steps: from %.2f (%s) to %.2f (%s), %.2f trailing and clipped%s",
                prediction,
                steps,
                best.kernel(),
                best.setting().way(),
                worst.kernel(),
                worst.setting().way(),
                usual.kernel(),
                worst.isWorseThan(best) ? "" : ", no difference shown"));
      }
    }
    return new Finding(
        "Spacing and clipping, few steps, η = 0:",
        "the best and the worst by kernel distance, " + String.join("; ", parts) + ".");
  }

  private static String with(List<Integer> steps, String what) {
    return steps.isEmpty()
        ? ""
        : format(
            " With %s steps %s.",
            steps.stream().map(String::valueOf).collect(Collectors.joining(", ")), what);
  }

  private static String count(StudyCell cell) {
    return cell.setting().stepsInWords();
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.measures.Quality;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * The results are what the study measured.
 *
 * @param plan what was sampled
 * @param seed of the noise
 * @param predictions what the models predict
 * @param cells all settings of the plan
 * @param floors what as many test images get, by their number
 */
record StudyResults(
    StudyPlan plan,
    long seed,
    List<String> predictions,
    Map<Setting, StudyCell> cells,
    Map<Integer, Quality> floors) {
  /** A Fréchet distance or a recall of fewer images says nothing. */
  static final int ENOUGH = 1000;

  /** Returns what was sampled in the usual way. */
  StudyCell cell(String prediction, int steps, double eta) {
    return cells.get(Setting.of(prediction, steps, steps == 1 ? 0 : eta));
  }

  /** Returns what was sampled in the usual way with that η, by the number of steps. */
  List<StudyCell> row(String prediction, double eta) {
    return plan.steps().stream().map(steps -> cell(prediction, steps, eta)).toList();
  }

  /** Returns the fewest steps with η = 0 that no other number is shown to be better than. */
  StudyCell enough(String prediction) {
    List<StudyCell> deterministic = row(prediction, 0);
    return deterministic.stream()
        .filter(cell -> deterministic.stream().noneMatch(cell::isWorseThan))
        .findFirst()
        .orElseThrow();
  }

  /** Returns what was sampled with η = 0 in every spacing, with and without clipping. */
  List<StudyCell> variants(String prediction, int steps) {
    return cells.values().stream()
        .filter(
            cell ->
                cell.setting().prediction().equals(prediction)
                    && cell.setting().steps() == steps
                    && cell.setting().eta() == 0)
        .sorted(
            Comparator.comparing((StudyCell cell) -> cell.setting().spaced())
                .thenComparing(cell -> !cell.setting().clip()))
        .toList();
  }
}

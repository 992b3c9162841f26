package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;

/**
 * A heat map is a table of distances with colors: the further from real digits, the darker.
 *
 * @param title what is in it
 * @param columns what the columns are of
 * @param rows what is below
 */
record HeatMap(String title, List<String> columns, List<Row> rows) {
  /** Kernel distances that aren't near the floor have levels 1 to 5 by these. */
  private static final List<Double> KERNEL = List.of(2.0, 5.0, 15.0, 50.0);

  /** Fréchet distances as multiples of the floor have levels 0 to 5 by these. */
  private static final List<Double> FRECHET = List.of(1.1, 2.0, 5.0, 20.0, 100.0);

  static final List<Level> KERNEL_LEVELS = levels("not told apart from test images", 1, KERNEL);
  static final List<Level> FRECHET_LEVELS = levels("below 1.1 times the test images'", 0, FRECHET);

  /**
   * A row of cells.
   *
   * @param fewer whether it is the first of those with fewer images than the rows above
   */
  record Row(String name, int images, boolean fewer, List<Cell> cells) {}

  /**
   * A cell of the table.
   *
   * @param text the distance, none if that wasn't measured
   * @param level 0 for like real digits, up to 5; "none" without a distance
   * @param span how many columns it is wide
   */
  record Cell(String text, String level, int span) {}

  /** A color of the legend. */
  record Level(int level, String text) {}

  /** Returns the kernel distances of the study, by steps and η. */
  static HeatMap of(StudyResults results, String prediction) {
    List<Row> rows = new ArrayList<>();
    int above = results.plan().images();
    for (int steps : results.plan().steps()) {
      int images = results.plan().images(steps);
      List<Double> etas = StudyPlan.etas(steps);
      List<Cell> cells =
          etas.stream()
              .map(eta -> cell(results, results.cell(prediction, steps, eta)))
              .map(cell -> new Cell(cell.text(), cell.level(), StudyPlan.ETAS.size() / etas.size()))
              .toList();
      rows.add(new Row(String.valueOf(steps), images, images < above, cells));
      above = images;
    }
    return new HeatMap(prediction, StudyPlan.ETAS.stream().map(String::valueOf).toList(), rows);
  }

  private static Cell cell(StudyResults results, StudyCell cell) {
    boolean near = !cell.isWorseThan(results.floors().get(cell.images()));
    int level = near ? 0 : 1 + level(cell.kernel(), KERNEL);
    return new Cell(format("%.2f", cell.kernel()), String.valueOf(level), 1);
  }

  /** Returns the Fréchet distances of other ways to sample. */
  static HeatMap of(StudyCurves curves) {
    List<Row> rows = new ArrayList<>();
    for (Map.Entry<String, SortedMap<Integer, Double>> curve : curves.distances().entrySet()) {
      List<Cell> cells = new ArrayList<>();
      for (int steps : curves.steps()) {
        Double distance = curve.getValue().get(steps);
        cells.add(
            distance == null
                ? new Cell("", "none", 1)
                : new Cell(
                    // Three digits are as much as a phone has room for.
                    format(distance < 100 ? "%.2f" : "%.0f", distance),
                    String.valueOf(level(distance / curves.floor(), FRECHET)),
                    1));
      }
      rows.add(new Row(curve.getKey(), curves.images(), false, cells));
    }
    return new HeatMap(curves.title(), curves.steps().stream().map(String::valueOf).toList(), rows);
  }

  private static int level(double value, List<Double> limits) {
    return (int) limits.stream().filter(limit -> value >= limit).count();
  }

  private static List<Level> levels(String lowest, int first, List<Double> limits) {
    List<Level> levels = new ArrayList<>();
    levels.add(new Level(0, lowest));
    for (int i = 1 - first; i < limits.size(); i++) {
      levels.add(new Level(levels.size(), format("below %.0f", limits.get(i))));
    }
    levels.add(new Level(levels.size(), "more"));
    return List.copyOf(levels);
  }
}

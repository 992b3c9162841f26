package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.tf.TrainingProgress;

/**
 * A line of {@code loss.csv}: what there is to say of a step, or a round of local steps. A number
 * that is not known is NaN here, and an empty cell there.
 *
 * @param step its number
 * @param loss of the step
 * @param minutes that training had taken
 * @param learningRate of the step
 * @param gradientNorm of the step, before the gradient is clipped
 * @param imagesPerSecond of the last steps
 * @param frechetDistance of pictures that were drawn after the step
 */
record LossRow(
    long step,
    double loss,
    double minutes,
    double learningRate,
    double gradientNorm,
    double imagesPerSecond,
    double frechetDistance) {

  /** The first line of the table. */
  static final String HEADER =
      "step,loss,minutes,learning_rate,gradient_norm,images_per_second,frechet_distance";

  /** The first line of a table that an earlier version of this program wrote. */
  static final String FORMER_HEADER = "step,loss,minutes";

  /** Makes the row of a step just taken. */
  static LossRow of(TrainingProgress progress, double minutes, double frechetDistance) {
    return new LossRow(
        progress.step(),
        progress.loss(),
        minutes,
        progress.learningRate(),
        progress.gradientNorm(),
        progress.imagesPerSecond(),
        frechetDistance);
  }

  /**
   * Reads a line.
   *
   * @param columns how many there are: those of either header
   * @throws IllegalArgumentException if it has another number of cells, or one is no number
   */
  static LossRow parse(String line, int columns) {
    String[] cells = line.split(",", -1);
    if (cells.length != columns) {
      throw new IllegalArgumentException("not " + columns + " cells");
    }
    return new LossRow(
        Long.parseLong(cells[0]),
        Double.parseDouble(cells[1]),
        Double.parseDouble(cells[2]),
        number(cells, 3),
        number(cells, 4),
        number(cells, 5),
        number(cells, 6));
  }

  private static double number(String[] cells, int column) {
    return column >= cells.length || cells[column].isEmpty()
        ? Double.NaN
        : Double.parseDouble(cells[column]);
  }

  /** Returns the line. */
  String line() {
    return format(
        "%d,%s,%.3f,%s,%s,%s,%s",
        step,
        loss,
        minutes,
        cell(learningRate),
        cell(gradientNorm),
        cell(imagesPerSecond),
        cell(frechetDistance));
  }

  private static String cell(double number) {
    return Double.isNaN(number) ? "" : String.valueOf(number);
  }

  /** Tells whether this may stand below the row of a step. */
  boolean follows(long before) {
    return step > before && Double.isFinite(loss) && Double.isFinite(minutes);
  }
}

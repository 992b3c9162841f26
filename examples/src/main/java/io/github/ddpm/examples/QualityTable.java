package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.Quality;

/** A table in Markdown of what a model's pictures are worth, beside the floor. */
final class QualityTable {
  private final StringBuilder text;

  /** Begins a table below a line of text. */
  QualityTable(String title) {
    text = new StringBuilder(title).append("\n\n| | model | floor |\n|---|---|---|\n");
  }

  /** Adds the distances, precision and recall, and what a classifier says if one was asked. */
  void add(Quality quality, Quality floor) {
    line(
        "| Fréchet distance | %s, %.1f times the floor | %s |",
        distance(quality.frechet()),
        quality.frechet() / floor.frechet(),
        distance(floor.frechet()));
    line("| kernel distance | %s | %s |", number(quality.kernel()), number(floor.kernel()));
    line(
        "| precision | %.3f | %.3f |",
        quality.precisionRecall().precision(), floor.precisionRecall().precision());
    line(
        "| recall | %.3f | %.3f |",
        quality.precisionRecall().recall(), floor.precisionRecall().recall());
    if (Double.isNaN(quality.sure())) {
      return;
    }
    line(
        "| surely a digit (above %s) | %.1f %% | %.1f %% |",
        Quality.SURE, 100 * quality.sure(), 100 * floor.sure());
    line("| rarest digit | %.1f %% | %.1f %% |", 100 * quality.rarest(), 100 * floor.rarest());
  }

  /** Adds a line. */
  void line(String format, Object... values) {
    text.append(format(format, values)).append('\n');
  }

  /** Returns a Fréchet distance in at least three digits, as some features are small. */
  static String distance(double value) {
    return format(Math.abs(value) < 1 ? "%.3g" : "%.2f", value);
  }

  /** Returns an estimate in three decimals, or as many as the standard error has a digit in. */
  static String number(Estimate estimate) {
    double error = estimate.standardError();
    int first = error > 0 ? (int) Math.ceil(-Math.log10(error)) : 0;
    String decimals = "%." + Math.max(3, Math.min(9, first)) + "f";
    return format(decimals + " ± " + decimals, estimate.value(), error);
  }

  @Override
  public String toString() {
    return text.toString();
  }
}

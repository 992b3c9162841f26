package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.ddpm.tf.TrainingProgress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The loss of each step, or round of local steps, and what else there is to say of it, kept as
 * {@code loss.csv} and drawn, smoothed, as {@code loss.png}.
 */
final class LossCurve {
  private static final String CSV = "loss.csv";

  /**
   * A new loss has this share in the smoothed one: single steps differ by the timesteps they drew.
   */
  private static final double SMOOTHING = 0.02;

  /** A training whose smoothed loss is so many times its lowest is not learning any more. */
  private static final double MAX_GROWTH = 1e6;

  /** A loss below this counts as this: it is as good as none, and growing from it means little. */
  private static final double MIN_LOWEST = 1e-6;

  private final Path folder;
  private final List<LossRow> rows = new ArrayList<>();
  private final List<Double> smoothed = new ArrayList<>();
  private final long start = System.nanoTime();
  private double minutesBefore;
  private double lowest = Double.POSITIVE_INFINITY;

  /** Starts a curve in a folder. */
  LossCurve(Path folder) {
    this.folder = folder;
  }

  /**
   * Goes on with the curve that is in the folder, if there is one. One that is damaged is kept
   * under another name, and this one starts where training goes on.
   *
   * @param step steps taken so far; what was written of later ones, before training was resumed, is
   *     dropped
   * @throws IOException if it is damaged or can't be read; the message says so, and this is empty
   */
  void read(long step) throws IOException {
    Path csv = folder.resolve(CSV);
    if (!Files.exists(csv)) {
      return;
    }
    List<LossRow> written;
    try {
      written = parse(Files.readAllLines(csv));
    } catch (IOException | IllegalArgumentException e) {
      Path kept = unused();
      Files.move(csv, kept);
      throw new IOException(
          format(
              "%s is damaged (%s): it is now %s, and the curve starts after step %d",
              csv, Commands.reason(e), kept.getFileName(), step),
          e);
    }
    written.stream().filter(row -> row.step() <= step).forEach(this::add);
    minutesBefore = minutes();
  }

  private Path unused() {
    Path name = folder.resolve("loss-damaged.csv");
    for (int i = 2; Files.exists(name); i++) {
      name = folder.resolve("loss-damaged-" + i + ".csv");
    }
    return name;
  }

  private static List<LossRow> parse(List<String> lines) {
    String header = lines.isEmpty() ? "" : lines.get(0);
    if (!header.equals(LossRow.HEADER) && !header.equals(LossRow.FORMER_HEADER)) {
      throw new IllegalArgumentException("it doesn't begin with " + LossRow.HEADER);
    }
    int columns = Math.toIntExact(1 + header.chars().filter(c -> c == ',').count());
    List<LossRow> parsed = new ArrayList<>();
    long before = 0;
    for (int i = 1; i < lines.size(); i++) {
      String problem = "line " + (i + 1) + " is no next " + header;
      LossRow row;
      try {
        row = LossRow.parse(lines.get(i), columns);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(problem, e);
      }
      if (!row.follows(before)) {
        throw new IllegalArgumentException(problem);
      }
      before = row.step();
      parsed.add(row);
    }
    return parsed;
  }

  /**
   * Adds a step just taken.
   *
   * @param progress of the step, after those before
   * @param frechetDistance of pictures drawn after it; NaN if it was not measured
   * @return what was added
   */
  LossRow add(TrainingProgress progress, double frechetDistance) {
    double taken = minutesBefore + (System.nanoTime() - start) / 60e9;
    LossRow row = LossRow.of(progress, taken, frechetDistance);
    add(row);
    return row;
  }

  /** Adds the row of a step, after those before. */
  void add(LossRow row) {
    double before = smoothed.isEmpty() ? row.loss() : recent();
    // The plain mean at first, so that the start doesn't weigh more than it should.
    double share = Math.max(SMOOTHING, 1.0 / (rows.size() + 1));
    rows.add(row);
    smoothed.add(before + share * (row.loss() - before));
    lowest = Math.min(lowest, recent());
  }

  /** Returns the smoothed loss now. */
  double recent() {
    return smoothed.get(smoothed.size() - 1);
  }

  /** Returns the lowest that the smoothed loss ever was. */
  double lowest() {
    return lowest;
  }

  /** Tells whether the loss has grown so much that the weights are worth nothing any more. */
  boolean isLost() {
    return !smoothed.isEmpty() && recent() > MAX_GROWTH * Math.max(lowest, MIN_LOWEST);
  }

  /** Returns the mean loss of the last steps, at most that many, by the rounds that end there. */
  double mean(int count) {
    return rows.stream()
        .filter(row -> row.step() > rows.get(rows.size() - 1).step() - count)
        .mapToDouble(LossRow::loss)
        .average()
        .orElse(Double.NaN);
  }

  /** Returns how long training has taken, before it was resumed too. */
  double minutes() {
    return rows.isEmpty() ? 0 : rows.get(rows.size() - 1).minutes();
  }

  /** Writes the table. */
  void saveTable() throws IOException {
    StringBuilder table = new StringBuilder(LossRow.HEADER).append(System.lineSeparator());
    for (LossRow row : rows) {
      table.append(row.line()).append(System.lineSeparator());
    }
    Commands.replace(folder.resolve(CSV), table.toString().getBytes(UTF_8));
  }

  /** Draws the curve; without fonts that ends in an error of the Java runtime. */
  void saveChart() throws IOException {
    List<Long> steps = rows.stream().map(LossRow::step).toList();
    Commands.replace(folder.resolve("loss.png"), LossChart.png(steps, smoothed));
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * The loss of each step, or round of local steps, and the minutes it took to get there, kept as
 * {@code loss.csv} and drawn, smoothed, as {@code loss.png}.
 */
final class LossCurve {
  private static final String CSV = "loss.csv";
  private static final String HEADER = "step,loss,minutes";

  /**
   * A new loss has this share in the smoothed one: single steps differ by the timesteps they drew.
   */
  private static final double SMOOTHING = 0.02;

  /** A training whose smoothed loss is so many times its lowest is not learning any more. */
  private static final double MAX_GROWTH = 1e6;

  /** A loss below this counts as this: it is as good as none, and growing from it means little. */
  private static final double MIN_LOWEST = 1e-6;

  private final Path folder;
  private final List<Long> steps = new ArrayList<>();
  private final List<Double> losses = new ArrayList<>();
  private final List<Double> smoothed = new ArrayList<>();
  private final List<Double> minutes = new ArrayList<>();
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
    List<Row> rows;
    try {
      rows = rows(Files.readAllLines(csv));
    } catch (IOException | IllegalArgumentException e) {
      Path kept = unused();
      Files.move(csv, kept);
      throw new IOException(
          format(
              "%s is damaged (%s): it is now %s, and the curve starts after step %d",
              csv, Commands.reason(e), kept.getFileName(), step),
          e);
    }
    rows.stream().filter(row -> row.step <= step).forEach(this::add);
    minutesBefore = minutes();
  }

  private Path unused() {
    Path name = folder.resolve("loss-damaged.csv");
    for (int i = 2; Files.exists(name); i++) {
      name = folder.resolve("loss-damaged-" + i + ".csv");
    }
    return name;
  }

  /** A line of the table. */
  private record Row(long step, double loss, double minutes) {
    static Row of(String line) {
      String[] cells = line.split(",", -1);
      if (cells.length != 3) {
        throw new IllegalArgumentException("not three cells");
      }
      return new Row(
          Long.parseLong(cells[0]), Double.parseDouble(cells[1]), Double.parseDouble(cells[2]));
    }

    boolean follows(long before) {
      return step > before && Double.isFinite(loss) && Double.isFinite(minutes);
    }
  }

  private static List<Row> rows(List<String> lines) {
    if (lines.isEmpty() || !lines.get(0).equals(HEADER)) {
      throw new IllegalArgumentException("it doesn't begin with " + HEADER);
    }
    List<Row> rows = new ArrayList<>();
    long before = 0;
    for (int i = 1; i < lines.size(); i++) {
      String problem = "line " + (i + 1) + " is no next " + HEADER;
      Row row;
      try {
        row = Row.of(lines.get(i));
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(problem, e);
      }
      if (!row.follows(before)) {
        throw new IllegalArgumentException(problem);
      }
      before = row.step;
      rows.add(row);
    }
    return rows;
  }

  /**
   * Adds the loss of a step just taken.
   *
   * @param step its number, after those before
   */
  void add(long step, double loss) {
    add(new Row(step, loss, minutesBefore + (System.nanoTime() - start) / 60e9));
  }

  private void add(Row row) {
    double before = smoothed.isEmpty() ? row.loss : recent();
    // The plain mean at first, so that the start doesn't weigh more than it should.
    double share = Math.max(SMOOTHING, 1.0 / (losses.size() + 1));
    steps.add(row.step);
    losses.add(row.loss);
    minutes.add(row.minutes);
    smoothed.add(before + share * (row.loss - before));
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
    return IntStream.range(0, losses.size())
        .filter(i -> steps.get(i) > steps.get(steps.size() - 1) - count)
        .mapToDouble(losses::get)
        .average()
        .orElse(Double.NaN);
  }

  /** Returns how long training has taken, before it was resumed too. */
  double minutes() {
    return minutes.isEmpty() ? 0 : minutes.get(minutes.size() - 1);
  }

  /** Writes the table. */
  void saveTable() throws IOException {
    StringBuilder table = new StringBuilder(HEADER).append(System.lineSeparator());
    for (int i = 0; i < losses.size(); i++) {
      table
          .append(format("%d,%s,%.3f", steps.get(i), losses.get(i), minutes.get(i)))
          .append(System.lineSeparator());
    }
    Commands.replace(folder.resolve(CSV), table.toString().getBytes(UTF_8));
  }

  /** Draws the curve; without fonts that ends in an error of the Java runtime. */
  void saveChart() throws IOException {
    XYChart chart =
        new XYChartBuilder().width(800).height(450).xAxisTitle("step").yAxisTitle("loss").build();
    chart.getStyler().setYAxisLogarithmic(true).setLegendVisible(false).setLocale(Locale.ROOT);
    chart.addSeries("loss", steps, smoothed).setMarker(SeriesMarkers.NONE);
    Commands.replace(folder.resolve("loss.png"), ChartEncoder.getBytes(chart, "png"));
  }
}

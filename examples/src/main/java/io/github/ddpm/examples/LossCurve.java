package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * The loss of each step and the minutes it took to get there, kept as {@code loss.csv} and drawn,
 * smoothed, as {@code loss.png}.
 */
final class LossCurve {
  private static final String HEADER = "step,loss,minutes";

  /**
   * A new loss has this share in the smoothed one: single steps differ by the timesteps they drew.
   */
  private static final double SMOOTHING = 0.02;

  private final Path folder;
  private final List<Double> losses = new ArrayList<>();
  private final List<Double> smoothed = new ArrayList<>();
  private final List<Double> minutes = new ArrayList<>();
  private final long start = System.nanoTime();
  private final double minutesBefore;

  /**
   * Goes on with the curve in a folder.
   *
   * @param step steps taken so far; what was written of later ones, before training was resumed, is
   *     dropped
   */
  LossCurve(Path folder, long step) throws IOException {
    this.folder = folder;
    Path csv = folder.resolve("loss.csv");
    if (step > 0 && Files.exists(csv)) {
      List<String> lines = Files.readAllLines(csv);
      try {
        for (String line : lines.subList(1, (int) Math.min(lines.size(), step + 1))) {
          String[] cells = line.split(",", -1);
          add(Double.parseDouble(cells[1]), Double.parseDouble(cells[2]));
        }
      } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
        throw new IOException(csv + ": not a table of " + HEADER + ": " + e.getMessage(), e);
      }
    }
    minutesBefore = minutes();
  }

  void add(double loss) {
    add(loss, minutesBefore + (System.nanoTime() - start) / 60e9);
  }

  private void add(double loss, double time) {
    double before = smoothed.isEmpty() ? loss : smoothed.get(smoothed.size() - 1);
    // The plain mean at first, so that the start doesn't weigh more than it should.
    double share = Math.max(SMOOTHING, 1.0 / (losses.size() + 1));
    losses.add(loss);
    minutes.add(time);
    smoothed.add(before + share * (loss - before));
  }

  /** Returns the smoothed loss now. */
  double recent() {
    return smoothed.get(smoothed.size() - 1);
  }

  /** Returns the mean loss of the last steps, at most that many. */
  double mean(int steps) {
    return losses.subList(Math.max(0, losses.size() - steps), losses.size()).stream()
        .mapToDouble(loss -> loss)
        .average()
        .orElse(Double.NaN);
  }

  /** Returns how long training has taken, before it was resumed too. */
  double minutes() {
    return minutes.isEmpty() ? 0 : minutes.get(minutes.size() - 1);
  }

  void save() throws IOException {
    if (losses.isEmpty()) {
      return;
    }
    List<String> lines = new ArrayList<>();
    lines.add(HEADER);
    for (int i = 0; i < losses.size(); i++) {
      lines.add(format("%d,%s,%.3f", i + 1, losses.get(i), minutes.get(i)));
    }
    Files.write(folder.resolve("loss.csv"), lines);
    XYChart chart =
        new XYChartBuilder().width(800).height(450).xAxisTitle("step").yAxisTitle("loss").build();
    chart.getStyler().setYAxisLogarithmic(true).setLegendVisible(false).setLocale(Locale.ROOT);
    chart.addSeries("loss", null, smoothed).setMarker(SeriesMarkers.NONE);
    ChartEncoder.saveChart(chart, folder.resolve("loss.png").toString(), "png");
  }
}

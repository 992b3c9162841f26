package io.github.ddpm.examples;

import io.github.ddpm.examples.measures.Quality;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.util.ArrayList;
import java.util.IntSummaryStatistics;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The charts show the measures of the study against the number of steps. */
final class StudyCharts {
  private static final List<Measure> MEASURES =
      List.of(
          new Measure("kernel distance", true, false, StudyCharts::drawn),
          new Measure("Fréchet distance", true, true, Quality::frechet),
          new Measure("sure, %", false, false, quality -> 100 * quality.sure()),
          new Measure("precision", false, true, quality -> quality.precisionRecall().precision()),
          new Measure("recall", false, true, quality -> quality.precisionRecall().recall()));

  /** The colors go from η = 0, cold, to 1, warm. */
  private static final List<Color> COLORS =
      List.of(
          new Color(0x2c5aa0),
          new Color(0x4a9ab5),
          new Color(0x7a8f3a),
          new Color(0xd98c2b),
          new Color(0xb53a2e));

  private StudyCharts() {}

  /**
   * A chart draws one measure.
   *
   * @param many whether it takes {@link StudyResults#ENOUGH} images
   */
  private record Measure(
      String name, boolean logarithmic, boolean many, ToDoubleFunction<Quality> value) {
    boolean isOf(StudyCell cell) {
      return !many || cell.images() >= StudyResults.ENOUGH;
    }

    double of(Quality quality) {
      return value.applyAsDouble(quality);
    }
  }

  static List<XYChart> of(StudyResults results) {
    List<XYChart> charts = new ArrayList<>();
    for (Measure measure : MEASURES) {
      for (String prediction : results.predictions()) {
        if (results.row(prediction, 0).stream().anyMatch(measure::isOf)) {
          charts.add(chart(results, prediction, measure));
        }
      }
    }
    charts.add(seconds(results));
    return charts;
  }

  private static XYChart chart(StudyResults results, String prediction, Measure measure) {
    XYChart chart = blank(prediction + ": " + measure.name());
    chart.getStyler().setYAxisLogarithmic(measure.logarithmic());
    for (double eta : StudyPlan.ETAS) {
      List<StudyCell> row = results.row(prediction, eta).stream().filter(measure::isOf).toList();
      chart
          .addSeries(
              "η = " + eta, steps(row), row.stream().map(c -> measure.of(c.quality())).toList())
          .setMarker(SeriesMarkers.CIRCLE)
          .setLineStyle(new BasicStroke(2));
    }
    List<StudyCell> row = results.row(prediction, 0).stream().filter(measure::isOf).toList();
    chart
        .addSeries(
            "floor",
            steps(row),
            row.stream().map(c -> measure.of(results.floors().get(c.images()))).toList())
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(Color.GRAY)
        .setLineStyle(new BasicStroke(2));
    return chart;
  }

  private static XYChart seconds(StudyResults results) {
    XYChart chart = blank("seconds an image, η = 0");
    chart
        .getStyler()
        .setYAxisLogarithmic(true)
        .setSeriesColors(new Color[] {COLORS.get(0), COLORS.get(COLORS.size() - 1)});
    for (String prediction : results.predictions()) {
      List<StudyCell> row = results.row(prediction, 0);
      chart
          .addSeries(prediction, steps(row), row.stream().map(StudyCell::secondsPerImage).toList())
          .setMarker(SeriesMarkers.CIRCLE);
    }
    return chart;
  }

  private static List<Integer> steps(List<StudyCell> row) {
    return row.stream().map(cell -> cell.setting().steps()).toList();
  }

  /**
   * Returns the kernel distance, or its error where it is smaller: it has no logarithm worth
   * drawing.
   */
  private static double drawn(Quality quality) {
    return Math.max(quality.kernel().value(), quality.kernel().standardError());
  }

  /**
   * Returns a chart of a measure against the number of steps.
   *
   * @param curves the measure by the number of steps, by name
   * @param floor what the test images get
   */
  static XYChart curves(
      String title, Map<String, ? extends Map<Integer, Double>> curves, double floor) {
    XYChart chart = blank(title);
    curves.forEach(
        (name, curve) ->
            chart
                .addSeries(name, List.copyOf(curve.keySet()), List.copyOf(curve.values()))
                .setMarker(SeriesMarkers.CIRCLE));
    IntSummaryStatistics steps =
        curves.values().stream()
            .flatMap(curve -> curve.keySet().stream())
            .mapToInt(Integer::intValue)
            .summaryStatistics();
    chart
        .addSeries("test images", List.of(steps.getMin(), steps.getMax()), List.of(floor, floor))
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(Color.GRAY);
    return chart;
  }

  /** Returns a chart of something against the number of steps. */
  static XYChart blank(String title) {
    XYChart chart =
        new XYChartBuilder().width(960).height(570).title(title).xAxisTitle("steps").build();
    chart
        .getStyler()
        .setXAxisLogarithmic(true)
        .setLegendPosition(LegendPosition.OutsideE)
        .setSeriesColors(COLORS.toArray(new Color[0]))
        .setChartBackgroundColor(Color.WHITE)
        .setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 21))
        .setLegendFont(new Font(Font.SANS_SERIF, Font.PLAIN, 18));
    chart
        .getStyler()
        .setAxisTickLabelsFont(new Font(Font.SANS_SERIF, Font.PLAIN, 17))
        .setAxisTitleFont(new Font(Font.SANS_SERIF, Font.PLAIN, 18))
        .setMarkerSize(8)
        .setLocale(Locale.ROOT);
    return chart;
  }
}

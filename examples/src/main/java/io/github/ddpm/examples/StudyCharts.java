package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;
import static java.util.Comparator.comparingDouble;
import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toList;

import io.github.ddpm.examples.measures.Quality;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.util.ArrayList;
import java.util.IntSummaryStatistics;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.AnnotationLine;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.Marker;
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

  /** Who can't tell red from green tells these apart (Okabe and Ito 2008); so do the markers. */
  static final List<Color> COLORS =
      List.of(
          new Color(0x0072b2),
          new Color(0x56b4e9),
          new Color(0x009e73),
          new Color(0xe69f00),
          new Color(0xd55e00));

  private static final List<Marker> MARKERS =
      List.of(
          SeriesMarkers.CIRCLE,
          SeriesMarkers.SQUARE,
          SeriesMarkers.DIAMOND,
          SeriesMarkers.TRIANGLE_UP,
          SeriesMarkers.TRIANGLE_DOWN);

  private static final BasicStroke SOLID = new BasicStroke(2);
  private static final BasicStroke DASHED =
      new BasicStroke(2, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 1, new float[] {6, 4}, 0);

  /** The legend has room for so many ways beside the usual one. */
  private static final int OTHERS = 3;

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
    XYChart chart = half(prediction + ": " + measure.name());
    chart.getStyler().setYAxisLogarithmic(measure.logarithmic());
    for (int i = 0; i < StudyPlan.ETAS.size(); i++) {
      double eta = StudyPlan.ETAS.get(i);
      add(
          chart,
          "η " + eta,
          results.row(prediction, eta).stream().filter(measure::isOf).toList(),
          cell -> measure.of(cell.quality()),
          COLORS.get(i),
          MARKERS.get(i));
    }
    List<StudyCell> row = results.row(prediction, 0).stream().filter(measure::isOf).toList();
    add(
        chart,
        "floor",
        row,
        cell -> measure.of(results.floors().get(cell.images())),
        Color.GRAY,
        SeriesMarkers.NONE);
    markWhereImagesChange(chart, row);
    return chart;
  }

  /** Curves are broken where the number of images changes, and dashed from there. */
  private static void add(
      XYChart chart,
      String name,
      List<StudyCell> row,
      ToDoubleFunction<StudyCell> value,
      Color color,
      Marker marker) {
    Map<Integer, List<StudyCell>> parts =
        row.stream().collect(groupingBy(StudyCell::images, LinkedHashMap::new, toList()));
    boolean first = true;
    for (Map.Entry<Integer, List<StudyCell>> part : parts.entrySet()) {
      chart
          .addSeries(
              first ? name : format("%s, %d images", name, part.getKey()),
              steps(part.getValue()),
              part.getValue().stream().map(value::applyAsDouble).toList())
          .setMarker(marker)
          .setMarkerColor(color)
          .setLineColor(color)
          .setLineStyle(first ? SOLID : DASHED)
          .setShowInLegend(first);
      first = false;
    }
  }

  private static void markWhereImagesChange(XYChart chart, List<StudyCell> row) {
    for (int i = 1; i < row.size(); i++) {
      StudyCell last = row.get(i - 1);
      StudyCell next = row.get(i);
      if (last.images() != next.images()) {
        double between = Math.sqrt((double) last.setting().steps() * next.setting().steps());
        chart.addAnnotation(new AnnotationLine(between, true, false));
        chart.setXAxisTitle(
            format("steps (%d images each; dashed: %d)", last.images(), next.images()));
      }
    }
  }

  private static XYChart seconds(StudyResults results) {
    XYChart chart = half("seconds an image, η = 0");
    chart.getStyler().setYAxisLogarithmic(true);
    for (int i = 0; i < results.predictions().size(); i++) {
      String prediction = results.predictions().get(i);
      int color = i * (COLORS.size() - 1) % COLORS.size();
      add(
          chart,
          prediction,
          results.row(prediction, 0),
          StudyCell::secondsPerImage,
          COLORS.get(color),
          MARKERS.get(color));
    }
    markWhereImagesChange(chart, results.row(results.predictions().get(0), 0));
    return chart;
  }

  /** Draws the usual way and those of the others that are best with the fewest steps. */
  static XYChart of(StudyCurves curves) {
    XYChart chart = half(curves.title() + ": Fréchet distance");
    chart.getStyler().setYAxisLogarithmic(true).setXAxisLogarithmicDecadeOnly(false);
    List<String> best =
        curves.distances().entrySet().stream()
            .filter(curve -> !curve.getKey().equals(StudyCurves.USUAL))
            .sorted(comparingDouble(curve -> curve.getValue().get(curve.getValue().firstKey())))
            .limit(OTHERS)
            .map(Map.Entry::getKey)
            .toList();
    List<String> drawn = new ArrayList<>(List.of(StudyCurves.USUAL));
    drawn.addAll(best);
    for (int i = 0; i < drawn.size(); i++) {
      SortedMap<Integer, Double> curve = curves.distances().get(drawn.get(i));
      chart
          .addSeries(drawn.get(i), List.copyOf(curve.keySet()), List.copyOf(curve.values()))
          .setMarker(MARKERS.get(i))
          .setLineStyle(SOLID);
    }
    double largest =
        drawn.stream()
            .flatMap(name -> curves.distances().get(name).values().stream())
            .mapToDouble(Double::doubleValue)
            .max()
            .orElseThrow();
    // Over more decades the labels between them would overlap.
    chart.getStyler().setYAxisLogarithmicDecadeOnly(largest > 10 * curves.floor());
    addFloor(chart, curves.steps().first(), curves.steps().last(), curves.floor(), "floor");
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
   * @param floor what the test images get; 0 is not drawn, as it has no logarithm
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
    if (floor > 0) {
      addFloor(chart, steps.getMin(), steps.getMax(), floor, "test images");
    }
    return chart;
  }

  private static void addFloor(XYChart chart, int from, int to, double floor, String name) {
    chart
        .addSeries(name, List.of(from, to), List.of(floor, floor))
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(Color.GRAY);
  }

  /** Returns a chart for one of two columns. */
  private static XYChart half(String title) {
    XYChart chart = blank(title, 600, 450);
    chart
        .getStyler()
        .setLegendPosition(LegendPosition.OutsideS)
        .setLegendLayout(LegendLayout.Horizontal)
        .setLegendBorderColor(Color.WHITE)
        .setLegendFont(new Font(Font.SANS_SERIF, Font.PLAIN, 15))
        .setLegendSeriesLineLength(18)
        .setLegendPadding(5)
        .setAnnotationLineColor(Color.GRAY)
        .setAnnotationLineStroke(new BasicStroke(1));
    // Dashes and the lines between decades would make the picture half as large again.
    chart
        .getStyler()
        .setPlotGridVerticalLinesVisible(false)
        .setPlotGridLinesColor(new Color(0xdddddd))
        .setPlotGridLinesStroke(new BasicStroke(1));
    return chart;
  }

  /** Returns a chart of something against the number of steps. */
  static XYChart blank(String title) {
    return blank(title, 960, 570);
  }

  private static XYChart blank(String title, int width, int height) {
    XYChart chart =
        new XYChartBuilder().width(width).height(height).title(title).xAxisTitle("steps").build();
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

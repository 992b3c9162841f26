package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import java.awt.Color;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Draws the curve of a loss, which is logarithmic as losses fall by factors. */
final class LossChart {
  /** Where the highest loss is more than this times the lowest, each tick has no room for one. */
  private static final double MAX_LABELED = 8;

  private static final Set<Integer> LABELED = Set.of(1, 2, 5);

  /** Up to so many steps there is room for a tick at each. */
  private static final int FEW = 12;

  private LossChart() {}

  /**
   * Draws a curve.
   *
   * @param steps ascending
   * @param losses of these steps, as many
   * @return a PNG file
   */
  static byte[] png(List<Long> steps, List<Double> losses) throws IOException {
    return ChartEncoder.getBytes(chart(steps, losses), "png");
  }

  private static XYChart chart(List<Long> steps, List<Double> losses) {
    XYChart chart =
        new XYChartBuilder()
            .width(800)
            .height(450)
            .title("Training loss, smoothed")
            .xAxisTitle("step")
            .yAxisTitle("loss")
            .build();
    double lowest = losses.stream().mapToDouble(loss -> loss).min().orElseThrow();
    double highest = losses.stream().mapToDouble(loss -> loss).max().orElseThrow();
    double below = oneDigit(lowest, RoundingMode.DOWN).doubleValue();
    double above = oneDigit(highest, RoundingMode.UP).doubleValue();
    boolean each = highest <= MAX_LABELED * lowest;
    chart
        .getStyler()
        .setXAxisTickLabelsFormattingFunction(step -> format("%,.0f", step))
        .setYAxisLogarithmic(true)
        .setYAxisLogarithmicDecadeOnly(false)
        // Ticks are at the numbers of one digit, so there are two at least.
        .setYAxisMin(below)
        .setYAxisMax(above > below ? above : 2 * below)
        .setYAxisTickLabelsFormattingFunction(loss -> label(loss, each));
    chart
        .getStyler()
        .setPlotBorderVisible(false)
        .setLegendVisible(false)
        .setChartBackgroundColor(Color.WHITE)
        .setLocale(Locale.ROOT);
    double last = steps.get(steps.size() - 1);
    if (last > FEW) {
      // The library puts ticks at values that are evenly spaced, else at round numbers.
      chart.getStyler().setXAxisMin(0.0).setXAxisMax(last * (1 + 1e-3));
    }
    chart.addSeries("loss", steps, losses).setMarker(SeriesMarkers.NONE);
    return chart;
  }

  private static BigDecimal oneDigit(double number, RoundingMode mode) {
    return BigDecimal.valueOf(number).round(new MathContext(1, mode));
  }

  private static String label(double loss, boolean each) {
    BigDecimal shown = oneDigit(loss, RoundingMode.HALF_UP).stripTrailingZeros();
    return each || LABELED.contains(shown.unscaledValue().intValue()) ? shown.toPlainString() : "";
  }
}

package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LossChartTest {
  /** The left edge of the library's tick labels, beside the title of the axis. */
  private static final int LABELS_FROM = 24;

  private static final int LABELS_TO = 50;

  /** The bottom tick labels lie between these rows. */
  private static final int LABELS_TOP = 408;

  private static final int LABELS_BOTTOM = 421;

  /** A loss that falls slowly has no power of ten in it, and one that falls fast has many. */
  @ParameterizedTest
  @CsvSource({
    "1, 0.47, 0, 1",
    "3, 0.9, 0.1, 3",
    "23, 0.9, 0.2, 5",
    "20000, 0.9, 0.3, 5",
    "20000, 0.047, 0.001, 5",
    "400, 900, 3, 5",
    "20000, 1, 0, 5"
  })
  void axesHaveLabelsAndThereIsATitleButNoFrame(
      int steps, double first, double power, int labelsBelow) throws IOException {
    List<Long> numbers = LongStream.rangeClosed(1, steps).boxed().toList();
    List<Double> losses = numbers.stream().map(step -> first * Math.pow(step, -power)).toList();
    BufferedImage chart = ImageIO.read(new ByteArrayInputStream(LossChart.png(numbers, losses)));
    assertThat(
            blobs(
                chart.getHeight(),
                y -> IntStream.range(LABELS_FROM, LABELS_TO).anyMatch(x -> isBlack(chart, x, y))))
        .as("labels of the losses")
        .isGreaterThanOrEqualTo(2);
    // A gap of a few pixels is within a label.
    assertThat(
            blobs(
                chart.getWidth(),
                x ->
                    IntStream.rangeClosed(x, Math.min(x + 9, chart.getWidth() - 1))
                        .anyMatch(
                            right ->
                                IntStream.range(LABELS_TOP, LABELS_BOTTOM)
                                    .anyMatch(y -> isBlack(chart, right, y)))))
        .as("labels of the steps")
        .isGreaterThanOrEqualTo(labelsBelow);
    assertThat(IntStream.range(0, chart.getWidth()).anyMatch(x -> isBlack(chart, x, 24)))
        .as("a title")
        .isTrue();
    for (int x = 0; x < chart.getWidth(); x++) {
      assertThat(chart.getRGB(x, 0)).as("column %s of the edge", x).isEqualTo(Color.WHITE.getRGB());
    }
    for (int y = 0; y < chart.getHeight(); y++) {
      assertThat(chart.getRGB(0, y)).as("row %s of the edge", y).isEqualTo(Color.WHITE.getRGB());
    }
  }

  private static boolean isBlack(BufferedImage image, int x, int y) {
    Color color = new Color(image.getRGB(x, y));
    return color.getRed() < 100 && color.getGreen() < 100 && color.getBlue() < 100;
  }

  /** Counts the runs of numbers that something is true of. */
  private static int blobs(int end, IntPredicate is) {
    return (int) IntStream.range(1, end).filter(i -> is.test(i) && !is.test(i - 1)).count();
  }
}

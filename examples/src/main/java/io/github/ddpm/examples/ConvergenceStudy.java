package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;
import static java.util.stream.Collectors.joining;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import javax.imageio.ImageIO;
import org.knowm.xchart.AnnotationText;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Measures how fast solvers come nearer to the exact solution as there are more steps. */
@Command(
    name = "ConvergenceStudy",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Runs each solver on data whose exact solution is known, with more and more steps, and writes OUT/convergence.md, a"
          + " page in Markdown, and OUT/convergence.png, a chart. It needs no model and takes seconds."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {"  ${COMMAND-FULL-NAME}", "  ${COMMAND-FULL-NAME} --out convergence"})
public final class ConvergenceStudy implements Callable<Integer> {
  private static final String CHART = "convergence.png";
  private static final List<Integer> TABLE = List.of(10, 20, 40, 80, 160);
  private static final List<Integer> DRAWN = List.of(5, 10, 20, 40, 80, 160, 320);

  /** From so many steps, and twice as many, orders are told. */
  private static final int MANY = 160;

  /** One color for each order, from the first on. */
  private static final List<Color> COLORS =
      List.of(new Color(0xb53a2e), new Color(0xd98c2b), new Color(0x2c5aa0), new Color(0x5d7a1f));

  private static final List<Marker> MARKERS =
      List.of(
          SeriesMarkers.CIRCLE,
          SeriesMarkers.SQUARE,
          SeriesMarkers.DIAMOND,
          SeriesMarkers.TRIANGLE_UP);

  @Option(
      names = "--out",
      defaultValue = "target/convergence",
      description = "folder of the page and the chart")
  private Path out;

  ConvergenceStudy() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new ConvergenceStudy(), args);
  }

  @Override
  public Integer call() throws IOException {
    Files.createDirectories(out);
    Commands.checkWritable(out);
    ImageIO.write(BitmapEncoder.getBufferedImage(chart()), "png", out.resolve(CHART).toFile());
    Path page = out.resolve("convergence.md");
    Commands.replace(page, page().getBytes(StandardCharsets.UTF_8));
    System.out.println(page);
    return 0;
  }

  private static XYChart chart() {
    XYChart chart = StudyCharts.blank("largest error");
    chart
        .getStyler()
        .setYAxisLogarithmic(true)
        .setAnnotationTextFont(new Font(Font.SANS_SERIF, Font.PLAIN, 15))
        .setAnnotationTextFontColor(Color.GRAY);
    for (int order = 1; order <= COLORS.size(); order++) {
      int same = order;
      List<Convergence> solvers =
          Convergence.ALL.stream().filter(solver -> solver.order() == same).toList();
      for (int i = 0; i < solvers.size(); i++) {
        Convergence solver = solvers.get(i);
        chart
            .addSeries(solver.title(), DRAWN, DRAWN.stream().map(solver::error).toList())
            .setMarker(MARKERS.get(i))
            .setMarkerColor(COLORS.get(order - 1))
            .setLineColor(COLORS.get(order - 1))
            .setLineStyle(new BasicStroke(2));
      }
    }
    slopes(chart);
    return chart;
  }

  /** Draws thin lines of these slopes from one point, where they cross no solver's. */
  private static void slopes(XYChart chart) {
    double steps = 5;
    double error = 2e-3;
    for (int order = 1; order <= COLORS.size(); order++) {
      double end = error * Math.pow(4, -order);
      chart
          .addSeries("order " + order, List.of(steps, 4 * steps), List.of(error, end))
          .setMarker(SeriesMarkers.NONE)
          .setLineColor(COLORS.get(order - 1))
          .setLineStyle(new BasicStroke(1))
          .setShowInLegend(false);
      chart.addAnnotation(new AnnotationText("order " + order, 5.3 * steps, end, false));
    }
  }

  private static String page() {
    StringBuilder page = new StringBuilder();
    page.append(
        """
        # How fast solvers converge

            mvn -q compile exec:java -Dexec.mainClass=io.github.ddpm.examples.ConvergenceStudy -Dexec.args="--out docs/study"

        Without added noise, sampling follows a curve from noise to a picture (the probability flow ODE), and a solver replaces that curve by steps.
        Here the data are numbers from a bell curve, N(0.4, 0.6²), so that the perfect network is a formula and so is the curve, and the error of a
        solver is how far it gets from it, at worst. Everything is in double; the schedule is linear, and the noise levels are even in log σ.

        A solver's *order* p says what more steps are worth: twice as many make the error 2^p times smaller. A step costs one call of the network in any order, but for
        Heun's method, which makes two. UniPC's order, in brackets, is that of its predictor; its corrector, which costs nothing, adds one.
        What diffusers calls the third order of DPM-Solver++ converges as a second, because it counts half of a term; the one here is of third order.

        """);
    page.append("| solver | calls a step | order found |");
    TABLE.forEach(steps -> page.append(format(" %d steps |", steps)));
    page.append("\n|---|---|---|").append("---|".repeat(TABLE.size())).append('\n');
    for (Convergence solver : Convergence.ALL) {
      page.append(
          format(
              "| %s | %d | %.2f |%s%n",
              solver.title(),
              solver.calls(),
              solver.orderFound(MANY),
              TABLE.stream()
                  .map(steps -> format(" %.1e |", solver.error(steps)))
                  .collect(joining())));
    }
    page.append(
        format(
            """

            The order found is that between %d and %d steps. UniPC's last steps are always of lower order, which with so many begins to show in UniPC (3).

            ![largest error against steps](%s)
            """,
            MANY, 2 * MANY, CHART));
    return page.toString();
  }
}

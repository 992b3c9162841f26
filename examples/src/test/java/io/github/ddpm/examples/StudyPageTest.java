package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.examples.HeatMap.Cell;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyCell.Spaced;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.knowm.xchart.XYChart;

/** The page of the study, for made up numbers. */
class StudyPageTest {
  private static final String V = "v_prediction";
  private static final String EPSILON = "epsilon";

  /** Up to 50 steps an error of 0.5, so that 2.12 counts; above 2, so that 8.49 does. */
  private static final StudyPlan PLAN = new StudyPlan(List.of(1, 5, 10, 100), 1000, 1000, 100);

  private static final Map<Integer, Double> BY_STEPS = Map.of(1, 60.0, 5, 6.0, 10, 2.0, 100, 8.0);

  private static final StudyCurves SOLVERS =
      curves(
          "Solvers",
          Map.of(
              "DDIM", Map.of(5, 3.7, 50, 1.0),
              "LMS", Map.of(5, 1.2, 10, 1.05, 50, 0.8),
              "UniPC", Map.of(10, 1.04, 50, 123.456)));

  @TempDir Path folder;

  @Test
  void theConclusionIsThreeSentences() {
    ToDoubleFunction<Setting> kernel =
        setting ->
            BY_STEPS.get(setting.steps())
                + (setting.prediction().equals(V) && setting.steps() == 5 ? 3 * setting.eta() : 0)
                - (setting.prediction().equals(EPSILON) && setting.steps() < 100
                    ? setting.steps() * setting.eta() / 2
                    : 0)
                + (setting.spaced() == Spaced.LEADING ? 5 : 0);
    StudyResults results = results(kernel);
    assertThat(StudyConclusion.of(results, List.of()))
        .containsExactly(
            "With evenly spaced steps and η = 0, v_prediction needs 10 steps and epsilon needs 10 steps: no other number"
                + " of them is shown to make better digits.",
            "Fresh noise on the way (η above 0) can make better digits of epsilon in 5 and 10 steps, and worse ones of"
                + " v_prediction in 5 steps; elsewhere it is not shown to matter.",
            "Where the few steps are matters too: with 5 the kernel distance varies, of v_prediction from 6.00 (trailing)"
                + " to 11.00 (leading), epsilon from 6.00 (trailing) to 11.00 (leading).");
    assertThat(StudyConclusion.of(results, List.of(SOLVERS)).get(2))
        .isEqualTo(
            "Other ways come as near to real digits, within 5 %, in fewer steps: UniPC in 10 steps (Fréchet distance"
                + " 1.04, DDIM in 50: 1.00).");
  }

  @Test
  void theConclusionClaimsNothingThatIsNotShown() {
    StudyCurves late =
        curves("Solvers", Map.of("DDIM", Map.of(5, 3.7, 50, 1.0), "LMS", Map.of(5, 1.06)));
    assertThat(StudyConclusion.of(results(setting -> 1), List.of(late)))
        .containsExactly(
            "With evenly spaced steps and η = 0, v_prediction needs 1 step and epsilon needs 1 step: no other number of"
                + " them is shown to make better digits.",
            "Fresh noise on the way (η above 0) is not shown to matter anywhere.",
            "No other way to sample comes as near to real digits in fewer steps.");
    assertThat(StudyConclusion.of(results(setting -> 1), List.of()).get(2))
        .isEqualTo("Where the few steps are is not shown to matter.");
  }

  @Test
  void aHeatMapIsDarkerFurtherFromRealDigits() {
    HeatMap map = HeatMap.of(results(setting -> BY_STEPS.get(setting.steps())), V);
    assertThat(map.columns()).containsExactly("0.0", "0.2", "0.5", "0.8", "1.0");
    assertThat(map.rows()).extracting(HeatMap.Row::name).containsExactly("1", "5", "10", "100");
    assertThat(map.rows())
        .extracting(HeatMap.Row::fewer)
        .containsExactly(false, false, false, true);
    assertThat(map.rows().get(0).cells()).containsExactly(new Cell("60.00", "5", 5));
    assertThat(map.rows().get(1).cells()).hasSize(5).containsOnly(new Cell("6.00", "3", 1));
    // Of 0.1 that is 1.9, and 3 errors are 1.6; of 100 images an error is 4 times as large.
    assertThat(map.rows().get(2).cells()).containsOnly(new Cell("2.00", "2", 1));
    assertThat(map.rows().get(3).cells()).containsOnly(new Cell("8.00", "0", 1));
  }

  @Test
  void aHeatMapOfOtherWaysLeavesOutWhatWasNotMeasured() {
    HeatMap map = HeatMap.of(SOLVERS);
    assertThat(map.columns()).containsExactly("5", "10", "50");
    assertThat(map.rows())
        .extracting(HeatMap.Row::cells)
        .containsExactly(
            List.of(new Cell("3.70", "2", 1), new Cell("", "none", 1), new Cell("1.00", "0", 1)),
            List.of(new Cell("1.20", "1", 1), new Cell("1.05", "0", 1), new Cell("0.80", "0", 1)),
            List.of(new Cell("", "none", 1), new Cell("1.04", "0", 1), new Cell("123", "5", 1)));
  }

  @Test
  void curvesBreakWhereTheNumberOfImagesChanges() {
    XYChart chart = StudyCharts.of(results(setting -> BY_STEPS.get(setting.steps()))).get(0);
    assertThat(chart.getSeries("η 0.0").getXData()).containsExactly(1, 5, 10);
    assertThat(chart.getSeries("η 0.0, 100 images").getXData()).containsExactly(100);
    assertThat(chart.getSeries("η 0.0, 100 images").getYData()).containsExactly(8);
    assertThat(chart.getXAxisTitle()).isEqualTo("steps (1000 images each; dashed: 100)");
  }

  @Test
  void thePageIsMadeAgainOfTheTable() throws IOException {
    StudyResults results = results(setting -> BY_STEPS.get(setting.steps()));
    StudyTable.write(folder, results);
    SOLVERS.write(folder);
    Outcome outcome = page();
    assertThat(outcome.err()).isEmpty();
    String page = Files.readString(folder.resolve("report.html"));
    for (String sentence : StudyConclusion.of(results, List.of(SOLVERS))) {
      assertThat(page).contains("<p>" + sentence + "</p>");
    }
    assertThat(page)
        .contains(
            "<td class=\"level5\" colspan=\"5\">60.00</td>",
            "<tr class=\"fewer\"><th>100<small>100 images</small></th>",
            "<tr><th>UniPC</th><td class=\"levelnone\"></td><td class=\"level0\">1.04</td>",
            "10000 digits each, in float32; as many test images are at 1.00.",
            "<td class=\"left\">epsilon</td><td>10</td><td>0.5</td><td>1000</td><td>0.0010</td><td>2.00 ± 0.50</td>"
                + "<td>9.00</td><td>0.750</td><td>0.500</td><td>90.0</td><td>8.0</td>")
        .doesNotContain("NaN", "http");
    for (String chart : List.of("measure-01", "measure-11", "solvers")) {
      assertThat(ImageIO.read(folder.resolve("charts/" + chart + ".png").toFile())).isNotNull();
    }
    String table = Files.readString(folder.resolve("study.csv"));
    StudyTable.write(folder, StudyTable.read(folder, PLAN, 0));
    assertThat(folder.resolve("study.csv")).hasContent(table);
  }

  @Test
  void aTableThatLacksSomethingIsNamed() throws IOException {
    StudyTable.write(folder, results(setting -> 1));
    Path table = folder.resolve("study.csv");
    List<String> lines = Files.readAllLines(table);
    Files.write(table, lines.stream().filter(line -> !line.startsWith("epsilon,10,0.5")).toList());
    assertError(
        page(),
        "study.csv lacks epsilon-0010-0.5-trailing-clip-1000: run the study without --page");
    lines.set(3, "epsilon,five");
    Files.write(table, lines);
    assertError(page(), "study.csv: a line must have 14 columns of numbers, got epsilon,five");
    Files.writeString(table, "steps\n");
    assertError(page(), "study.csv must begin with the line prediction,steps,");
  }

  @Test
  void aSmallPictureHasTheSameShades() throws IOException {
    BufferedImage ramp = new BufferedImage(256, 1, BufferedImage.TYPE_BYTE_GRAY);
    for (int x = 0; x < 256; x++) {
      ramp.getRaster().setSample(x, 0, 0, x);
    }
    BufferedImage small = ImageIO.read(new ByteArrayInputStream(SmallPng.of(ramp, List.of())));
    for (int x = 0; x < 256; x++) {
      assertThat((small.getRGB(x, 0) & 0xff) - x).as("of %d", x).isBetween(-19, 19);
    }
    assertThat(small.getRGB(0, 0)).isEqualTo(0xff000000);
    assertThat(small.getRGB(255, 0)).isEqualTo(0xffffffff);
  }

  @Test
  void theColorsOfCurvesAreKept() throws IOException {
    BufferedImage picture = new BufferedImage(40, 2, BufferedImage.TYPE_INT_RGB);
    for (int x = 0; x < 40; x++) {
      picture.setRGB(x, 0, 0x060000 * x);
      picture.setRGB(x, 1, 0x060000 * x);
    }
    Color seldom = StudyCharts.COLORS.get(2);
    picture.setRGB(39, 1, seldom.getRGB());
    byte[] png = SmallPng.of(picture, StudyCharts.COLORS);
    assertThat(ImageIO.read(new ByteArrayInputStream(png)).getRGB(39, 1))
        .isEqualTo(seldom.getRGB());
  }

  private Outcome page() {
    return run(new SamplingStudy(PLAN, PLAN), "--page", "--out=" + folder);
  }

  private static StudyResults results(ToDoubleFunction<Setting> kernel) {
    List<String> predictions = List.of(V, EPSILON);
    Map<Setting, StudyCell> cells = new LinkedHashMap<>();
    for (Setting setting : PLAN.settings(predictions)) {
      int images = PLAN.images(setting.steps());
      Quality quality = quality(kernel.applyAsDouble(setting), images == 1000 ? 0.5 : 2);
      cells.put(setting, new StudyCell(setting, images, images / 1000.0, quality));
    }
    return new StudyResults(
        PLAN, 0, predictions, cells, Map.of(1000, quality(0.1, 0.2), 100, quality(0.2, 2)));
  }

  private static Quality quality(double kernel, double error) {
    return new Quality(9, new Estimate(kernel, error), new PrecisionRecall(0.75, 0.5), 0.9, 0.08);
  }

  private static StudyCurves curves(String title, Map<String, Map<Integer, Double>> distances) {
    Map<String, SortedMap<Integer, Double>> sorted = new TreeMap<>();
    distances.forEach((name, curve) -> sorted.put(name, new TreeMap<>(curve)));
    return new StudyCurves(title, "solvers.md", 10000, "float32", 1, sorted);
  }
}

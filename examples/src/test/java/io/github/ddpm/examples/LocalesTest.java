package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;

/** What is written is the same where digits, decimal points or lower case are others. */
class LocalesTest {
  private final Locale locale = Locale.getDefault();

  @TempDir Path folder;

  @AfterEach
  void restoreTheLocale() {
    Locale.setDefault(locale);
  }

  @ParameterizedTest
  @ValueSource(strings = {"fa-IR", "ar-EG", "de-DE", "tr-TR"})
  void aCommandSaysAndDrawsTheSame(String tag) throws IOException {
    Path here = folder.resolve("here.npy");
    Path there = folder.resolve("there.npy");
    // The model of the library keeps the graph of its first run, whatever the locale is later.
    Outcome expected = digits(here);
    Locale.setDefault(Locale.forLanguageTag(tag));
    Outcome outcome = digits(there);
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out().replaceAll("[0-9]+\\.[0-9] s", ""))
        .isEqualTo(
            expected.out().replaceAll("[0-9]+\\.[0-9] s", "").replace("here.npy", "there.npy"));
    assertThat(there).hasSameBinaryContentAs(here);
  }

  @ParameterizedTest
  @ValueSource(strings = {"fa-IR", "ar-EG", "de-DE"})
  void chartsAreTheSame(String tag) throws IOException {
    List<byte[]> expected = charts();
    Locale.setDefault(Locale.forLanguageTag(tag));
    List<byte[]> charts = charts();
    assertThat(charts).hasSameSizeAs(expected);
    for (int i = 0; i < charts.size(); i++) {
      assertThat(charts.get(i)).as("chart %s", i).isEqualTo(expected.get(i));
    }
  }

  private static Outcome digits(Path out) {
    return run(new GenerateDigits(), "--steps=1", "--count=12", "--seed=5", "--out=" + out);
  }

  /** Those of a training and of a study, with numbers that have fractions and thousands. */
  private List<byte[]> charts() throws IOException {
    Files.deleteIfExists(folder.resolve("loss.csv"));
    LossCurve losses = new LossCurve(folder);
    for (int step = 1; step <= 2000; step++) {
      losses.add(new LossRow(step, 1.0 / step, 0, 1e-3, 1, 100, Double.NaN));
    }
    losses.saveChart();
    StudyPlan plan = new StudyPlan(List.of(1, 5, 10, 1000), 1000, 1000, 1000);
    Map<Setting, StudyCell> cells = new LinkedHashMap<>();
    for (Setting setting : plan.settings(List.of("epsilon"))) {
      cells.put(setting, new StudyCell(setting, 1000, 1234.5, quality(30.5 / setting.steps())));
    }
    StudyResults results =
        new StudyResults(plan, 0, List.of("epsilon"), cells, Map.of(1000, quality(0.25)));
    List<byte[]> charts = new ArrayList<>();
    charts.add(Files.readAllBytes(folder.resolve("loss.png")));
    for (XYChart chart : StudyCharts.of(results)) {
      charts.add(ChartEncoder.getBytes(chart, "png"));
    }
    return charts;
  }

  private static Quality quality(double distance) {
    return new Quality(
        distance, new Estimate(distance, 0.5), new PrecisionRecall(0.5, 0.25), 0.75, 0.1);
  }
}

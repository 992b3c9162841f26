package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import com.google.common.io.Resources;
import com.samskivert.mustache.Escapers;
import com.samskivert.mustache.Mustache;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyFindings.Finding;
import io.github.ddpm.examples.measures.Quality;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;

/**
 * The report is the study as one page, with its pictures in files beside it. {@code
 * study-report.html} has what the page says and how it looks; here is what is filled in.
 */
final class StudyReport {
  /** The library's own escapes "=" too, which makes the page's source hard to read. */
  private static final Mustache.Escaper ESCAPER =
      Escapers.simple(
          new String[] {"&", "&amp;"}, new String[] {"<", "&lt;"}, new String[] {"\"", "&quot;"});

  private final Path out;
  private final StudyResults results;
  private final List<StudyCurves> others;

  private StudyReport(Path out, StudyResults results, List<StudyCurves> others) {
    this.out = out;
    this.results = results;
    this.others = others;
  }

  /**
   * Writes {@code report.html} and the charts that it shows.
   *
   * @param out folder of the study, with the pictures of all cells and the denoising of one digit
   */
  static void write(Path out, StudyResults results) throws IOException {
    StudyReport report = new StudyReport(out, results, StudyCurves.in(out));
    Commands.replace(out.resolve("report.html"), report.html().getBytes(StandardCharsets.UTF_8));
  }

  /** Returns where the denoising of one digit is. */
  static String strip(String prediction, int eta) {
    return format("strips/%s-%d.png", prediction, eta);
  }

  private static String ifEnough(int images, String format, double value) {
    return images < StudyResults.ENOUGH ? "" : format(format, value);
  }

  private String html() throws IOException {
    String template =
        Resources.toString(
            Resources.getResource(StudyReport.class, "study-report.html"), StandardCharsets.UTF_8);
    return Mustache.compiler()
        .withEscaper(ESCAPER)
        .compile(template)
        .execute(
            new Page(
                String.join(" or ", results.predictions()),
                results,
                StudyResults.ENOUGH,
                Quality.SURE,
                format("%.0f", StudyCell.CERTAIN),
                StudyConclusion.of(results, others),
                results.predictions().stream().map(each -> HeatMap.of(results, each)).toList(),
                HeatMap.KERNEL_LEVELS,
                !others.isEmpty(),
                others(),
                HeatMap.FRECHET_LEVELS,
                StudyFindings.of(results),
                StudyPlan.ETAS,
                grids(),
                strips(),
                charts(),
                variants(),
                rows(),
                floors()));
  }

  private List<Grid> grids() {
    List<Grid> grids = new ArrayList<>();
    for (String prediction : results.predictions()) {
      List<GridRow> gridRows = new ArrayList<>();
      for (int steps : results.plan().steps()) {
        List<Row> gridCells =
            StudyPlan.etas(steps).stream()
                .map(eta -> row(results.cell(prediction, steps, eta)))
                .toList();
        gridRows.add(new GridRow(steps, gridCells));
      }
      grids.add(new Grid(prediction, gridRows));
    }
    return grids;
  }

  private List<Strip> strips() {
    List<Strip> all = new ArrayList<>();
    for (String prediction : results.predictions()) {
      for (int eta = 0; eta < 2; eta++) {
        all.add(
            new Strip(
                prediction,
                eta,
                new Picture(
                    strip(prediction, eta),
                    format("estimates of one digit, %s, η = %d", prediction, eta))));
      }
    }
    return all;
  }

  private List<Picture> charts() throws IOException {
    List<Picture> pictures = new ArrayList<>();
    List<XYChart> charts = StudyCharts.of(results);
    for (int i = 0; i < charts.size(); i++) {
      pictures.add(save(charts.get(i), format("measure-%02d.png", i + 1)));
    }
    return pictures;
  }

  private List<Others> others() throws IOException {
    List<Others> all = new ArrayList<>();
    for (StudyCurves curves : others) {
      String name = curves.page().replaceFirst("\\.md$", ".png");
      all.add(
          new Others(
              curves,
              format("%.2f", curves.floor()),
              HeatMap.of(curves),
              save(StudyCharts.of(curves), name)));
    }
    return all;
  }

  private Picture save(XYChart chart, String name) throws IOException {
    Path folder = Files.createDirectories(out.resolve("charts"));
    Files.write(
        folder.resolve(name),
        SmallPng.of(BitmapEncoder.getBufferedImage(chart), StudyCharts.COLORS));
    return new Picture("charts/" + name, chart.getTitle());
  }

  private List<Row> variants() {
    return results.predictions().stream()
        .flatMap(
            prediction ->
                StudyPlan.FEW_STEPS.stream()
                    .flatMap(steps -> results.variants(prediction, steps).stream()))
        .map(StudyReport::row)
        .toList();
  }

  private List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    for (String prediction : results.predictions()) {
      for (int steps : results.plan().steps()) {
        for (double eta : StudyPlan.etas(steps)) {
          rows.add(row(results.cell(prediction, steps, eta)));
        }
      }
    }
    return rows;
  }

  private List<Row> floors() {
    return results.floors().entrySet().stream()
        .map(floor -> Row.of(null, floor.getKey(), "", floor.getValue(), null))
        .toList();
  }

  private static Row row(StudyCell cell) {
    Setting setting = cell.setting();
    return Row.of(
        setting,
        cell.images(),
        format("%.4f", cell.secondsPerImage()),
        cell.quality(),
        new Picture(
            format("cells/%s.png", cell.fileName()),
            format(
                "%d digits, %s, %s, η = %s, %s",
                StudyPlan.SHOWN,
                setting.prediction(),
                setting.stepsInWords(),
                setting.eta(),
                setting.way())));
  }

  // What the template names.

  private record Page(
      String predictions,
      StudyResults results,
      int enough,
      double sure,
      String certain,
      List<String> conclusion,
      List<HeatMap> heatMaps,
      List<HeatMap.Level> kernelLevels,
      boolean hasOthers,
      List<Others> others,
      List<HeatMap.Level> frechetLevels,
      List<Finding> findings,
      List<Double> etas,
      List<Grid> grids,
      List<Strip> strips,
      List<Picture> charts,
      List<Row> variants,
      List<Row> rows,
      List<Row> floors) {}

  private record Picture(String file, String what) {}

  private record Others(StudyCurves curves, String floor, HeatMap heatMap, Picture chart) {}

  private record Grid(String prediction, List<GridRow> gridRows) {}

  private record GridRow(int steps, List<Row> gridCells) {}

  private record Strip(String prediction, int eta, Picture picture) {}

  /** A row is a cell or a floor, which has no setting and no picture. */
  private record Row(
      Setting setting,
      int images,
      String seconds,
      String kernel,
      String kernelError,
      String frechet,
      String precision,
      String recall,
      String surePercent,
      String rarestPercent,
      Picture picture) {
    static Row of(Setting setting, int images, String seconds, Quality quality, Picture picture) {
      return new Row(
          setting,
          images,
          seconds,
          format("%.2f", quality.kernel().value()),
          format("%.2f", quality.kernel().standardError()),
          ifEnough(images, "%.2f", quality.frechet()),
          ifEnough(images, "%.3f", quality.precisionRecall().precision()),
          ifEnough(images, "%.3f", quality.precisionRecall().recall()),
          format("%.1f", 100 * quality.sure()),
          ifEnough(images, "%.1f", 100 * quality.rarest()),
          picture);
    }
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import com.google.common.io.Resources;
import com.samskivert.mustache.Escapers;
import com.samskivert.mustache.Mustache;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyFindings.Finding;
import io.github.ddpm.examples.measures.Quality;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;

/**
 * The report is the study as one page with everything in it, and as a table for other programs.
 * {@code study-report.html} has what the page says and how it looks; here is what is filled in.
 */
final class StudyReport {
  /** The library's own escapes "=" too, which makes the page's source hard to read. */
  private static final Mustache.Escaper ESCAPER =
      Escapers.simple(
          new String[] {"&", "&amp;"}, new String[] {"<", "&lt;"}, new String[] {"\"", "&quot;"});

  private final Path out;
  private final StudyResults results;
  private final Map<String, List<BufferedImage>> strips;

  private StudyReport(Path out, StudyResults results, Map<String, List<BufferedImage>> strips) {
    this.out = out;
    this.results = results;
    this.strips = strips;
  }

  /**
   * Writes {@code report.html} and {@code study.csv}.
   *
   * @param out folder of the study, with the pictures of all cells
   * @param strips the denoising of one digit with η = 0 and 1, for each prediction type
   */
  static void write(Path out, StudyResults results, Map<String, List<BufferedImage>> strips)
      throws IOException {
    StudyReport report = new StudyReport(out, results, strips);
    Files.writeString(out.resolve("study.csv"), report.csv());
    Files.writeString(out.resolve("report.html"), report.html());
  }

  private String csv() {
    StringBuilder csv =
        new StringBuilder(
            "prediction,steps,eta,spacing,clipped,images,seconds_per_image,kernel_distance,"
                + "kernel_distance_error,frechet_distance,precision,recall,sure,rarest\n");
    for (StudyCell cell : results.cells().values()) {
      Setting setting = cell.setting();
      csv.append(
          format(
              "%s,%d,%s,%s,%s,%d,%.5f,%s%n",
              setting.prediction(),
              setting.steps(),
              setting.eta(),
              setting.spaced(),
              setting.clip(),
              cell.images(),
              cell.secondsPerImage(),
              measures(cell.quality(), cell.images())));
    }
    results
        .floors()
        .forEach(
            (images, quality) ->
                csv.append(format("floor,,,,,%d,,%s%n", images, measures(quality, images))));
    return csv.toString();
  }

  private static String measures(Quality quality, int images) {
    return format(
        "%.6f,%.6f,%s,%s,%s,%.4f,%s",
        quality.kernel().value(),
        quality.kernel().standardError(),
        ifEnough(images, "%.4f", quality.frechet()),
        ifEnough(images, "%.4f", quality.precisionRecall().precision()),
        ifEnough(images, "%.4f", quality.precisionRecall().recall()),
        quality.sure(),
        ifEnough(images, "%.4f", quality.rarest()));
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
                StudyFindings.of(results),
                StudyPlan.ETAS,
                grids(),
                strips(),
                charts(),
                variants(),
                rows(),
                floors()));
  }

  private List<Grid> grids() throws IOException {
    List<Grid> grids = new ArrayList<>();
    for (String prediction : results.predictions()) {
      List<GridRow> gridRows = new ArrayList<>();
      for (int steps : results.plan().steps()) {
        List<Row> gridCells = new ArrayList<>();
        for (double eta : StudyPlan.etas(steps)) {
          gridCells.add(row(results.cell(prediction, steps, eta)));
        }
        gridRows.add(
            new GridRow(results.cell(prediction, steps, 0).setting().stepsInWords(), gridCells));
      }
      grids.add(new Grid(prediction, gridRows));
    }
    return grids;
  }

  private List<Strip> strips() throws IOException {
    List<Strip> all = new ArrayList<>();
    for (String prediction : results.predictions()) {
      for (int eta = 0; eta < 2; eta++) {
        all.add(
            new Strip(
                prediction,
                eta,
                picture(png(strips.get(prediction).get(eta)), "estimates of one digit")));
      }
    }
    return all;
  }

  private List<Picture> charts() throws IOException {
    List<Picture> charts = new ArrayList<>();
    for (XYChart chart : StudyCharts.of(results)) {
      charts.add(picture(ChartEncoder.getBytes(chart, "png"), chart.getTitle()));
    }
    return charts;
  }

  private List<Row> variants() throws IOException {
    List<Row> rows = new ArrayList<>();
    for (String prediction : results.predictions()) {
      for (int steps : StudyPlan.FEW_STEPS) {
        for (StudyCell cell : results.variants(prediction, steps)) {
          rows.add(row(cell));
        }
      }
    }
    return rows;
  }

  private List<Row> rows() throws IOException {
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

  private Row row(StudyCell cell) throws IOException {
    Path file = out.resolve("cells").resolve(cell.fileName() + ".png");
    Setting setting = cell.setting();
    return Row.of(
        setting,
        cell.images(),
        format("%.4f", cell.secondsPerImage()),
        cell.quality(),
        picture(
            Files.readAllBytes(file),
            format(
                "%d digits, %s, η = %s, %s",
                StudyPlan.SHOWN, setting.stepsInWords(), setting.eta(), setting.way())));
  }

  private static Picture picture(byte[] png, String what) {
    return new Picture(Base64.getEncoder().encodeToString(png), what);
  }

  private static byte[] png(BufferedImage picture) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ImageIO.write(picture, "png", bytes);
    return bytes.toByteArray();
  }

  // What the template names.

  private record Page(
      String predictions,
      StudyResults results,
      int enough,
      double sure,
      String certain,
      List<Finding> findings,
      List<Double> etas,
      List<Grid> grids,
      List<Strip> strips,
      List<Picture> charts,
      List<Row> variants,
      List<Row> rows,
      List<Row> floors) {}

  private record Picture(String base64, String what) {}

  private record Grid(String prediction, List<GridRow> gridRows) {}

  private record GridRow(String stepsInWords, List<Row> gridCells) {}

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

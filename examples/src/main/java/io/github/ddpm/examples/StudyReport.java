package io.github.ddpm.examples;

import io.github.ddpm.examples.SamplingStudy.Extent;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.Quality;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import javax.imageio.ImageIO;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The study as one page with everything in it, and as a table for other programs. */
final class StudyReport {
  /** Least number of images that a Fréchet distance or a recall says something of. */
  private static final int ENOUGH = 1000;

  /**
   * A difference of so many standard errors is hardly chance, even between the best and the worst
   * of five.
   */
  private static final double CERTAIN = 3;

  /** From η = 0, cold, to 1, warm. */
  private static final List<Color> COLORS =
      List.of(
          new Color(0x2c5aa0),
          new Color(0x4a9ab5),
          new Color(0x7a8f3a),
          new Color(0xd98c2b),
          new Color(0xb53a2e));

  private final Path out;
  private final Extent extent;
  private final long seed;
  private final List<String> predictions;
  private final Map<Setting, StudyCell> cells = new LinkedHashMap<>();
  private final Map<Integer, Quality> floors;
  private final Map<String, List<BufferedImage>> strips;

  StudyReport(
      Path out,
      Extent extent,
      long seed,
      List<String> predictions,
      List<StudyCell> cells,
      Map<Integer, Quality> floors,
      Map<String, List<BufferedImage>> strips) {
    this.out = out;
    this.extent = extent;
    this.seed = seed;
    this.predictions = predictions;
    cells.forEach(cell -> this.cells.put(cell.setting(), cell));
    this.floors = floors;
    this.strips = strips;
  }

  void write() throws IOException {
    Files.writeString(out.resolve("study.csv"), csv());
    Files.writeString(out.resolve("report.html"), html());
  }

  private String csv() {
    StringBuilder csv =
        new StringBuilder(
            "prediction,steps,eta,spacing,clipped,images,seconds_per_image,kernel_distance,"
                + "kernel_distance_error,frechet_distance,precision,recall,sure,rarest\n");
    for (StudyCell cell : cells.values()) {
      Setting setting = cell.setting();
      csv.append(
          String.format(
              Locale.ROOT,
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
    floors.forEach(
        (images, quality) ->
            csv.append(
                String.format(
                    Locale.ROOT, "floor,,,,,%d,,%s%n", images, measures(quality, images))));
    return csv.toString();
  }

  private static String measures(Quality quality, int images) {
    boolean enough = images >= ENOUGH;
    return format(
        "%.6f,%.6f,%s,%s,%s,%.4f,%s",
        quality.kernel().value(),
        quality.kernel().standardError(),
        enough ? format("%.4f", quality.frechet()) : "",
        enough ? format("%.4f", quality.precisionRecall().precision()) : "",
        enough ? format("%.4f", quality.precisionRecall().recall()) : "",
        quality.sure(),
        enough ? format("%.4f", quality.rarest()) : "");
  }

  private String html() throws IOException {
    return """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <title>What prediction type, steps and η do to the digits</title>
        <style>
        body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1340px; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; } h3 { font-size: 1.05rem; }
        p, li { max-width: 56rem; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; font-weight: normal; }
        thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
        td.left, th.left { text-align: left; }
        .pictures td, .pictures th { padding: .15rem .3rem; border: none; }
        .pictures td { font-size: .78rem; color: #555; text-align: left; line-height: 1.2; }
        .pictures img { display: block; }
        .charts { display: flex; flex-wrap: wrap; gap: 1rem; }
        .charts img { width: 640px; max-width: 100%%; }
        .strip { image-rendering: pixelated; width: 1198px; max-width: 100%%; display: block; }
        .wide { overflow-x: auto; }
        .note { color: #555; font-size: .9rem; }
        </style>
        </head>
        <body>
        <h1>What prediction type, number of steps and η do to the digits</h1>
        %s
        <h2>What it shows</h2>
        %s
        <h2>The digits</h2>
        %s
        <h2>One digit, step by step</h2>
        %s
        <h2>The measures</h2>
        %s
        <h2>Spacing and clipping</h2>
        %s
        <h2>All numbers</h2>
        %s
        </body>
        </html>
        """
        .formatted(
            introduction(), findings(), pictures(), denoising(), charts(), variants(), table());
  }

  private String introduction() {
    return format(
        """
        <p>Digits by models that predict %s, sampled by DDIM with every number of steps and every η, without labels. All start
        from the same noise (seed %d), so the digits of a column below are relatives. Timesteps are spaced trailing, and estimates
        are clipped to [-1, 1], unless another way is named. η scales the variance: 0 is deterministic, 1 is DDPM; it is the
        square of the paper's.</p>
        <p>There are %,d images of each setting up to 50 steps and %,d above, compared with %,d training images of MNIST in the
        feature space of a digit classifier. The <b>floor</b> is what as many test images get, which nobody trained on: below it these
        measures see no more. The <b>kernel distance</b> doesn't depend on the number of images on average, and comes with its
        standard error, which does. The <b>Fréchet distance</b>, precision, recall and the share of the rarest digit depend on
        it, so they are given from %,d images on. <b>Sure</b> is the share of images that the classifier gives one digit more
        than %s of the probability; it can be sure of what is no digit at all, so read that beside the distances. A difference
        counts here if it is %.0f standard errors.</p>
        <p>Each prediction type is one trained network, so what differs between them includes what differed in their
        training.</p>
        """,
        predictions.stream().map(StudyReport::escape).collect(Collectors.joining(" or ")),
        seed,
        extent.images(),
        extent.fewImages(),
        extent.real(),
        ENOUGH,
        Quality.SURE,
        CERTAIN);
  }

  // What it shows, in words.

  private String findings() {
    List<String> items = new ArrayList<>();
    items.add(noise());
    for (String prediction : predictions) {
      items.add(steps(prediction));
    }
    for (String prediction : predictions) {
      items.add(eta(prediction));
    }
    if (predictions.size() == 2) {
      items.add(types(predictions.get(0), predictions.get(1)));
    }
    items.add(variantsInWords());
    return "<ul>\n<li>" + String.join("</li>\n<li>", items) + "</li>\n</ul>\n";
  }

  private String noise() {
    return floors.entrySet().stream()
        .map(
            floor ->
                format(
                    "With %,d images, two settings near the floor can be told apart if their kernel distances are"
                        + " %.2f apart; the floor is %.2f ± %.2f, %.1f %% of its images sure.",
                    floor.getKey(),
                    CERTAIN * Math.sqrt(2) * floor.getValue().kernel().standardError(),
                    floor.getValue().kernel().value(),
                    floor.getValue().kernel().standardError(),
                    100 * floor.getValue().sure()))
        .collect(Collectors.joining(" "));
  }

  private String steps(String prediction) {
    List<StudyCell> deterministic = row(prediction, 0);
    StudyCell first = deterministic.get(0);
    // Of those with most images: with few, the best is the luckiest.
    StudyCell best =
        best(deterministic.stream().filter(cell -> cell.images() == extent.images()).toList());
    StudyCell enough =
        deterministic.stream()
            .filter(cell -> deterministic.stream().noneMatch(other -> worse(cell, other)))
            .findFirst()
            .orElse(best);
    if (enough.equals(first)) {
      return format(
          "<b>%s, η = 0:</b> no number of steps is shown to be better than %s, with a kernel distance of %.2f.",
          escape(prediction), count(first), kernel(first));
    }
    return format(
        "<b>%s, η = 0:</b> the kernel distance falls from %.2f with %s to %.2f with %s; no number of steps is shown to be"
            + " better than %s, with %.2f. The share of sure digits goes from %.0f %% with %s to %.0f %% with %s.",
        escape(prediction),
        kernel(first),
        count(first),
        kernel(best),
        count(best),
        count(enough),
        kernel(enough),
        100 * first.quality().sure(),
        count(first),
        100 * best.quality().sure(),
        count(best));
  }

  private String eta(String prediction) {
    List<String> sentences = new ArrayList<>();
    List<Integer> undecided = new ArrayList<>();
    for (int steps : extent.steps()) {
      if (steps == 1) {
        continue;
      }
      List<StudyCell> column =
          SamplingStudy.ETAS.stream().map(eta -> cell(prediction, steps, eta)).toList();
      StudyCell best = best(column);
      StudyCell worst = column.stream().max(byKernel()).orElseThrow();
      if (worse(worst, best)) {
        sentences.add(
            format(
                "%d: η = %s with %.2f against %.2f with η = %s",
                steps, best.setting().eta(), kernel(best), kernel(worst), worst.setting().eta()));
      } else {
        undecided.add(steps);
      }
    }
    String told =
        sentences.isEmpty()
            ? "at no number of steps is the best shown to be better than the worst."
            : "the best and the worst by the number of steps: "
                + String.join("; ", sentences)
                + ".";
    String rest =
        sentences.isEmpty() || undecided.isEmpty()
            ? ""
            : format(
                " With %s steps the best is not shown to be better than the worst.",
                undecided.stream().map(String::valueOf).collect(Collectors.joining(", ")));
    return format("<b>%s, η:</b> %s%s", escape(prediction), told, rest);
  }

  private String types(String one, String other) {
    List<String> ahead = new ArrayList<>();
    List<Integer> even = new ArrayList<>();
    for (int steps : extent.steps()) {
      StudyCell a = cell(one, steps, 0);
      StudyCell b = cell(other, steps, 0);
      StudyCell better = kernel(a) <= kernel(b) ? a : b;
      StudyCell behind = better.equals(a) ? b : a;
      if (worse(behind, better)) {
        ahead.add(
            format(
                "%d: %s (%.2f against %.2f)",
                steps, escape(better.setting().prediction()), kernel(better), kernel(behind)));
      } else {
        even.add(steps);
      }
    }
    return format(
        "<b>%s or %s, η = 0:</b> %s%s",
        escape(one),
        escape(other),
        ahead.isEmpty()
            ? "no difference could be shown."
            : "ahead by the number of steps, " + String.join("; ", ahead) + ".",
        ahead.isEmpty() || even.isEmpty()
            ? ""
            : format(
                " With %s steps no difference could be shown.",
                even.stream().map(String::valueOf).collect(Collectors.joining(", "))));
  }

  private String variantsInWords() {
    List<String> parts = new ArrayList<>();
    for (String prediction : predictions) {
      for (int steps : SamplingStudy.FEW_STEPS) {
        StudyCell usual = cell(prediction, steps, 0);
        StudyCell worst = variants(prediction, steps).stream().max(byKernel()).orElseThrow();
        StudyCell best = best(variants(prediction, steps));
        parts.add(
            format(
                "%s, %d steps: from %.2f (%s) to %.2f (%s), %.2f as used here%s",
                escape(prediction),
                steps,
                kernel(best),
                way(best),
                kernel(worst),
                way(worst),
                kernel(usual),
                worse(worst, best) ? "" : ", no difference shown"));
      }
    }
    return "<b>Spacing and clipping</b>, with few steps and η = 0, the best and the worst by kernel distance: "
        + String.join("; ", parts)
        + ".";
  }

  // Pictures.

  private String pictures() throws IOException {
    StringBuilder html =
        new StringBuilder(
            "<p>Down a column the noise at the start is the same. Below each picture: kernel distance, and share of sure"
                + " digits. With one step η plays no part.</p>\n");
    for (String prediction : predictions) {
      html.append(
          format(
              "<h3>%s</h3>\n<div class=\"wide\"><table class=\"pictures\"><thead><tr><th></th>",
              escape(prediction)));
      for (double eta : SamplingStudy.ETAS) {
        html.append(format("<th class=\"left\">η = %s</th>", eta));
      }
      html.append("</tr></thead>\n");
      for (int steps : extent.steps()) {
        html.append(format("<tr><th>%s</th>", count(steps)));
        for (double eta : steps == 1 ? List.of(0.0) : SamplingStudy.ETAS) {
          StudyCell cell = cell(prediction, steps, eta);
          html.append(
              format(
                  "<td>%s%.2f, %.0f %% sure</td>",
                  image(
                      Files.readAllBytes(out.resolve("cells").resolve(cell.fileName() + ".png")),
                      "",
                      format("%d digits, %s, η = %s", SamplingStudy.SHOWN, count(steps), eta)),
                  kernel(cell),
                  100 * cell.quality().sure()));
        }
        html.append("</tr>\n");
      }
      html.append("</table></div>\n");
    }
    return html.toString();
  }

  private String denoising() throws IOException {
    StringBuilder html =
        new StringBuilder(
            "<p>What each model takes the first digit to be, from the first step to the last.</p>\n");
    for (String prediction : predictions) {
      for (int i = 0; i < 2; i++) {
        html.append(
            format(
                "<p>%s, η = %d%s</p>\n",
                escape(prediction),
                i,
                image(png(strips.get(prediction).get(i)), "strip", "estimates of one digit")));
      }
    }
    return html.toString();
  }

  private String charts() throws IOException {
    StringBuilder html =
        new StringBuilder(
            "<p>Gray is the floor. Distances are on a logarithmic scale; a kernel distance within its error of 0 is drawn at"
                + " the error, which is larger above 50 steps, where there are fewer images: lines that rise there need not"
                + " mean worse digits.</p>\n<div class=\"charts\">\n");
    Predicate<StudyCell> all = cell -> true;
    Predicate<StudyCell> many = cell -> cell.images() >= ENOUGH;
    for (String prediction : predictions) {
      html.append(chart(prediction, "kernel distance", true, all, StudyReport::drawn));
    }
    for (String prediction : predictions) {
      html.append(chart(prediction, "Fréchet distance", true, many, Quality::frechet));
    }
    for (String prediction : predictions) {
      html.append(chart(prediction, "sure, %", false, all, quality -> 100 * quality.sure()));
    }
    for (String prediction : predictions) {
      html.append(
          chart(
              prediction,
              "precision",
              false,
              many,
              quality -> quality.precisionRecall().precision()));
    }
    for (String prediction : predictions) {
      html.append(
          chart(prediction, "recall", false, many, quality -> quality.precisionRecall().recall()));
    }
    html.append(seconds()).append("</div>\n");
    return html.toString();
  }

  private static double drawn(Quality quality) {
    return Math.max(quality.kernel().value(), quality.kernel().standardError());
  }

  private String chart(
      String prediction,
      String measure,
      boolean logarithmic,
      Predicate<StudyCell> shown,
      ToDoubleFunction<Quality> value)
      throws IOException {
    List<StudyCell> any = row(prediction, 0).stream().filter(shown).toList();
    if (any.isEmpty()) {
      return "";
    }
    XYChart chart = blank(prediction + ": " + measure);
    chart.getStyler().setYAxisLogarithmic(logarithmic);
    for (double eta : SamplingStudy.ETAS) {
      List<StudyCell> row = row(prediction, eta).stream().filter(shown).toList();
      chart
          .addSeries(
              "η = " + eta,
              row.stream().map(cell -> cell.setting().steps()).toList(),
              row.stream().map(cell -> value.applyAsDouble(cell.quality())).toList())
          .setMarker(SeriesMarkers.CIRCLE)
          .setLineStyle(new BasicStroke(2));
    }
    chart
        .addSeries(
            "floor",
            any.stream().map(cell -> cell.setting().steps()).toList(),
            any.stream().map(cell -> value.applyAsDouble(floors.get(cell.images()))).toList())
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(Color.GRAY)
        .setLineStyle(new BasicStroke(2));
    return image(ChartEncoder.getBytes(chart, "png"), "", measure) + "\n";
  }

  private String seconds() throws IOException {
    XYChart chart = blank("seconds an image, η = 0");
    chart
        .getStyler()
        .setYAxisLogarithmic(true)
        .setSeriesColors(new Color[] {COLORS.get(0), COLORS.get(COLORS.size() - 1)});
    for (String prediction : predictions) {
      List<StudyCell> row = row(prediction, 0);
      chart
          .addSeries(
              prediction,
              row.stream().map(cell -> cell.setting().steps()).toList(),
              row.stream().map(StudyCell::secondsPerImage).toList())
          .setMarker(SeriesMarkers.CIRCLE);
    }
    return image(ChartEncoder.getBytes(chart, "png"), "", "seconds") + "\n";
  }

  private static XYChart blank(String title) {
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
        .setMarkerSize(8);
    return chart;
  }

  // Tables.

  private String variants() throws IOException {
    StringBuilder html =
        new StringBuilder(
            "<p>With few steps, the choice of timesteps and the clipping of estimates. η = 0.</p>\n"
                + "<table><thead><tr><th class=\"left\">prediction</th><th>steps</th><th class=\"left\">spacing</th>"
                + "<th class=\"left\">estimates</th><th>kernel distance</th><th>sure, %</th><th class=\"left\">digits</th></tr></thead>\n");
    for (String prediction : predictions) {
      for (int steps : SamplingStudy.FEW_STEPS) {
        for (StudyCell cell : variants(prediction, steps)) {
          html.append(
              format(
                  "<tr><td class=\"left\">%s</td><td>%d</td><td class=\"left\">%s</td><td class=\"left\">%s</td><td>%s</td>"
                      + "<td>%.1f</td><td>%s</td></tr>\n",
                  escape(prediction),
                  steps,
                  cell.setting().spaced(),
                  cell.setting().clip() ? "clipped" : "free",
                  number(cell.quality().kernel()),
                  100 * cell.quality().sure(),
                  image(
                      Files.readAllBytes(out.resolve("cells").resolve(cell.fileName() + ".png")),
                      "",
                      way(cell))));
        }
      }
    }
    return html.append("</table>\n").toString();
  }

  private String table() {
    StringBuilder html =
        new StringBuilder(
            "<table><thead><tr><th class=\"left\">prediction</th><th>steps</th><th>η</th><th>images</th><th>seconds an image</th>"
                + "<th>kernel distance</th><th>Fréchet distance</th><th>precision</th><th>recall</th><th>sure, %</th>"
                + "<th>rarest digit, %</th></tr></thead>\n");
    for (String prediction : predictions) {
      for (int steps : extent.steps()) {
        for (double eta : steps == 1 ? List.of(0.0) : SamplingStudy.ETAS) {
          StudyCell cell = cell(prediction, steps, eta);
          html.append(
              format(
                  "<tr><td class=\"left\">%s</td><td>%d</td><td>%s</td><td>%,d</td><td>%.4f</td>%s</tr>\n",
                  escape(prediction),
                  steps,
                  steps == 1 ? "any" : String.valueOf(eta),
                  cell.images(),
                  cell.secondsPerImage(),
                  columns(cell.quality(), cell.images())));
        }
      }
    }
    floors.forEach(
        (images, quality) ->
            html.append(
                format(
                    "<tr><td class=\"left\">floor</td><td></td><td></td><td>%,d</td><td></td>%s</tr>\n",
                    images, columns(quality, images))));
    return html.append("</table>\n").toString();
  }

  private static String columns(Quality quality, int images) {
    boolean enough = images >= ENOUGH;
    return format(
        "<td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%.1f</td><td>%s</td>",
        number(quality.kernel()),
        enough ? format("%.2f", quality.frechet()) : "",
        enough ? format("%.3f", quality.precisionRecall().precision()) : "",
        enough ? format("%.3f", quality.precisionRecall().recall()) : "",
        100 * quality.sure(),
        enough ? format("%.1f", 100 * quality.rarest()) : "");
  }

  // Looking things up.

  private StudyCell cell(String prediction, int steps, double eta) {
    return cells.get(Setting.of(prediction, steps, steps == 1 ? 0 : eta));
  }

  private List<StudyCell> row(String prediction, double eta) {
    return extent.steps().stream().map(steps -> cell(prediction, steps, eta)).toList();
  }

  private List<StudyCell> variants(String prediction, int steps) {
    return cells.values().stream()
        .filter(
            cell ->
                cell.setting().prediction().equals(prediction)
                    && cell.setting().steps() == steps
                    && cell.setting().eta() == 0)
        .sorted(
            Comparator.comparing((StudyCell cell) -> cell.setting().spaced())
                .thenComparing(cell -> !cell.setting().clip()))
        .toList();
  }

  private static StudyCell best(List<StudyCell> some) {
    return some.stream().min(byKernel()).orElseThrow();
  }

  private static Comparator<StudyCell> byKernel() {
    return Comparator.comparingDouble(StudyReport::kernel);
  }

  private static double kernel(StudyCell cell) {
    return cell.quality().kernel().value();
  }

  /** Whether one is worse than another, which is hardly chance. */
  private static boolean worse(StudyCell one, StudyCell other) {
    double error =
        Math.hypot(
            one.quality().kernel().standardError(), other.quality().kernel().standardError());
    return kernel(one) - kernel(other) > CERTAIN * error;
  }

  // Putting things into words.

  private static String way(StudyCell cell) {
    return cell.setting().spaced() + ", " + (cell.setting().clip() ? "clipped" : "free");
  }

  private static String count(StudyCell cell) {
    return count(cell.setting().steps());
  }

  private static String count(int steps) {
    return steps == 1 ? "1 step" : steps + " steps";
  }

  private static String number(Estimate estimate) {
    return format("%.2f ± %.2f", estimate.value(), estimate.standardError());
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;");
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  private static byte[] png(BufferedImage picture) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ImageIO.write(picture, "png", bytes);
    return bytes.toByteArray();
  }

  private static String image(byte[] png, String style, String what) {
    return format(
        "<img class=\"%s\" alt=\"%s\" src=\"data:image/png;base64,%s\">",
        style, escape(what), Base64.getEncoder().encodeToString(png));
  }
}

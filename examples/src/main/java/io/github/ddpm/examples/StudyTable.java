package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import com.google.common.base.Splitter;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.StudyCell.Spaced;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** The table has the results for other programs, and for the page to be made again. */
final class StudyTable {
  static final String NAME = "study.csv";

  private static final String HEADER =
      "prediction,steps,eta,spacing,clipped,images,seconds_per_image,kernel_distance,"
          + "kernel_distance_error,frechet_distance,precision,recall,sure,rarest";
  private static final int COLUMNS = Splitter.on(',').splitToList(HEADER).size();
  private static final String FLOOR = "floor";

  private StudyTable() {}

  static void write(Path folder, StudyResults results) throws IOException {
    StringBuilder csv = new StringBuilder(HEADER).append('\n');
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
                csv.append(format("%s,,,,,%d,,%s%n", FLOOR, images, measures(quality, images))));
    Commands.replace(folder.resolve(NAME), csv.toString().getBytes(StandardCharsets.UTF_8));
  }

  private static String measures(Quality quality, int images) {
    return format(
        "%.6f,%.6f,%s,%s,%s,%.4f,%s",
        quality.kernel().value(),
        quality.kernel().standardError(),
        ifEnough(images, quality.frechet()),
        ifEnough(images, quality.precisionRecall().precision()),
        ifEnough(images, quality.precisionRecall().recall()),
        quality.sure(),
        ifEnough(images, quality.rarest()));
  }

  private static String ifEnough(int images, double value) {
    return images < StudyResults.ENOUGH ? "" : format("%.4f", value);
  }

  /**
   * Reads the table of a whole study.
   *
   * @param plan whose settings it must have
   * @param seed of the noise, which the table doesn't say
   */
  static StudyResults read(Path folder, StudyPlan plan, long seed) throws IOException {
    Path file = folder.resolve(NAME);
    List<String> lines = Files.readAllLines(file);
    if (lines.isEmpty() || !lines.get(0).equals(HEADER)) {
      throw new IOException(file + " must begin with the line " + HEADER);
    }
    Map<Setting, StudyCell> cells = new LinkedHashMap<>();
    Map<Integer, Quality> floors = new LinkedHashMap<>();
    Set<String> predictions = new LinkedHashSet<>();
    for (String line : lines.subList(1, lines.size())) {
      List<String> row = Splitter.on(',').splitToList(line);
      try {
        int images = Integer.parseInt(row.get(5));
        if (row.get(0).equals(FLOOR)) {
          floors.put(images, quality(row));
        } else {
          StudyCell cell = cell(row, images);
          cells.put(cell.setting(), cell);
          predictions.add(cell.setting().prediction());
        }
      } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
        throw new IOException(
            format("%s: a line must have %d columns of numbers, got %s", file, COLUMNS, line), e);
      }
    }
    check(file, plan, predictions, cells, floors);
    return new StudyResults(plan, seed, List.copyOf(predictions), cells, floors);
  }

  private static void check(
      Path file,
      StudyPlan plan,
      Set<String> predictions,
      Map<Setting, StudyCell> cells,
      Map<Integer, Quality> floors)
      throws IOException {
    List<String> missing = new ArrayList<>();
    if (cells.isEmpty()) {
      missing.add("any setting");
    }
    for (Setting setting : plan.settings(predictions)) {
      int images = plan.images(setting.steps());
      if (!cells.containsKey(setting) || cells.get(setting).images() != images) {
        missing.add(setting.fileName(images));
      }
    }
    for (int images : List.of(plan.images(), plan.fewImages())) {
      if (!floors.containsKey(images)) {
        missing.add(format("the floor of %d images", images));
      }
    }
    if (!missing.isEmpty()) {
      throw new IOException(
          format(
              "%s lacks %s%s: run the study without --page",
              file,
              missing.get(0),
              missing.size() == 1 ? "" : format(" and %d more", missing.size() - 1)));
    }
  }

  private static StudyCell cell(List<String> row, int images) {
    Setting setting =
        new Setting(
            row.get(0),
            Integer.parseInt(row.get(1)),
            Double.parseDouble(row.get(2)),
            Spaced.valueOf(row.get(3).toUpperCase(Locale.ROOT)),
            Boolean.parseBoolean(row.get(4)));
    return new StudyCell(setting, images, Double.parseDouble(row.get(6)) * images, quality(row));
  }

  private static Quality quality(List<String> row) {
    return new Quality(
        number(row.get(9)),
        new Estimate(Double.parseDouble(row.get(7)), Double.parseDouble(row.get(8))),
        new PrecisionRecall(number(row.get(10)), number(row.get(11))),
        Double.parseDouble(row.get(12)),
        number(row.get(13)));
  }

  /** What few images say nothing of is left out. */
  private static double number(String text) {
    return text.isEmpty() ? Double.NaN : Double.parseDouble(text);
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The study, of networks that have learned nothing, with few images. */
class SamplingStudyTest {
  private static final StudyPlan FULL = new StudyPlan(List.of(1, 2, 5, 10, 60), 21, 9, 8);
  private static final StudyPlan QUICK = new StudyPlan(List.of(1, 5, 10), 21, 8, 8);

  /** 1 step once, others with each η; 5 and 10 steps in 9 more ways. */
  private static final int QUICK_CELLS = 2 * (1 + 2 * 5 + 2 * 9);

  @TempDir static Path shared;

  @TempDir Path folder;

  @BeforeAll
  static void makeModelsAndASet() throws IOException {
    CommandsTest.writeDigits(shared, "train", 21, 28);
    CommandsTest.writeDigits(shared, "t10k", 20, 28);
    save(PredictionType.V_PREDICTION, 1, "v");
    save(PredictionType.EPSILON, 1, "epsilon");
    save(PredictionType.EPSILON, 2, "other");
  }

  @Test
  void anInterruptedStudyGoesOnAndGivesTheSameReport() throws IOException {
    Outcome outcome = study(List.of("v", "epsilon"), "--quick");
    assertThat(outcome.err()).isEmpty();
    Path report = folder.resolve("report.html");
    Path csv = folder.resolve("study.csv");
    assertThat(outcome.out()).contains(report.toString(), csv.toString());
    List<String> lines = Files.readAllLines(csv);
    assertThat(lines).hasSize(1 + QUICK_CELLS + 1);
    assertThat(lines).allMatch(line -> line.split(",", -1).length == 14);
    String page = Files.readString(report);
    assertThat(page)
        .contains("What it shows", "epsilon", "v_prediction")
        .doesNotContain("NaN", "http");
    List<String> pictures =
        Pattern.compile("src=\"([^\"]*)\"")
            .matcher(page)
            .results()
            .map((MatchResult picture) -> picture.group(1))
            .toList();
    // Cells in the usual way, denoising, charts of two measures for each, and one of seconds.
    assertThat(pictures).hasSize(2 * (1 + 2 * 5) + 2 * 2 + 2 * 2 + 1);
    for (String picture : pictures) {
      assertThat(ImageIO.read(folder.resolve(picture).toFile())).as(picture).isNotNull();
    }

    assertThat(study(List.of(), "--quick", "--page").code()).isZero();
    // The table has fewer decimals of the seconds than there were.
    assertThat(Files.readString(report).replaceAll("<td>0\\.\\d{4}</td>", ""))
        .isEqualTo(page.replaceAll("<td>0\\.\\d{4}</td>", ""));

    Map<Path, FileTime> before = cells();
    assertThat(before).hasSize(QUICK_CELLS);
    Path lost = folder.resolve("cells/epsilon-0005-0.5-trailing-clip-8.json");
    Files.delete(lost);
    before.remove(lost);
    String first = Files.readString(csv);
    assertThat(study(List.of("v", "epsilon"), "--quick").code()).isZero();
    Map<Path, FileTime> after = cells();
    assertThat(after.remove(lost)).isNotNull();
    assertThat(after).as("what was there is not made again").isEqualTo(before);
    assertThat(withoutSeconds(csv)).isEqualTo(withoutSeconds(first));
  }

  @Test
  void aFullStudyAndAQuickOneKeepEachOthersImages() throws IOException {
    assertThat(study(List.of("v", "epsilon"), "--quick").code()).isZero();
    Map<Path, FileTime> quick = cells();
    assertThat(study(List.of("v", "epsilon")).code()).isZero();
    assertThat(cells()).containsAllEntriesOf(quick);
    assertThat(Files.readAllLines(folder.resolve("study.csv")))
        .filteredOn(line -> line.startsWith("epsilon,5,0.5,trailing,true,9,"))
        .hasSize(1);
  }

  @Test
  void modelsThatWereStudiedAloneGoIntoOneReport() throws IOException {
    assertThat(study(List.of("v"), "--quick").code()).isZero();
    assertThat(study(List.of("epsilon"), "--quick").code()).isZero();
    Map<Path, FileTime> alone = cells();
    assertThat(alone).hasSize(QUICK_CELLS);
    assertThat(study(List.of("epsilon", "v"), "--quick").code()).isZero();
    assertThat(cells()).isEqualTo(alone);
    assertThat(folder.resolve("report.html")).content().contains("epsilon or v_prediction, η = 0:");
    assertError(study(List.of("other"), "--quick"), "study of other models");
  }

  @Test
  void whatDoesNotBelongTogetherIsRefused() throws IOException {
    assertThat(study(List.of("v", "epsilon"), "--quick").code()).isZero();
    assertError(
        study(List.of("v", "other"), "--quick"), "study of other models, another seed, other data");
    assertError(
        study(List.of("v", "epsilon"), "--quick", "--seed=5"), "other models, another seed");
    assertError(study(List.of("other", "epsilon"), "--quick"), "got two of epsilon");
    CommandsTest.writeDigits(folder, "train", 20, 28);
    CommandsTest.writeDigits(folder, "t10k", 20, 28);
    assertError(
        study(List.of("v", "epsilon"), "--data=" + folder),
        "the study needs 21 training images, got 20");
    Path cell = folder.resolve("cells/epsilon-0005-0.5-trailing-clip-8.json");
    Files.writeString(cell, "{");
    assertError(
        study(List.of("v", "epsilon"), "--quick"), cell + ": remove it to have it made again");
    Files.delete(folder.resolve("epsilon-source.json"));
    assertError(study(List.of("v", "epsilon"), "--quick"), "source.json is missing");
  }

  private Map<Path, FileTime> cells() throws IOException {
    Map<Path, FileTime> times = new LinkedHashMap<>();
    try (Stream<Path> files = Files.list(folder.resolve("cells"))) {
      for (Path file : files.filter(path -> path.toString().endsWith(".json")).toList()) {
        times.put(file, Files.getLastModifiedTime(file));
      }
    }
    return times;
  }

  private static String withoutSeconds(Path csv) throws IOException {
    return withoutSeconds(Files.readString(csv));
  }

  private static String withoutSeconds(String csv) {
    return csv.replaceAll("(?m)^(([^,]*,){6})[^,]*", "$1");
  }

  private Outcome study(List<String> models, String... options) {
    List<String> args = new ArrayList<>(List.of(options));
    args.add("--out=" + folder);
    for (String model : models) {
      args.add("--model=" + shared.resolve(model));
    }
    if (args.stream().noneMatch(option -> option.startsWith("--data"))) {
      args.add("--data=" + shared);
    }
    return run(new SamplingStudy(FULL, QUICK), args.toArray(new String[0]));
  }

  private static void save(PredictionType type, long seed, String name) throws IOException {
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(28, 28, 1).withBlockOutChannels(8, 8).withClasses(10),
            BetaSchedule.linear(60),
            type,
            TrainingOptions.defaults().withSeed(seed))) {
      trainer.save(shared.resolve(name));
    }
  }
}

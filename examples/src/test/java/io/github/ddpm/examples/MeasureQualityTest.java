package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ObjectArrays;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Mnist;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What measures, on networks that have learned nothing and a set of stripes. */
class MeasureQualityTest {
  @TempDir static Path shared;

  @TempDir Path folder;

  @BeforeAll
  static void makeModelsAndASet() throws IOException {
    CommandsTest.writeDigits(shared, "train", 30, 28);
    CommandsTest.writeDigits(shared, "t10k", 20, 28);
    try (Trainer v = model(28, 10, PredictionType.V_PREDICTION);
        Trainer unlabeled = model(28, 0, PredictionType.V_PREDICTION);
        Trainer small = model(8, 10, PredictionType.EPSILON)) {
      v.save(shared.resolve("v"));
      v.step(Mnist.train(shared).images(0), 3);
      v.save(shared.resolve("v-of-threes"));
      unlabeled.save(shared.resolve("unlabeled"));
      small.save(shared.resolve("small"));
    }
  }

  @Test
  void itPrintsATableAndPutsItIntoTheCard() throws IOException {
    Path card =
        Files.writeString(
            shared.resolve("v/README.md"), "# Mine\n\n## Measures\n\nold\n\n## License\n\nmine\n");
    Outcome outcome =
        measure(
            "--model=" + shared.resolve("v"),
            "--count=20",
            "--asked=10",
            "--guidance=2",
            "--bound=2",
            "--card");
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out())
        .startsWith("20 images by DDIM with η = 0.0 and 3 steps, seed 0, ")
        .contains("| Fréchet distance |", "| kernel distance |", "| recall |", "| rarest digit |")
        .contains(
            "| asked for a digit with guidance 2.0, got it | ",
            " % of 10 | ",
            " on 2 test images | |");
    assertThat(card)
        .content()
        .isEqualTo("# Mine\n\n## Measures\n\n" + outcome.out() + "\n## License\n\nmine\n");
  }

  @Test
  void theTableSaysWhoseLabelsWereDrawn() {
    String[] threes = options("v-of-threes");
    String drawn = ", with labels as frequent as in the training data, against as many";
    String none = ", by the null label, against as many";
    String table = measure(threes).out();
    assertThat(table).contains(drawn);
    assertThat(measure(ObjectArrays.concat(threes, "--null-label")).out())
        .contains(none)
        .isNotEqualTo(table.replace(drawn, none));
    assertThat(measure(options("v")).out()).contains(none);
    assertThat(measure(options("unlabeled")).out()).doesNotContain("label");
  }

  private static String[] options(String model) {
    return new String[] {
      "--model=" + shared.resolve(model), "--count=20", "--asked=0", "--bound=0"
    };
  }

  @Test
  void aModelWithoutLabelsIsNotAskedForDigits() {
    Outcome outcome = measure("--model=" + shared.resolve("unlabeled"), "--count=20", "--bound=0");
    assertThat(outcome.out())
        .as(outcome.err())
        .contains("| rarest digit |")
        .doesNotContain("asked for a digit");
  }

  @ParameterizedTest
  @CsvSource({
    "ddpm, DDPM",
    "dpm-solver, DPM-Solver++",
    "dpm-solver-3, DPM-Solver++ of order 3",
    "heun, Heun's method"
  })
  void theTableNamesTheSampler(String option, String name) throws IOException {
    Outcome outcome =
        measure(
            "--model=" + shared.resolve("v"),
            "--sampler=" + option,
            "--count=20",
            "--asked=0",
            "--bound=0");
    assertThat(outcome.out()).startsWith("20 images by " + name + " with 3 steps, seed 0, ");
  }

  @Test
  void theTableNamesTheSpacing() {
    String[] options = options("v");
    assertThat(measure(ObjectArrays.concat(options, "--spacing=karras")).out())
        .startsWith("20 images by DDIM with η = 0.0 and 3 steps in karras spacing, seed 0, ");
    assertThat(measure(ObjectArrays.concat(options, "--spacing=leading")).out())
        .startsWith(
            "20 images by DDIM with η = 0.0 and 3 steps in leading spacing from timestep 12");
    assertThat(measure(ObjectArrays.concat(options, "--spacing-exponent=0.5")).out())
        .startsWith("20 images by DDIM with η = 0.0 and 3 steps spaced by power 0.5, seed 0, ");
  }

  @Test
  void badInputIsNamed() throws IOException {
    String model = "--model=" + shared.resolve("v");
    assertError(measure(model, "--count=21"), "--count must be in [4, 20], got 21");
    assertError(measure(model, "--count=20", "--bound=1"), "--bound must be in [2, 20], got 1");
    assertError(measure(model, "--eta=2"), "eta must be in [0, 1], got 2");
    assertError(measure(model, "--guidance=NaN"), "guidance");
    assertError(measure("--card"), "--card needs a folder as --model");
    assertError(measure("--card", "--model=digits-4"), "--card needs a folder as --model");
    assertError(
        measure(model, "--asked=0", "--guidance=2"),
        "--guidance is for the images of --asked, of which there are none, got 2.0");
    String unlabeled = "--model=" + shared.resolve("unlabeled");
    assertError(
        measure(unlabeled, "--asked=5"),
        "--asked needs a --model with the 10 classes that the classifier tells, got one with 0");
    assertError(measure(unlabeled, "--guidance=2"), "--guidance is for the images of --asked");
    assertError(measure(model, "--asked=-1"), "--asked must be in [0, 2147483647], got -1");
    assertError(
        measure("--model=" + shared.resolve("small")), "the classifier knows 28x28x1 digits, got");
    Path damaged = Files.writeString(folder.resolve("damaged"), "not weights at all");
    assertError(measure(model, "--classifier=" + damaged), damaged.toString());
    assertError(run(new TrainClassifier(), "--out=" + damaged), damaged + " exists");
    assertError(
        run(new TrainClassifier(), "--out=" + folder.resolve("c"), "--data=" + folder),
        folder + " must hold train-images");
  }

  private static Outcome measure(String... options) {
    String[] args = new String[options.length + 2];
    args[0] = "--data=" + shared;
    args[1] = "--steps=3";
    System.arraycopy(options, 0, args, 2, options.length);
    return run(new MeasureQuality(), args);
  }

  private static Trainer model(int size, int classes, PredictionType type) {
    UNetConfig network = UNetConfig.small(size, size, 1).withBlockOutChannels(8, 8);
    return Trainer.create(
        classes == 0 ? network : network.withClasses(classes),
        BetaSchedule.linear(20),
        type,
        TrainingOptions.defaults());
  }
}

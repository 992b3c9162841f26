package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's Java code is this file's, between the markers, and runs. */
class ReadmeTest {
  @TempDir Path folder;

  @Test
  void itsCodeRuns() throws IOException {
    Dataset digits = Dataset.of(8, 8, 1, new byte[20][64], 10, new int[20]);
    Path png = folder.resolve("digits.png");
    train(digits, folder.resolve("model"));
    assertThat(sample(folder.resolve("model"), png).count()).isEqualTo(16);
    assertThat(sampleWithoutAModel()).hasSize(2);
    assertThat(png).isNotEmptyFile();
    Path other = Path.of("../src-test-resources/golden/folder-learned-variance");
    assertThat(sampleAsThePipeline(other).count()).isEqualTo(4);
  }

  private static void train(Dataset digits, Path folder) throws IOException {
    int steps = 2;
    // README
    UNetConfig network =
        UNetConfig.small(digits.height(), digits.width(), digits.channels())
            .withClasses(digits.classes());
    try (Trainer trainer =
        Trainer.create(
            network,
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.setTotalSteps(steps);
      trainer.train(digits, progress -> true); // told after each step; false stops
      trainer.save(folder);
    }
    // END
  }

  private static Images sample(Path folder, Path png) throws IOException {
    // README
    try (Predictor model = Predictor.load(folder)) {
      Sampler sampler = Sampler.ddim(0).steps(20).with(model);
      Images sevens = sampler.labels(7).guidance(2).seed(1).sample(16);
      sevens.writeGrid(png);
      return sevens;
    }
    // END
  }

  private static List<Images> sampleWithoutAModel() {
    // README
    Images some = Sampler.ddim(0.0).sample(16);
    Images sevens = Sampler.ddim(0.5).steps(20).labels(7).guidance(2).seed(1).sample(9);
    // END
    return List.of(some, sevens);
  }

  private static Images sampleAsThePipeline(Path folder) throws IOException {
    // README
    try (Predictor model = Predictor.load(folder)) {
      return model.sampler().seed(1).sample(4);
    }
    // END
  }

  @Test
  void itsCodeIsThis() throws IOException {
    String source =
        Files.readString(Path.of("src/test/java/io/github/ddpm/examples/ReadmeTest.java"));
    List<String> ours = blocks(source, "(?m)^ *// README\n(.*?)^ *// END$");
    List<String> readmes =
        blocks(Files.readString(Path.of("../README.md")), "(?m)^```java\n(.*?)^```$");
    assertThat(readmes).containsExactlyInAnyOrderElementsOf(ours);
  }

  private static List<String> blocks(String text, String pattern) {
    return Pattern.compile(pattern, Pattern.DOTALL)
        .matcher(text)
        .results()
        .map((MatchResult block) -> block.group(1).stripTrailing().stripIndent())
        .toList();
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.examples.measures.Classified;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A table in Markdown of what models of fewer and fewer steps are worth. It has a line for each
 * that is done, and so says where the rounds of a distillation are.
 */
final class RoundMeasures {
  /** This seed decides which images stand for MNIST where not all do. */
  private static final long CHOICE = 0;

  private static final String COLUMNS =
      "| steps | Fréchet distance | kernel distance | precision | recall | sure, % | rarest digit, % |";

  private final Path file;
  private final Dataset train;
  private final int count;

  /**
   * Goes on with a table, if it is there.
   *
   * @param train what digits are compared with
   * @param count number of digits of each model; 0 for a table without numbers
   * @throws IllegalArgumentException if there are not so many, or the table there has another
   *     number
   */
  RoundMeasures(Path file, Dataset train, int count) throws IOException {
    int least = PrecisionRecall.NEIGHBORS + 1;
    if (count != 0 && (count < least || count > train.size())) {
      throw new IllegalArgumentException(
          format("--count must be 0 or in [%d, %d], got %d", least, train.size(), count));
    }
    this.file = file;
    this.train = train;
    this.count = count;
    String title = header().get(0);
    if (!lines().get(0).equals(title)) {
      throw new IllegalArgumentException(
          format("%s was begun otherwise: it must start with '%s'", file, title));
    }
  }

  private List<String> header() {
    String title =
        format(
            "%,d digits, with labels as frequent as in the training data, by DDIM with η = 0, seed 0, against as many training images.",
            count);
    return List.of(title, "", COLUMNS, "|---|---|---|---|---|---|---|");
  }

  /** Returns whether the model of so many steps is done. */
  boolean contains(int steps) throws IOException {
    return lines().stream().anyMatch(line -> line.startsWith(start(steps)));
  }

  /**
   * Measures a model with the labels of what it is compared with, by DDIM with η = 0, unless its
   * line is there already.
   */
  void add(Path model, int steps) throws IOException {
    if (contains(steps)) {
      return;
    }
    String line = start(steps) + (count == 0 ? " | | | | | |" : measured(model, steps));
    List<String> lines = new ArrayList<>(lines());
    lines.add(line);
    String text = String.join(System.lineSeparator(), lines) + System.lineSeparator();
    Commands.replace(file, text.getBytes(StandardCharsets.UTF_8));
    System.out.println(COLUMNS);
    System.out.println(line);
  }

  private static String start(int steps) {
    return "| " + steps + " |";
  }

  private List<String> lines() throws IOException {
    List<String> lines = Files.exists(file) ? Files.readAllLines(file) : header();
    return lines.isEmpty() ? List.of("") : lines;
  }

  private String measured(Path model, int steps) throws IOException {
    try (Predictor predictor = Predictor.load(model);
        DigitClassifier digits = DigitClassifier.load()) {
      int[] chosen = train.batch(0, count, CHOICE);
      Classified real = digits.classify(train.images(chosen));
      // Whether a model knows its label counts must not matter here.
      int[] labels = predictor.info().classes() == 0 ? new int[0] : train.labels(chosen);
      Sampler sampler = Sampler.ddim(0).steps(steps).seed(0).labels(labels).with(predictor);
      Quality quality = Quality.of(digits.classify(ProgressDisplay.sample(sampler, count)), real);
      return format(
          " %.2f | %.3f ± %.3f | %.3f | %.3f | %.1f | %.1f |",
          quality.frechet(),
          quality.kernel().value(),
          quality.kernel().standardError(),
          quality.precisionRecall().precision(),
          quality.precisionRecall().recall(),
          100 * quality.sure(),
          100 * quality.rarest());
    }
  }
}

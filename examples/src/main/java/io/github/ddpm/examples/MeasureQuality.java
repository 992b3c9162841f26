package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.examples.measures.BitsPerDimension;
import io.github.ddpm.examples.measures.Classified;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures a digits model against MNIST. */
@Command(
    name = "MeasureQuality",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Samples digits that aren't asked for by label and measures them against as many of MNIST's training images,"
          + " beside what as many of its test images get. Prints a table in Markdown."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --count 2000",
      "  ${COMMAND-FULL-NAME} --model model --steps 10 --card"
    })
public final class MeasureQuality implements Callable<Integer> {
  /** This seed decides which images stand for MNIST where not all do. */
  private static final long CHOICE = 0;

  /** So many images are asked for by label unless another number is given. */
  private static final int ASKED = 2000;

  private static final int STEPS = 50;
  private static final int BOUND = 128;

  @Option(
      names = "--model",
      description = "folder of the model, or the name of " + Commands.LIBRARY + "; default: digits")
  private Path model;

  @Mixin private final MnistOption data = new MnistOption();

  @Option(
      names = "--classifier",
      description = "file of the digit classifier; default: the one of the examples")
  private Path classifier;

  @Option(names = "--count", defaultValue = "10000", description = "number of images")
  private int count;

  @Option(
      names = "--sampler",
      defaultValue = "ddim",
      completionCandidates = Samplers.Names.class,
      description = "${COMPLETION-CANDIDATES}, each with --steps")
  private String sampler;

  @Option(
      names = "--steps",
      description = "number of steps; default: those the model was distilled for, else 50")
  private Integer steps;

  @Mixin private final SpacingOption spacing = new SpacingOption();

  @Option(names = "--eta", description = "share of DDPM's variance in DDIM, in [0, 1]; default: 0")
  private Double eta;

  @Option(
      names = "--null-label",
      description =
          "sample by the model's null label, instead of labels as frequent as in the training data")
  private boolean nullLabel;

  @Option(
      names = "--asked",
      description =
          "number of further images that are asked for by label; 0 for none; default: 2000 if the model has labels")
  private Integer asked;

  @Option(
      names = "--guidance",
      description = "how much more the labels of these weigh; default: 1, which is off")
  private Double guidance;

  @Option(
      names = "--bound",
      description =
          "number of test images for the variational bound; 0 for none; default: 128, or 0 if the model was distilled for a few timesteps")
  private Integer bound;

  @Option(
      names = "--precision",
      description = "float32 or bfloat16; by default the faster one on this machine")
  private Precision precision;

  @Option(names = "--seed", defaultValue = "0", description = "of all randomness")
  private long seed;

  @Option(names = "--card", description = "also put the table into the model's README.md")
  private boolean card;

  MeasureQuality() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new MeasureQuality(), args);
  }

  @Override
  public Integer call() throws Exception {
    if (card && (model == null || !Files.isDirectory(model))) {
      throw new IllegalArgumentException("--card needs a folder as --model, which it writes to");
    }
    try (Predictor predictor = Commands.open(model, precision);
        DigitClassifier digits =
            classifier == null ? DigitClassifier.load() : DigitClassifier.load(classifier)) {
      if (steps == null) {
        steps = predictor.info().steps() > 0 ? predictor.info().steps() : STEPS;
      }
      if (bound == null) {
        bound = predictor.info().steps() > 0 ? 0 : BOUND;
      }
      // Refuses steps, eta and a model that doesn't fit before anything is drawn.
      Sampler configured =
          Samplers.of(sampler, eta)
              .spacing(spacing.of(steps, predictor.info()))
              .seed(seed)
              .labels(Samplers.unasked(nullLabel))
              .with(predictor);
      int classes = digits.classify(configured.sample(0)).classes();
      int wanted = asked(predictor.info(), classes);
      String table = measure(predictor, digits, configured, wanted);
      System.out.print(table);
      if (card) {
        ModelCard.putMeasures(model, table);
      }
    }
    return 0;
  }

  /**
   * Returns how many images are asked for by label.
   *
   * @param classes that the classifier tells
   */
  private int asked(ModelInfo info, int classes) {
    boolean possible = info.classes() == classes;
    if (asked != null && asked > 0 && !possible) {
      throw new IllegalArgumentException(
          "--asked needs a --model with the "
              + classes
              + " classes that the classifier tells, got one with "
              + info.classes());
    }
    int number = asked == null ? (possible ? ASKED : 0) : asked;
    check("--asked", number, 0, Integer.MAX_VALUE);
    if (guidance != null && number == 0) {
      throw new IllegalArgumentException(
          "--guidance is for the images of --asked, of which there are none, got " + guidance);
    }
    return number;
  }

  private Precision used() {
    return precision == null ? TrainingOptions.defaults().precision() : precision;
  }

  private String measure(
      Predictor predictor, DigitClassifier digits, Sampler configured, int wanted)
      throws IOException {
    ModelInfo info = predictor.info();
    double weight = guidance == null ? 1 : guidance;
    Sampler guided = configured.guidance(weight);
    Dataset train = data.train();
    Dataset test = data.test();
    int most = Math.min(train.size(), test.size());
    check("--count", count, PrecisionRecall.NEIGHBORS + 1, most);
    if (bound != 0) {
      check("--bound", bound, 2, test.size());
    }
    int[] chosen = test.batch(0, count, CHOICE);
    Classified real = digits.classify(train.images(train.batch(0, count, CHOICE)));
    Classified heldOut = digits.classify(test.images(chosen));
    Classified generated = digits.classify(ProgressDisplay.sample(configured, count));
    Quality quality = Quality.of(generated, real);
    Quality floor = Quality.of(heldOut, real);

    StringBuilder table = new StringBuilder();
    line(
        table,
        "%,d images by %s %d steps%s, seed %d, in %s%s, against as many training images."
            + " The floor is what as many test images get.%n",
        count,
        Samplers.inWords(sampler, eta),
        steps,
        spacing.inWords(steps, info),
        seed,
        used().name().toLowerCase(Locale.ROOT),
        info.classes() == 0
            ? ""
            : nullLabel || info.labelCounts().isEmpty()
                ? ", by the null label"
                : ", with labels as frequent as in the training data");
    line(table, "| | model | floor |");
    line(table, "|---|---|---|");
    line(
        table,
        "| Fréchet distance | %.2f, %.1f times the floor | %.2f |",
        quality.frechet(),
        quality.frechet() / floor.frechet(),
        floor.frechet());
    line(table, "| kernel distance | %s | %s |", number(quality.kernel()), number(floor.kernel()));
    line(
        table,
        "| precision | %.3f | %.3f |",
        quality.precisionRecall().precision(),
        floor.precisionRecall().precision());
    line(
        table,
        "| recall | %.3f | %.3f |",
        quality.precisionRecall().recall(),
        floor.precisionRecall().recall());
    line(
        table,
        "| surely a digit (above %s) | %.1f %% | %.1f %% |",
        Quality.SURE,
        100 * quality.sure(),
        100 * floor.sure());
    line(
        table,
        "| rarest digit | %.1f %% | %.1f %% |",
        100 * quality.rarest(),
        100 * floor.rarest());
    if (wanted > 0) {
      int[] labels = IntStream.range(0, info.classes()).toArray();
      Images drawn = ProgressDisplay.sample(guided.labels(labels), wanted);
      line(
          table,
          "| asked for a digit%s, got it | %.1f %% of %,d | %.1f %% |",
          weight == 1 ? "" : " with guidance " + weight,
          100 * digits.classify(drawn).accuracy(labels),
          wanted,
          100 * heldOut.accuracy(test.labels(chosen)));
    }
    if (bound > 0) {
      line(
          table,
          "| bits/dim by DDPM with all %,d timesteps%s, at most | %s on %,d test images | |",
          info.schedule().timesteps(),
          info.classes() == 0 ? "" : info.nullLabel() ? ", by the null label" : ", given the label",
          number(bits(predictor, test)),
          bound);
    }
    return table.toString();
  }

  private Estimate bits(Predictor predictor, Dataset test) {
    ModelInfo info = predictor.info();
    int[] chosen = test.batch(0, bound, CHOICE);
    int[] labels = new int[info.nullLabel() ? bound : 0];
    Arrays.fill(labels, info.classes());
    if (info.classes() > 0 && !info.nullLabel()) {
      labels = test.labels(chosen);
    }
    return BitsPerDimension.of(predictor, test.images(chosen), labels, seed);
  }

  private static void check(String option, int value, int least, int most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(
          option + " must be in [" + least + ", " + most + "], got " + value);
    }
  }

  private static String number(Estimate estimate) {
    return format("%.3f ± %.3f", estimate.value(), estimate.standardError());
  }

  private static void line(StringBuilder table, String format, Object... values) {
    table.append(format(format, values)).append('\n');
  }
}

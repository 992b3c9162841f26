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
import io.github.ddpm.examples.measures.FeatureNetwork;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures a digits model against MNIST, or another one against pictures of a folder. */
@Command(
    name = "MeasureQuality",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Samples digits that aren't asked for by label and measures them against as many of MNIST's training images,"
          + " beside what as many of its test images get. With --features, measures other pictures against those of"
          + " --data, beside what as many others of them get. Prints a table in Markdown."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --count 2000",
      "  ${COMMAND-FULL-NAME} --model model --steps 10 --card",
      "  ${COMMAND-FULL-NAME} --model model --data photos --features inception"
    })
public final class MeasureQuality implements Callable<Integer> {
  /** This seed decides which images stand for MNIST where not all do. */
  private static final long CHOICE = 0;

  /** So many images are asked for by label unless another number is given. */
  private static final int ASKED = 2000;

  private static final int COUNT = 10_000;
  private static final int FEWEST = PrecisionRecall.NEIGHBORS + 1;
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

  @Option(
      names = "--features",
      paramLabel = "<folder>",
      description =
          "measure other pictures than digits, those in the folder --data, by "
              + TrainingCommand.FEATURES)
  private Path features;

  @Option(
      names = "--count",
      description = "number of images; default: 10000, with --features at most half of --data")
  private Integer count;

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
      description =
          "float32, bfloat16 or, for GPUs, float16; by default the fastest one on this machine")
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
    if (features != null) {
      checkNoDigits();
    }
    try (Predictor predictor = Commands.open(model, precision)) {
      if (steps == null) {
        steps = predictor.info().steps() > 0 ? predictor.info().steps() : STEPS;
      }
      if (bound == null) {
        bound = predictor.info().steps() > 0 ? 0 : BOUND;
      }
      Sampler configured =
          Samplers.of(sampler, eta)
              .spacing(spacing.of(steps, predictor.info()))
              .seed(seed)
              .labels(Samplers.unasked(nullLabel))
              .with(predictor);
      String table =
          features == null ? digits(predictor, configured) : pictures(predictor.info(), configured);
      System.out.print(table);
      if (card) {
        ModelCard.putMeasures(model, table);
      }
    }
    return 0;
  }

  /** Refuses what is measured of digits alone. */
  private void checkNoDigits() {
    if (data.folder().isEmpty()) {
      throw new IllegalArgumentException("--features needs --data, a folder of pictures");
    }
    if (classifier != null || asked != null || guidance != null || bound != null) {
      throw new IllegalArgumentException(
          "--classifier, --asked, --guidance and --bound are for digits, which --features is not: leave them out");
    }
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

  private String digits(Predictor predictor, Sampler configured) throws IOException {
    try (DigitClassifier digits =
        classifier == null ? DigitClassifier.load() : DigitClassifier.load(classifier)) {
      // Refuses steps, eta and a model that doesn't fit before anything is drawn.
      int classes = digits.classify(configured.sample(0)).classes();
      return digits(predictor, digits, configured, asked(predictor.info(), classes));
    }
  }

  private String digits(Predictor predictor, DigitClassifier digits, Sampler configured, int wanted)
      throws IOException {
    ModelInfo info = predictor.info();
    double weight = guidance == null ? 1 : guidance;
    Sampler guided = configured.guidance(weight);
    Dataset train = data.train();
    Dataset test = data.test();
    int most = Math.min(train.size(), test.size());
    int number = count == null ? COUNT : count;
    check("--count", number, FEWEST, most);
    if (bound != 0) {
      check("--bound", bound, 2, test.size());
    }
    int[] chosen = test.batch(0, number, CHOICE);
    Classified real = digits.classify(train.images(train.batch(0, number, CHOICE)));
    Classified heldOut = digits.classify(test.images(chosen));
    Classified generated = digits.classify(ProgressDisplay.sample(configured, number));

    QualityTable table =
        new QualityTable(
            drawn(info, number)
                + ", against as many training images. The floor is what as many test images get.");
    table.add(Quality.of(generated, real), Quality.of(heldOut, real));
    if (wanted > 0) {
      int[] labels = IntStream.range(0, info.classes()).toArray();
      Images drawn = ProgressDisplay.sample(guided.labels(labels), wanted);
      table.line(
          "| asked for a digit%s, got it | %.1f %% of %,d | %.1f %% |",
          weight == 1 ? "" : " with guidance " + weight,
          100 * digits.classify(drawn).accuracy(labels),
          wanted,
          100 * heldOut.accuracy(test.labels(chosen)));
    }
    if (bound > 0) {
      table.line(
          "| bits/dim by DDPM with all %,d timesteps%s, at most | %s on %,d test images | |",
          info.schedule().timesteps(),
          info.classes() == 0 ? "" : info.nullLabel() ? ", by the null label" : ", given the label",
          QualityTable.number(bits(predictor, test)),
          bound);
    }
    return table.toString();
  }

  private String pictures(ModelInfo info, Sampler configured) throws IOException {
    try (FeatureNetwork network = FeatureNetwork.load(features)) {
      // Refuses steps, eta and a model that doesn't fit before anything is drawn.
      network.features(configured.sample(0));
      Path folder = data.folder().orElseThrow();
      Dataset pictures = ImageFolder.load(folder, info.height(), info.channels());
      int half = pictures.size() / 2;
      if (half < FEWEST) {
        throw new IllegalArgumentException(
            "--data must have at least " + 2 * FEWEST + " pictures, got " + pictures.size());
      }
      int number = count == null ? Math.min(COUNT, half) : count;
      check("--count", number, FEWEST, half);
      int[] chosen = pictures.batch(0, 2 * number, CHOICE);
      DMatrixRMaj real = network.features(pictures, Arrays.copyOf(chosen, number));
      DMatrixRMaj others =
          network.features(pictures, Arrays.copyOfRange(chosen, number, 2 * number));
      DMatrixRMaj generated = network.features(ProgressDisplay.sample(configured, number));
      QualityTable table =
          new QualityTable(
              drawn(info, number)
                  + format(
                      ", against as many pictures of %s, by %s. The floor is what as many others of these get%s.",
                      folder, network, TrainingDistance.few(number, network.dimensions())));
      table.add(Quality.of(generated, real), Quality.of(others, real));
      return table.toString();
    }
  }

  /** Says how images were drawn. */
  private String drawn(ModelInfo info, int number) {
    return format(
        "%,d images by %s %d steps%s, seed %d, in %s%s",
        number,
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
}

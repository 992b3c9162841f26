package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.Autoguidance;
import io.github.ddpm.tf.ProgressiveDistillation;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** The {@code README.md} of a model says what it was made of, and how well it does. */
final class ModelCard {
  private static final String NAME = "README.md";
  private static final String MEASURES = "## Measures";

  /** The section goes from its heading to the next one of that level or the end. */
  private static final Pattern SECTION =
      Pattern.compile("^" + MEASURES + "\\R.*?(?=^## |\\z)", Pattern.MULTILINE | Pattern.DOTALL);

  private static final String MNIST =
      "the %,d training images of MNIST, by Yann LeCun and Corinna Cortes, CC BY-SA 3.0";
  private static final String OTHER =
      "%,d images in MNIST's format, chosen by `--data`; MNIST itself is by Yann LeCun and Corinna"
          + " Cortes, CC BY-SA 3.0";

  /** The part that says how a model was made starts like this. */
  private static final String TABLE = "| | |\n|---|---|\n| data | ";

  /** The loss is the mean of so many steps: single ones differ by the timesteps they drew. */
  private static final int LOSS_STEPS = 1000;

  private ModelCard() {}

  /** Writes a card without measures. */
  static void write(Path folder, Trainer trainer, Dataset data, boolean mnist, LossCurve losses)
      throws IOException {
    ModelInfo info = trainer.info();
    TrainingOptions options = trainer.options();
    String text =
        format(
            """
            # A model of %dx%d digits

            A folder as diffusers has them; the weights are the moving average of training's, as float16.
            %s

            %s%s |
            | predicts | %s, noise by %s |
            | command | `%s` |
            | training | %,d of %,d steps of %d images, %.1f minutes |
            | seed | %d |
            | loss | %.3g, the mean of the last %,d steps%s |
            """,
            info.height(),
            info.width(),
            info.nullLabel()
                ? info.classes()
                    + " classes and a null label, so it draws with labels, without them, and with guidance."
                : info.classes() == 0
                    ? "It draws without labels."
                    : info.classes()
                        + " classes and no null label, so it draws with labels, and without guidance.",
            TABLE,
            format(mnist ? MNIST : OTHER, data.size()),
            info.predictionType().configName(),
            Noise.inWords(info.schedule()),
            command(trainer, data),
            trainer.stepsTaken(),
            trainer.totalSteps(),
            options.batchSize(),
            losses.minutes(),
            options.seed(),
            losses.mean(LOSS_STEPS),
            Math.min(trainer.stepsTaken(), LOSS_STEPS),
            trainer.distillation().isEmpty()
                ? ""
                : autoguidance(trainer).isPresent()
                    ? ", against what the guided model predicts"
                    : ", against where the teacher lands");
    Files.writeString(
        folder.resolve(NAME),
        text
            + made("What it started from", trainer.startedFrom())
            + made("What guided it", autoguidance(trainer).map(Autoguidance::guide)));
  }

  /** Returns the command that trains so. */
  private static String command(Trainer trainer, Dataset data) {
    TrainingOptions options = trainer.options();
    double epochs = (double) trainer.totalSteps() * options.batchSize() / data.size();
    String precision = options.precision().name().toLowerCase(Locale.ROOT);
    Optional<ProgressiveDistillation> rounds = progressive(trainer);
    Class<?> main = rounds.isPresent() ? DistillDigits.class : TrainMnist.class;
    String how =
        rounds.map(ModelCard::round).orElseGet(() -> start(trainer))
            + " --batch "
            + options.batchSize()
            + (options.microBatch() == 0 ? "" : " --micro-batch " + options.microBatch())
            + (options.localSteps() == 0 ? "" : " --local-steps " + options.localSteps())
            + (rounds.isPresent() ? " --epochs-per-round " : " --epochs ")
            + epochs
            + (rounds.isPresent() ? "" : " --optimizer " + optimizer(options))
            + " --learning-rate "
            + options.optimizer().learningRate()
            + " --label-dropout "
            + options.labelDropout()
            + (rounds.isPresent() ? "" : " --min-snr " + options.minSnrGamma())
            + " --precision "
            + precision
            + " --seed "
            + options.seed();
    return format(
        "mvn -q compile exec:java -Dexec.mainClass=%s -Dexec.args=\"%s\"", main.getName(), how);
  }

  private static String optimizer(TrainingOptions options) {
    return options.optimizer().method().name().toLowerCase(Locale.ROOT);
  }

  /** Returns the options of a round of distillation. */
  private static String round(ProgressiveDistillation by) {
    return format(
        "--from %s --teacher-steps %d --steps %d --guidance %s --weighting %s",
        by.teacher(), by.teacherSteps(), by.steps(), by.guidance(), by.weighting());
  }

  private static Optional<ProgressiveDistillation> progressive(Trainer trainer) {
    return trainer
        .distillation()
        .flatMap(
            from ->
                from instanceof ProgressiveDistillation by ? Optional.of(by) : Optional.empty());
  }

  private static Optional<Autoguidance> autoguidance(Trainer trainer) {
    return trainer
        .distillation()
        .flatMap(from -> from instanceof Autoguidance by ? Optional.of(by) : Optional.empty());
  }

  /** Returns the options that say what a training starts from. */
  private static String start(Trainer trainer) {
    int layers = trainer.network().levels().layersPerBlock();
    if (autoguidance(trainer).isPresent()) {
      Autoguidance by = autoguidance(trainer).get();
      return format(
          "--from %s --guide %s --guide-weight %s",
          trainer.startedFrom().orElseThrow(), by.guide(), by.weight());
    }
    if (trainer.startedFrom().isPresent()) {
      return format("--from %s --layers %d", trainer.startedFrom().get(), layers);
    }
    return format(
        "--prediction %s --schedule %s --channels %s --layers %d",
        trainer.info().predictionType().configName(),
        Noise.option(trainer.info().schedule()),
        trainer.network().levels().channels().stream()
            .map(String::valueOf)
            .collect(Collectors.joining(",")),
        layers);
  }

  /** Returns how another model was made, if its card says so. */
  private static String made(String heading, Optional<Path> model) throws IOException {
    Path card = model.map(folder -> folder.resolve(NAME)).orElse(null);
    if (card == null || !Files.exists(card)) {
      return "";
    }
    String text = SECTION.matcher(Files.readString(card)).replaceAll("");
    int table = text.indexOf(TABLE);
    return table < 0
        ? ""
        : format(
            "\n## %s\n\n%s\n", heading, text.substring(table).strip().replaceAll("(?m)^##", "###"));
  }

  /**
   * Puts measures into a card, in place of those that were there, else at its end.
   *
   * @param folder of the model; a card is made if there is none
   * @param measures in Markdown
   */
  static void putMeasures(Path folder, String measures) throws IOException {
    Path card = folder.resolve(NAME);
    String text = Files.exists(card) ? Files.readString(card) : "";
    String section = MEASURES + "\n\n" + measures;
    Matcher old = SECTION.matcher(text);
    if (old.find()) {
      String rest = text.substring(old.end());
      text = text.substring(0, old.start()) + section + (rest.isEmpty() ? "" : "\n" + rest);
    } else {
      text += (text.isEmpty() ? "" : "\n") + section;
    }
    Files.writeString(card, text);
  }
}

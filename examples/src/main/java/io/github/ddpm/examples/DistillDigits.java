package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.DistilledStep;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.ProgressiveDistillation;
import io.github.ddpm.tf.ProgressiveDistillation.Weighting;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Teaches a digits model to take fewer and fewer steps. */
@Command(
    name = "DistillDigits",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Teaches a digits model to take fewer steps, in rounds of progressive distillation: each round's model takes one"
          + " step of DDIM where that of the round before takes several, usually two.",
      "Each model is a folder of its own, OUT/steps-N, and OUT/measures.md gets a line as its round ends.",
      "The same command again goes on with the round that was interrupted."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --from model",
      "  ${COMMAND-FULL-NAME} --from model --steps 8,4 --teacher-steps 16"
    })
public final class DistillDigits implements Callable<Integer> {
  private static final int WARMUP_STEPS = 100;

  @Option(names = "--from", required = true, description = "folder of the model to start from")
  private Path from;

  @Option(
      names = "--out",
      defaultValue = "distilled",
      description = "folder for the folders of the models")
  private Path out;

  @Mixin private final MnistOption data = new MnistOption();

  @Option(
      names = "--steps",
      split = ",",
      defaultValue = "32,16,8,4,2,1",
      description = "what each round's model takes; each number divides the one before it")
  private int[] steps;

  @Option(
      names = "--teacher-steps",
      description =
          "what the model of --from takes; default: those it was distilled for, else twice the first of --steps")
  private Integer teacherSteps;

  @Option(
      names = "--epochs-per-round",
      split = ",",
      defaultValue = "4",
      description = "how often to go through the data; one number, or one for each round")
  private double[] epochs;

  @Option(
      names = "--learning-rate",
      split = ",",
      defaultValue = "1e-3",
      description = "at its peak; one number, or one for each round")
  private double[] learningRates;

  @Option(names = "--batch", defaultValue = "64", description = "images a step")
  private int batch;

  @Option(
      names = "--label-dropout",
      description =
          "share of images learned without their label; default: 0.5 if the model has a null label, else 0")
  private Double labelDropout;

  @Option(
      names = "--guidance",
      defaultValue = "1",
      description =
          "how much more the labels weigh in what the first round learns, and so in all; 1 is off")
  private double guidance;

  @Option(
      names = "--weighting",
      defaultValue = "TRUNCATED_SNR",
      description = "of errors, by noise level: ${COMPLETION-CANDIDATES}")
  private Weighting weighting;

  @Option(
      names = "--precision",
      description =
          "float32, bfloat16 or, for GPUs, float16; by default the fastest one on this machine")
  private Precision precision;

  @Option(
      names = "--seed",
      description = "of all randomness, one more in each round; default: a new one")
  private Long seed;

  @Option(
      names = "--count",
      defaultValue = "2000",
      description = "number of digits that each model is measured by; 0 for none")
  private int count;

  DistillDigits() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new DistillDigits(), args);
  }

  @Override
  public Integer call() throws Exception {
    ModelInfo info;
    try (Predictor model = Predictor.load(from)) {
      info = model.info();
    }
    int first = teacherSteps(info);
    checkRounds(info, first);
    Dataset digits = data.train();
    Commands.checkWritable(Files.createDirectories(out));
    RoundMeasures measures = new RoundMeasures(out.resolve("measures.md"), digits, count);
    measures.add(from, first);
    Path teacher = from;
    int taken = first;
    for (int round = 0; round < steps.length; round++) {
      ProgressiveDistillation asked =
          new ProgressiveDistillation(
              teacher, steps[round], taken, round == 0 ? guidance : 1, weighting);
      teacher = out.resolve("steps-" + steps[round]);
      taken = steps[round];
      if (!measures.contains(taken)) {
        if (!train(round, asked, teacher, digits)) {
          return 0;
        }
        measures.add(teacher, taken);
      }
    }
    return 0;
  }

  private int teacherSteps(ModelInfo info) {
    if (teacherSteps != null) {
      return teacherSteps;
    }
    return info.steps() > 0 ? info.steps() : 2 * steps[0];
  }

  /** Refuses rounds that can't be, before the first one. */
  private void checkRounds(ModelInfo info, int first) {
    int taken = first;
    for (int number : steps) {
      DistilledStep.steps(info, number, taken);
      taken = number;
    }
    checkOnePerRound("--epochs-per-round", epochs);
    checkOnePerRound("--learning-rate", learningRates);
    if (guidance != 1 && !info.nullLabel()) {
      throw new IllegalArgumentException(
          "--guidance needs a model that was trained with label dropout, got " + guidance);
    }
  }

  private void checkOnePerRound(String option, double... values) {
    if (values.length != 1 && values.length != steps.length) {
      throw new IllegalArgumentException(
          format(
              "%s needs one number, or one for each of %d rounds, got %d",
              option, steps.length, values.length));
    }
    if (!Arrays.stream(values).allMatch(value -> value > 0 && Double.isFinite(value))) {
      throw new IllegalArgumentException(
          option + " must be above 0, got " + Arrays.toString(values));
    }
  }

  /**
   * Trains the model of a round, or goes on with it.
   *
   * @return whether it is done
   */
  private boolean train(int round, ProgressiveDistillation asked, Path model, Dataset digits)
      throws IOException {
    System.out.printf(
        "%s: %d steps where %s takes %d%n",
        model, asked.steps(), asked.teacher(), asked.teacherSteps());
    try (Trainer trainer = open(round, asked, model)) {
      if (trainer.totalSteps() == 0) {
        double images = ofRound(epochs, round) * digits.size();
        trainer.setTotalSteps(Math.max(1, Math.round(images / trainer.options().batchSize())));
      }
      trainer.lock(model);
      return new TrainingRun(trainer, new TrainingRun.Saving(model, Duration.ofMinutes(3), 2))
          .run(digits, Duration.ofDays(1));
    }
  }

  private Trainer open(int round, ProgressiveDistillation asked, Path model) throws IOException {
    if (!Files.exists(model.resolve("training"))) {
      return Trainer.distill(asked.teacher(), asked, options(round));
    }
    Trainer trainer = Trainer.resume(model);
    ProgressiveDistillation begun =
        trainer
            .distillation()
            .map(ProgressiveDistillation.class::cast)
            .map(found -> found.withTeacher(asked.teacher()))
            .orElse(null);
    if (!asked.equals(begun)) {
      trainer.close();
      throw new IllegalArgumentException(
          format("%s was begun as %s, and not as %s; choose another --out", model, begun, asked));
    }
    return trainer;
  }

  private TrainingOptions options(int round) throws IOException {
    TrainingOptions usual = TrainingOptions.defaults();
    boolean drops;
    try (Predictor model = Predictor.load(from)) {
      drops = model.info().nullLabel();
    }
    return usual
        .withBatchSize(batch)
        .withLearningRate(ofRound(learningRates, round), WARMUP_STEPS)
        .withLabelDropout(labelDropout == null ? (drops ? 0.5 : 0) : labelDropout)
        .withPrecision(precision == null ? usual.precision() : precision)
        .withSeed(seed == null ? new SecureRandom().nextLong() : seed + round);
  }

  private static double ofRound(double[] values, int round) {
    return values.length == 1 ? values[0] : values[round];
  }
}

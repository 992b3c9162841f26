package io.github.ddpm.examples;

import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.TrainingOptions.Method;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains a digits model on MNIST. */
@Command(
    name = "TrainMnist",
    mixinStandardHelpOptions = true,
    description = {
      "Trains a digits model on MNIST and saves it as a folder that diffusers can load.",
      "Learning rate 2e-3 (1e-3 with --guide), min-SNR weighting with gamma 0.2, label dropout 0.5, AdamW and 64 images a step"
          + " unless others are given; without --from in up to 15 minutes or 2 epochs label dropout 0.2, Muon and 32 images.",
      "While it trains, --out also gets loss.png, loss.csv, samples/ and tensorboard/.",
      "SIGTERM and Ctrl-C end it after the step and save it; a second one ends it at once."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --minutes 15",
      "  ${COMMAND-FULL-NAME} --from model --learning-rate 1e-4 --out tuned"
    })
public final class TrainMnist implements Callable<Integer> {
  @Mixin private final MnistOption data = new MnistOption();

  @Mixin private final TrainingCommand training = new TrainingCommand();

  @Option(
      names = "--export",
      description =
          "folder for the model as it is shipped: float16, with a model card; after a training that is done, --resume"
              + " only exports")
  private Path export;

  TrainMnist() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new TrainMnist(), args);
  }

  @Override
  public Integer call() throws Exception {
    training.check();
    Double dropped = training.labelDropout;
    if (dropped != null && !(dropped > 0 && dropped < 1)) {
      throw new IllegalArgumentException(
          "--label-dropout must be above 0 and below 1, so that digits are learned with and without labels, got "
              + dropped);
    }
    if (export != null) {
      training.checkKeepsTheTeacher(export);
      Commands.checkWritable(Files.createDirectories(export));
    }
    Dataset digits = data.train();
    try (Trainer trainer = open(digits)) {
      Optional<LossCurve> losses = training.run(trainer, digits, digits);
      if (export != null && losses.isPresent()) {
        trainer.saveHalf(export);
        ModelCard.write(export, trainer, digits, data.isMnist(), losses.get());
        System.out.println("exported " + export);
      }
    }
    return 0;
  }

  private Trainer open(Dataset digits) throws IOException {
    if (training.guide != null) {
      return training.continued(
          thorough().withLearningRate(1e-3, thorough().optimizer().warmupSteps()));
    }
    return training.continues() ? training.continued(thorough()) : create(digits);
  }

  private Trainer create(Dataset digits) {
    UNetConfig network =
        UNetConfig.small(digits.height(), digits.width(), digits.channels())
            .withClasses(digits.classes());
    return Trainer.create(
        training.network(network),
        training.noise(),
        training.predictionType(),
        training.options(recipe()));
  }

  /**
   * These options gave the best digits in minutes, and {@link #thorough} in hours; {@code
   * docs/quality.md} has the numbers.
   */
  private TrainingOptions recipe() {
    return training.isShort()
        ? thorough().withBatchSize(32).withMethod(Method.MUON).withLabelDropout(0.2)
        : thorough();
  }

  private static TrainingOptions thorough() {
    return TrainingOptions.defaults()
        .withBatchSize(64)
        .withLearningRate(2e-3, 100)
        .withLabelDropout(0.5)
        .withMinSnrGamma(0.2);
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.UNetConfig;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import java.nio.file.Path;
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
      "While it trains, --out also gets loss.png, loss.csv and samples/."
    })
public final class TrainMnist implements Callable<Integer> {
  @Option(
      names = "--data",
      description = "folder with the four MNIST files; default: they are downloaded once")
  private Path data;

  @Mixin private final TrainingCommand training = new TrainingCommand();

  TrainMnist() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    Commands.main(new TrainMnist(), args);
  }

  @Override
  public Integer call() throws Exception {
    training.check();
    Dataset digits = data == null ? Mnist.train() : Mnist.train(data);
    try (Trainer trainer = training.resume ? Trainer.resume(training.out) : create(digits)) {
      training.run(trainer, digits);
    }
    return 0;
  }

  private Trainer create(Dataset digits) {
    return Trainer.create(
        UNetConfig.small(digits.height(), digits.width(), digits.channels())
            .withClasses(digits.classes()),
        training.noise(),
        training.predictionType(),
        training.options());
  }
}

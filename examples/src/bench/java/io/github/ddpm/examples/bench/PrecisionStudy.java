package io.github.ddpm.examples.bench;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What a precision costs in quality: trains on MNIST in each and prints a line of Markdown. */
@Command(
    name = "PrecisionStudy",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Trains one network on MNIST in each precision and compares the losses on the test set.")
public final class PrecisionStudy implements Callable<Integer> {
  private static final int IMAGES = 1000;
  private static final int TIMESTEPS = 20;

  @Option(names = "--data", description = "folder of MNIST's four files; downloaded if not given")
  private Path data;

  @Option(names = "--steps", defaultValue = "2000", description = "steps of training")
  private long steps;

  @Option(names = "--minutes", description = "minutes of training instead of --steps")
  private Double minutes;

  @Option(names = "--batch", defaultValue = "128", description = "images a step")
  private int batch;

  @Option(
      names = "--precision",
      split = ",",
      defaultValue = "FLOAT32,BFLOAT16",
      description = "of ${COMPLETION-CANDIDATES}")
  private Precision[] precisions;

  @Option(
      names = "--out",
      defaultValue = "target/precision",
      description = "folder for the trained models")
  private Path out;

  private PrecisionStudy() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    int code =
        new CommandLine(new PrecisionStudy())
            .setCaseInsensitiveEnumValuesAllowed(true)
            .execute(args);
    if (code != 0) {
      System.exit(code);
    }
  }

  @Override
  public Integer call() throws IOException {
    Dataset train = data == null ? Mnist.train() : Mnist.train(data);
    Dataset test = data == null ? Mnist.test() : Mnist.test(data);
    System.out.println(
        "| trained in | steps | minutes | loss on test images, in float32 | in bfloat16 |"
            + " difference of 64 images by DDIM-50, mean | largest |");
    System.out.println("|---|---|---|---|---|---|---|");
    for (Precision precision : precisions) {
      Path folder = out.resolve(precision.name().toLowerCase(Locale.ROOT));
      long start = System.nanoTime();
      long taken = train(train, precision, folder);
      double took = (System.nanoTime() - start) / 60e9;
      try (Predictor exact = Predictor.load(folder, Precision.FLOAT32);
          Predictor rounded = Predictor.load(folder, Precision.BFLOAT16)) {
        double[] difference = difference(images(exact), images(rounded));
        System.out.printf(
            Locale.ROOT,
            "| %s | %d | %.1f | %.5f | %.5f | %.4f | %.3f |%n",
            precision,
            taken,
            took,
            test.loss(exact, TIMESTEPS, IMAGES / TIMESTEPS),
            test.loss(rounded, TIMESTEPS, IMAGES / TIMESTEPS),
            difference[0],
            difference[1]);
      }
    }
    return 0;
  }

  private long train(Dataset digits, Precision precision, Path folder) throws IOException {
    TrainingOptions options =
        TrainingOptions.defaults().withPrecision(precision).withBatchSize(batch).withSeed(1);
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(28, 28, 1).withClasses(10),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            options)) {
      if (minutes == null) {
        trainer.setTotalSteps(steps);
        trainer.train(digits, progress -> true);
      } else {
        trainer.train(digits, Duration.ofMillis(Math.round(minutes * 60_000)), progress -> true);
      }
      trainer.save(folder);
      return trainer.stepsTaken();
    }
  }

  private static Images images(Predictor model) {
    return Sampler.ddim(0).steps(50).with(model).seed(1).sample(64);
  }

  /** Mean and largest difference of the pixels, which are in [-1, 1]. */
  private static double[] difference(Images a, Images b) {
    float[] first = a.toArray();
    float[] second = b.toArray();
    double sum = 0;
    double most = 0;
    for (int i = 0; i < first.length; i++) {
      double difference = Math.abs((double) first[i] - second[i]);
      sum += difference;
      most = Math.max(most, difference);
    }
    return new double[] {sum / first.length, most};
  }
}

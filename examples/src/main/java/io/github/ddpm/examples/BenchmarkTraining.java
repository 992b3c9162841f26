package io.github.ddpm.examples;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.UNetConfig;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Times training, for a comparison with {@code src-test-resources/bench/bench_train.py}. */
@Command(
    name = "BenchmarkTraining",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Times whole training steps of the small network on 28x28 grey pictures, images/s per round.")
public final class BenchmarkTraining implements Callable<Integer> {
  private static final int SIZE = 28;
  private static final int WARM_UP = 3;

  @Option(names = "--rounds", defaultValue = "5", description = "lines to print")
  private int rounds;

  @Option(names = "--steps", defaultValue = "10", description = "steps a round")
  private int steps;

  @Option(names = "--batch", defaultValue = "128", description = "images a step")
  private int batch;

  private BenchmarkTraining() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    Commands.main(new BenchmarkTraining(), args);
  }

  @Override
  public Integer call() {
    Random random = new Random(0);
    float[] noise = new float[batch * SIZE * SIZE];
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) random.nextGaussian();
    }
    Images images = Images.of(batch, SIZE, SIZE, 1, noise);
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(SIZE, SIZE, 1),
            BetaSchedule.linear(),
            PredictionType.EPSILON,
            TrainingOptions.defaults())) {
      for (int i = 0; i < WARM_UP; i++) {
        trainer.step(images);
      }
      for (int round = 0; round < rounds; round++) {
        long start = System.nanoTime();
        for (int i = 0; i < steps; i++) {
          trainer.step(images);
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        System.out.printf(Locale.ROOT, "%.1f images/s%n", steps * batch / seconds);
      }
    }
    return 0;
  }
}

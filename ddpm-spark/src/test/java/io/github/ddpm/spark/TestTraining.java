package io.github.ddpm.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

/** A small training whose steps have three parts. */
final class TestTraining {
  static final Dataset PICTURES = pictures();

  static final TrainingOptions OPTIONS =
      TrainingOptions.defaults().withBatchSize(8).withMicroBatch(3).withLearningRate(2e-3, 2);

  private TestTraining() {}

  static Trainer trainer() {
    return trainer(OPTIONS);
  }

  static Trainer trainer(TrainingOptions options) {
    Trainer trainer =
        Trainer.create(
            UNetConfig.small(16, 16, 1).withBlockOutChannels(8, 16).withClasses(10),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            options);
    trainer.setTotalSteps(6);
    return trainer;
  }

  static Dataset pictures() {
    Random random = new Random(1);
    byte[][] images = new byte[40][16 * 16];
    int[] labels = new int[images.length];
    for (int i = 0; i < images.length; i++) {
      random.nextBytes(images[i]);
      labels[i] = i % 10;
    }
    return Dataset.of(16, 16, 1, images, 10, labels);
  }

  /** For executors that take too long. */
  static Dataset picturesAfterAMinute() throws InterruptedException {
    Thread.sleep(60_000);
    return pictures();
  }

  /** Interrupts a thread once the cluster is at its step. */
  static CompletableFuture<Void> interruptSoon(Thread training) {
    return CompletableFuture.runAsync(
        () -> {
          LocalCluster.sleep(2000);
          training.interrupt();
        });
  }

  /** Saves in a listener, which throws nothing that is checked. */
  static void save(Trainer trainer, Path to) {
    try {
      trainer.save(to);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static void assertSame(Path one, Path other) throws IOException {
    for (String file : List.of("weights", "ema", "adam_m", "adam_v")) {
      Path training = Path.of("training", file + ".safetensors");
      assertThat(Files.mismatch(one.resolve(training), other.resolve(training)))
          .as(file)
          .isEqualTo(-1);
    }
  }
}

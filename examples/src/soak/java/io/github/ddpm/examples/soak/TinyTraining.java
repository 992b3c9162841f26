package io.github.ddpm.examples.soak;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/** A training so small that a step and a save take milliseconds. */
final class TinyTraining {
  /** Steps in all: more than any test takes. */
  static final int STEPS = 1_000_000;

  private static final int SIZE = 8;
  private static final int IMAGES = 64;
  private static final int CLASSES = 10;

  private TinyTraining() {}

  /** Starts it. */
  static Trainer create() {
    return create(BetaSchedule.cosine(), PredictionType.V_PREDICTION, 5);
  }

  /** Starts one that differs in weights and configuration. */
  static Trainer create(BetaSchedule schedule, PredictionType type, long seed) {
    Trainer trainer =
        Trainer.create(
            UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8),
            schedule,
            type,
            TrainingOptions.defaults()
                .withBatchSize(4)
                .withLearningRate(1e-2, 1)
                .withPrecision(Precision.FLOAT32)
                .withSeed(seed));
    trainer.setTotalSteps(STEPS);
    return trainer;
  }

  /** Takes so many steps. */
  static void train(Trainer trainer, int steps) {
    long end = trainer.stepsTaken() + steps;
    trainer.train(data(), progress -> progress.step() < end);
  }

  /** Calls a model once; what comes out tells models apart. */
  static Prediction predict(Predictor model) {
    float[] x = new float[SIZE * SIZE];
    Random random = new Random(3);
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    int[] labels = model.info().classes() == 0 ? new int[0] : new int[] {1};
    return new Prediction(model.info().toString(), model.predict(x, 100, labels));
  }

  /** Loads a model and calls it once. */
  static Prediction predict(Path folder) throws IOException {
    try (Predictor model = Predictor.load(folder, Precision.FLOAT32)) {
      return predict(model);
    }
  }

  private static Dataset data() {
    byte[][] images = new byte[IMAGES][];
    for (int i = 0; i < IMAGES; i++) {
      images[i] = image(i);
    }
    return Dataset.of(SIZE, SIZE, 1, images);
  }

  /** Writes pictures and labels as MNIST has them. */
  static Path writeMnist(Path folder) throws IOException {
    Files.createDirectories(folder);
    try (DataOutputStream images = open(folder.resolve("train-images-idx3-ubyte"));
        DataOutputStream labels = open(folder.resolve("train-labels-idx1-ubyte"))) {
      images.writeInt(2051);
      images.writeInt(IMAGES);
      images.writeInt(SIZE);
      images.writeInt(SIZE);
      labels.writeInt(2049);
      labels.writeInt(IMAGES);
      for (int i = 0; i < IMAGES; i++) {
        images.write(image(i));
        labels.write(i % CLASSES);
      }
    }
    return folder;
  }

  private static DataOutputStream open(Path file) throws IOException {
    return new DataOutputStream(Files.newOutputStream(file));
  }

  private static byte[] image(int number) {
    byte[] image = new byte[SIZE * SIZE];
    new Random(number).nextBytes(image);
    return image;
  }
}

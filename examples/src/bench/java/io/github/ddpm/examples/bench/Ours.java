package io.github.ddpm.examples.bench;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;

/** This library. */
enum Ours implements Backend {
  FLOAT32,
  BFLOAT16;

  @Override
  public String version() {
    // Without TensorFlow.version(), which would load TensorFlow before the library has set it up.
    return "TensorFlow Java";
  }

  @Override
  public Predictor predictor(Path files) throws IOException {
    return Predictor.load(files, precision());
  }

  @Override
  public Training training(Path files) {
    Trainer trainer = trainer(BenchmarkFiles.SIZE);
    return new Training() {
      @Override
      public double step(float[] images) {
        return trainer.step(
            Images.of(
                images.length / BenchmarkFiles.IMAGE,
                BenchmarkFiles.SIZE,
                BenchmarkFiles.SIZE,
                1,
                images));
      }

      @Override
      public void close() {
        trainer.close();
      }
    };
  }

  /** The benchmark's network for images of another size, with random weights. */
  Predictor predictor(int size) {
    try (Trainer trainer = trainer(size)) {
      return trainer.predictor();
    }
  }

  private Trainer trainer(int size) {
    return Trainer.create(
        UNetConfig.small(size, size, 1),
        BetaSchedule.linear(),
        PredictionType.EPSILON,
        TrainingOptions.defaults().withPrecision(precision()));
  }

  private Precision precision() {
    return Precision.valueOf(name());
  }
}

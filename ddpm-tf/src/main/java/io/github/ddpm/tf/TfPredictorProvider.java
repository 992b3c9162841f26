package io.github.ddpm.tf;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.spi.PredictorProvider;
import java.io.IOException;
import java.nio.file.Path;

/** Runs models on TensorFlow. Made by {@link java.util.ServiceLoader}. */
public final class TfPredictorProvider implements PredictorProvider {
  /** For the service loader. */
  public TfPredictorProvider() {}

  @Override
  public Precision fastestPrecision() {
    return Kernels.fastestPrecision();
  }

  @Override
  public Predictor load(Path folder, Precision precision) throws IOException {
    // One for all weights: each goes on into TensorFlow's memory before the next is read.
    Scratch scratch = new Scratch();
    ModelFolder model = ModelFolder.read(folder, () -> scratch);
    return TfPredictor.of(model, precision);
  }

  @Override
  public Predictor pretrained(Precision precision) {
    return Pretrained.digits(precision);
  }
}

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
  public Predictor load(Path folder, Precision precision) throws IOException {
    return TfPredictor.of(ModelFolder.read(folder), precision);
  }

  @Override
  public Predictor pretrained() {
    return Pretrained.digits();
  }
}

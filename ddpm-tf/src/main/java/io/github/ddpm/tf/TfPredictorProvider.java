package io.github.ddpm.tf;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.spi.PredictorProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;

/** Runs models on TensorFlow. Made by {@link java.util.ServiceLoader}. */
public final class TfPredictorProvider implements PredictorProvider {
  /** For the service loader. */
  public TfPredictorProvider() {}

  @Override
  public Predictor load(Path folder, Precision precision) throws IOException {
    ModelFolder model = ModelFolder.read(folder);
    try {
      return new TfPredictor(
          model.config(),
          model.config().info(model.schedule(), model.predictionType()),
          model.pipeline().sampler(),
          model.weights(),
          precision);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  @Override
  public Predictor pretrained() {
    throw new IllegalStateException(
        "this version of ddpm-tf has no pretrained model: train one (the example TrainMnist does) and give it to the"
            + " sampler by with(Predictor.load(folder))");
  }
}

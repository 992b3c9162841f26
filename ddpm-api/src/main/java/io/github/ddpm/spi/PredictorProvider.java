package io.github.ddpm.spi;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Runs models: what stands behind {@link Predictor#load} and {@link Predictor#pretrained}. Found by
 * {@link java.util.ServiceLoader}, so an implementation is named in {@code META-INF/services}.
 */
public interface PredictorProvider {
  /** The precision that models run fastest in on this machine. */
  Precision fastestPrecision();

  /** See {@link Predictor#load(Path, Precision)}. */
  Predictor load(Path folder, Precision precision) throws IOException;

  /** See {@link Predictor#pretrained}. */
  Predictor pretrained();
}

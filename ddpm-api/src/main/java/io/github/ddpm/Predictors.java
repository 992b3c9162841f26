package io.github.ddpm;

import io.github.ddpm.spi.PredictorProvider;
import java.util.ServiceLoader;
import java.util.stream.Stream;

/** Finds who can run models on this class path. */
final class Predictors {
  private Predictors() {}

  static PredictorProvider provider() {
    // The thread's loader sees the application in a container; the library's own one sees it
    // everywhere else.
    return Stream.of(
            Thread.currentThread().getContextClassLoader(),
            PredictorProvider.class.getClassLoader())
        .flatMap(loader -> ServiceLoader.load(PredictorProvider.class, loader).findFirst().stream())
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalStateException(
                    "nothing on the class path can run models: add the Maven dependency"
                        + " io.github.ddpm:ddpm-tf beside ddpm-api, or give the sampler a Predictor of your own by"
                        + " with(…)"));
  }
}

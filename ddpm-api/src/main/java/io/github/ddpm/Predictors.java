package io.github.ddpm;

import io.github.ddpm.spi.PredictorProvider;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.stream.Stream;

/** Finds who can run models, on the class path and among the modules. */
final class Predictors {
  private Predictors() {}

  static PredictorProvider provider() {
    ServiceConfigurationError unusable = null;
    for (ClassLoader loader : loaders()) {
      Iterator<ServiceLoader.Provider<PredictorProvider>> found =
          ServiceLoader.load(PredictorProvider.class, loader).stream().iterator();
      for (boolean more = true; more; ) {
        try {
          more = found.hasNext();
          if (more) {
            return found.next().get();
          }
        } catch (ServiceConfigurationError e) {
          // With a cause, a provider of ours is broken. Without, it is none of ours, and one that
          // is
          // may come after it.
          if (e.getCause() != null) {
            throw e;
          }
          unusable = e;
        }
      }
    }
    throw new IllegalStateException(
        "nothing on the class path or module path can run models: add the Maven dependency"
            + " io.github.ddpm:ddpm-tf beside ddpm-api, or give the sampler a Predictor of your own by"
            + " with(…)",
        unusable);
  }

  /**
   * The thread's loader sees the application in a container; the library's own one sees it
   * everywhere else.
   */
  private static List<ClassLoader> loaders() {
    ClassLoader ofThread = Thread.currentThread().getContextClassLoader();
    return Stream.of(
            Optional.ofNullable(ofThread).orElseGet(ClassLoader::getSystemClassLoader),
            PredictorProvider.class.getClassLoader())
        .distinct()
        .filter(Predictors::hasThisLibrary)
        .toList();
  }

  /** Whether a loader has this very library, not another application's copy of it, or none. */
  private static boolean hasThisLibrary(ClassLoader loader) {
    try {
      return loader.loadClass(PredictorProvider.class.getName()) == PredictorProvider.class;
    } catch (ClassNotFoundException | LinkageError e) {
      return false;
    }
  }
}

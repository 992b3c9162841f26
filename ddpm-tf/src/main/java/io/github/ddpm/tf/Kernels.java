package io.github.ddpm.tf;

import io.github.ddpm.Precision;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.tensorflow.OperationBuilder;
import org.tensorflow.TensorFlow;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;

/**
 * Our own code in C++ ({@code src/main/cpp}), where the jar has it for the platform: settings that
 * TensorFlow reads while it is loaded, and operations that compute the same as TensorFlow's in
 * fewer passes over memory. Without it nothing is missing but speed.
 */
final class Kernels {
  /** The system property that turns all of it off when it is {@code false}. */
  static final String PROPERTY = "io.github.ddpm.tf.kernels";

  private static final String OPERATIONS = "libddpm.so";

  /** Our operations that have a gradient. */
  private static final Map<String, RawCustomGradient> GRADIENTS =
      Map.of(
          Convolution.KERNEL, Convolution::gradient,
          Convolution.HALVING_KERNEL, Convolution::gradient,
          Convolution.DOUBLING_KERNEL, Convolution::gradient,
          Attention.KERNEL, Attention::gradient,
          Layers.CONCAT_KERNEL, Layers::concatGradient);

  private Kernels() {}

  /** Does what must be done before TensorFlow is loaded; once, whoever calls. */
  static void beforeTensorFlow() {
    // Initializing the class is all there is to do.
    boolean loaded = Environment.LOADED;
    System.getLogger(Kernels.class.getName()).log(Level.DEBUG, "environment set: {0}", loaded);
  }

  /** Whether graphs may use our operations; the first call loads them. */
  static boolean available() {
    return Operations.LOADED;
  }

  /**
   * What this machine computes fastest in: bfloat16 where our operations are there and the
   * processor multiplies pairs of it, float32 elsewhere. Doesn't load TensorFlow.
   */
  static Precision fastestPrecision() {
    return Fastest.PRECISION;
  }

  static OperationBuilder builder(Ops tf, String operation) {
    return tf.scope().opBuilder(operation, operation);
  }

  private static String resource(String library) {
    return "/io/github/ddpm/tf/" + Loader.getPlatform() + "/" + library;
  }

  private static boolean isThere(String library) {
    return !"false".equals(System.getProperty(PROPERTY))
        && Kernels.class.getResource(resource(library)) != null;
  }

  private static boolean load(String library, Consumer<String> loader) {
    if (!isThere(library)) {
      return false;
    }
    try {
      loader.accept(Loader.cacheResource(Kernels.class, resource(library)).getPath());
      return true;
    } catch (IOException | UnsatisfiedLinkError e) {
      System.getLogger(Kernels.class.getName())
          .log(Level.WARNING, library + " could not be loaded; computing will be slower", e);
      return false;
    }
  }

  private static final class Environment {
    static final boolean LOADED = load("libddpm_environment.so", System::load);
  }

  private static final class Fastest {
    static final Precision PRECISION =
        isThere(OPERATIONS) && hasBfloat16() ? Precision.BFLOAT16 : Precision.FLOAT32;

    private static boolean hasBfloat16() {
      try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
        return lines.anyMatch(line -> line.startsWith("flags") && line.contains(" avx512_bf16"));
      } catch (IOException | UncheckedIOException e) {
        // Not Linux.
        return false;
      }
    }
  }

  private static final class Operations {
    // They are for CPUs: a GPU would have to wait for the images to come and go.
    static final boolean LOADED =
        load(OPERATIONS, TensorFlow::loadLibrary)
            && !Sessions.hasGpu()
            && GRADIENTS.entrySet().stream()
                .allMatch(e -> TensorFlow.registerCustomGradient(e.getKey(), e.getValue()));
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Precision;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
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

  /**
   * The system property that says how many threads compute, in our operations and in TensorFlow's.
   * By default it is as many as the JVM sees processors, which knows the quota of a container.
   */
  static final String THREADS = "io.github.ddpm.tf.threads";

  /**
   * The system property that names the instructions that our operations compute with. By default it
   * is the last of {@link #usableInstructions}.
   */
  static final String INSTRUCTIONS = "io.github.ddpm.tf.instructions";

  private static final String BFLOAT16_INSTRUCTIONS = "avx512bf16";

  /** All that our operations may be compiled for, by their numbers in {@code instructions.h}. */
  private static final List<String> ALL_INSTRUCTIONS =
      List.of("base", "avx2", "avx512", BFLOAT16_INSTRUCTIONS);

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

  /**
   * Does what must be done before TensorFlow is loaded; once, whoever calls.
   *
   * @throws IllegalArgumentException if a system property is not what it may be
   */
  static void beforeTensorFlow() {
    int threads = threads();
    if (Environment.LOADED) {
      configure(ALL_INSTRUCTIONS.indexOf(instructions()), threads);
    }
  }

  /** Whether graphs may use our operations; the first call loads them. */
  static boolean available() {
    // First here, because an exception in the initializer of a class would hide its message.
    beforeTensorFlow();
    return Operations.LOADED;
  }

  /**
   * What this machine computes fastest in: bfloat16 where our operations are there and the
   * processor multiplies pairs of it, float32 elsewhere. Doesn't load TensorFlow.
   */
  static Precision fastestPrecision() {
    return Environment.LOADED && instructions().equals(BFLOAT16_INSTRUCTIONS)
        ? Precision.BFLOAT16
        : Precision.FLOAT32;
  }

  /** How many threads compute. */
  static int threads() {
    String value = System.getProperty(THREADS);
    if (value == null) {
      return Runtime.getRuntime().availableProcessors();
    }
    // Null if it is not a number.
    Integer threads = Integer.getInteger(THREADS);
    checkArgument(
        threads != null && threads >= 1,
        "%s must be a whole number of at least 1, got %s",
        THREADS,
        value);
    return threads;
  }

  /** What our operations compute with; they must be there. */
  static String instructions() {
    List<String> usable = usableInstructions();
    String value = System.getProperty(INSTRUCTIONS, usable.get(usable.size() - 1));
    checkArgument(
        usable.contains(value), "%s must be one of %s here, got %s", INSTRUCTIONS, usable, value);
    return value;
  }

  /** What our operations can compute with on this processor, from the least; empty without them. */
  static List<String> usableInstructions() {
    return Environment.LOADED
        ? ALL_INSTRUCTIONS.stream().filter(name -> has(ALL_INSTRUCTIONS.indexOf(name))).toList()
        : List.of();
  }

  // In environment.cc.
  private static native boolean has(int instructions);

  private static native void configure(int instructions, int threads);

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

  private static final class Operations {
    // They are for CPUs: a GPU would have to wait for the images to come and go.
    static final boolean LOADED =
        load(OPERATIONS, TensorFlow::loadLibrary)
            && !Sessions.hasGpu()
            && GRADIENTS.entrySet().stream()
                .allMatch(e -> TensorFlow.registerCustomGradient(e.getKey(), e.getValue()));
  }
}

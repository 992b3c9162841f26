package io.github.ddpm.tf.graph;

import io.github.ddpm.Precision;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.tensorflow.DeviceSpec;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.TensorFlow;
import org.tensorflow.exceptions.TFInvalidArgumentException;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GPUOptions;
import org.tensorflow.types.TFloat32;

/**
 * TensorFlow as this library sets it up: with settings that TensorFlow reads while it is loaded,
 * with operations of our own on CPUs, on a GPU where TensorFlow sees one, and with as many threads
 * as the process may use.
 *
 * <p>Whoever builds a graph of their own in the same process makes it with {@link #graph}, {@link
 * #ops} and {@link #session}: if another graph comes first, TensorFlow is loaded without these
 * settings, which makes it slower and chattier.
 *
 * <p>Our code in C++ ({@code src/main/cpp}) is in the jar for some platforms: settings, and
 * operations that compute the same as TensorFlow's in fewer passes over memory. Without it nothing
 * is missing but speed. The system property {@code io.github.ddpm.tf.kernels} turns it off when it
 * is {@code false}.
 */
public final class TensorFlowRuntime {
  private static final String KERNELS = "io.github.ddpm.tf.kernels";
  private static final String THREADS = "io.github.ddpm.tf.threads";

  /** Set once our settings are, for another class loader of the process, which can't load them. */
  private static final String SETTINGS_LOADED = "io.github.ddpm.tf.settings.loaded";

  private static final String SETTINGS = "libddpm_environment.so";
  private static final String OPERATIONS = "libddpm.so";

  private TensorFlowRuntime() {}

  /**
   * Makes a graph to build on; who makes one closes it.
   *
   * @throws IllegalStateException if TensorFlow can't be loaded; the message says why and what to
   *     do
   */
  public static Graph graph() {
    load();
    return new Graph();
  }

  /**
   * Makes the operations of a graph. Unlike those of {@code Ops.create(graph)}, their names are the
   * same in every locale.
   */
  public static Ops ops(Graph graph) {
    return PortableNames.ops(graph);
  }

  /** Opens a session on a graph; who opens one closes it. */
  public static Session session(Graph graph) {
    return new Session(graph, Config.PROTO);
  }

  /** Whether TensorFlow sees a GPU, which graphs run on then. */
  public static boolean hasGpu() {
    return Gpu.VISIBLE;
  }

  /**
   * The number of threads that one operation is computed with, at least 1: the processors that the
   * process may use, which the quota of a container bounds, unless the system property {@code
   * io.github.ddpm.tf.threads} says otherwise. It is read once.
   *
   * @throws IllegalStateException if the property is no whole number from 1 up
   */
  public static int threads() {
    String property = System.getProperty(THREADS);
    if (property == null) {
      return Runtime.getRuntime().availableProcessors();
    }
    if (!property.matches("[1-9]\\d{0,3}")) {
      throw new IllegalStateException(
          "the system property " + THREADS + " must be in [1, 9999], got " + property);
    }
    return Integer.parseInt(property);
  }

  /**
   * What this machine computes fastest in: bfloat16 where our operations run and the processor
   * multiplies pairs of it, float32 elsewhere.
   */
  public static Precision fastestPrecision() {
    return hasKernels() && Bfloat16.SUPPORTED ? Precision.BFLOAT16 : Precision.FLOAT32;
  }

  /** Whether networks are built of our own operations; the first call loads them. */
  public static boolean hasKernels() {
    return Kernels.LOADED;
  }

  /** An operation of ours, or of TensorFlow by its name. */
  static OperationBuilder builder(Ops tf, String operation) {
    return tf.scope().opBuilder(operation, operation);
  }

  /** Tells TensorFlow the gradients of our operations, by the operations' names. */
  static void register(Map<String, RawCustomGradient> gradients) {
    if (hasKernels()) {
      // False means that another class loader of this process has told them, which is as good.
      gradients.forEach(TensorFlow::registerCustomGradient);
    }
  }

  private static void load() {
    if (!Library.PROBLEM.isEmpty()) {
      throw new IllegalStateException(Library.PROBLEM);
    }
  }

  private static String resource(String library) {
    return "/io/github/ddpm/tf/" + Loader.getPlatform() + "/" + library;
  }

  /** The file of a library in the cache; empty if there is none for this platform, or by choice. */
  private static String cached(String library) throws IOException {
    boolean there =
        !"false".equals(System.getProperty(KERNELS))
            && TensorFlowRuntime.class.getResource(resource(library)) != null;
    return there ? Loader.cacheResource(TensorFlowRuntime.class, resource(library)).getPath() : "";
  }

  private static void warn(String library, Throwable problem) {
    System.getLogger(TensorFlowRuntime.class.getName())
        .log(Level.WARNING, library + " could not be loaded; computing will be slower", problem);
  }

  /** Loads our settings, then TensorFlow, which reads them. */
  private static final class Library {
    /** Why TensorFlow can't be loaded; empty if it is. */
    static final String PROBLEM = problem();

    private static String problem() {
      Throwable withoutSettings = loadSettings();
      try {
        // Any call loads it.
        TensorFlow.version();
      } catch (LinkageError e) {
        return "TensorFlow's native libraries can't be loaded: "
            + cause(e)
            + "; they are unpacked to "
            + cache()
            + ", where running code must be allowed (no noexec): the system property org.bytedeco.javacpp.cachedir"
            + " names another folder";
      }
      if (withoutSettings != null) {
        warn(SETTINGS, withoutSettings);
      }
      return "";
    }

    private static Throwable loadSettings() {
      try {
        String file = System.getProperty(SETTINGS_LOADED) == null ? cached(SETTINGS) : "";
        if (!file.isEmpty()) {
          System.load(file);
          System.setProperty(SETTINGS_LOADED, "true");
        }
        return null;
      } catch (IOException | UnsatisfiedLinkError e) {
        return e;
      }
    }

    /** What happened first: JavaCPP and class initialization wrap it. */
    private static String cause(Throwable problem) {
      Throwable cause = problem;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      return cause.getMessage();
    }

    private static String cache() {
      try {
        return Loader.getCacheDir().getPath();
      } catch (IOException | LinkageError e) {
        return "the cache of JavaCPP, which can't be made (" + cause(e) + ")";
      }
    }
  }

  private static final class Config {
    static final ConfigProto PROTO =
        ConfigProto.newBuilder()
            .setAllowSoftPlacement(true)
            .setIntraOpParallelismThreads(threads())
            .setInterOpParallelismThreads(threads())
            // A GPU's memory is taken only as needed.
            .setGpuOptions(GPUOptions.newBuilder().setAllowGrowth(true))
            .build();
  }

  private static final class Gpu {
    static final boolean VISIBLE = visible();

    private static boolean visible() {
      if (seen()) {
        return true;
      }
      // TensorFlow's own message is a screenful, and doesn't say what happens now.
      // Asked of the class loader, because a class sees the resources of its own module alone.
      String natives = "org/tensorflow/internal/c_api/" + Loader.getPlatform() + "-gpu/";
      ClassLoader loader = TensorFlowRuntime.class.getClassLoader();
      if (loader.getResource(natives + "libtensorflow_cc.so.2") != null) {
        System.getLogger(TensorFlowRuntime.class.getName())
            .log(Level.WARNING, "TensorFlow's GPU library sees no GPU: computing on the CPU");
      }
      return false;
    }

    private static boolean seen() {
      // Nothing else in the public API tells: an operation that may run nowhere else.
      DeviceSpec gpu =
          DeviceSpec.newBuilder().deviceType(DeviceSpec.DeviceType.GPU).deviceIndex(0).build();
      try (Graph graph = graph();
          Session session =
              new Session(graph, Config.PROTO.toBuilder().setAllowSoftPlacement(false).build())) {
        Operand<TFloat32> one = ops(graph).withDevice(gpu).constant(1f);
        try (Result result = session.runner().fetch(one).run()) {
          return result.size() == 1;
        }
      } catch (TFInvalidArgumentException e) {
        return false;
      }
    }
  }

  private static final class Kernels {
    // They are for CPUs: a GPU would have to wait for the images to come and go.
    static final boolean LOADED = !hasGpu() && loaded();

    private static boolean loaded() {
      load();
      try {
        String file = cached(OPERATIONS);
        if (!file.isEmpty()) {
          TensorFlow.loadLibrary(file);
        }
        return !file.isEmpty();
      } catch (IOException | UnsatisfiedLinkError e) {
        warn(OPERATIONS, e);
        return false;
      }
    }
  }

  private static final class Bfloat16 {
    static final boolean SUPPORTED = supported();

    private static boolean supported() {
      try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
        return lines.anyMatch(line -> line.startsWith("flags") && line.contains(" avx512_bf16"));
      } catch (IOException | UncheckedIOException e) {
        // Not Linux.
        return false;
      }
    }
  }
}

package io.github.ddpm.tf.graph;

import com.google.common.collect.Streams;
import com.google.common.util.concurrent.Uninterruptibles;
import io.github.ddpm.Precision;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.tensorflow.DeviceSpec;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.TensorFlow;
import org.tensorflow.exceptions.TFInvalidArgumentException;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GPUOptions;
import org.tensorflow.proto.GraphOptions;
import org.tensorflow.proto.RewriterConfig;
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
 * <p>These system properties are to be set when the process starts:
 *
 * <ul>
 *   <li>{@code io.github.ddpm.tf.kernels}: {@code false} does without our own operations and
 *       settings. Nothing is missing then but speed.
 *   <li>{@code io.github.ddpm.tf.threads}: the number of {@link #threads}.
 *   <li>{@code io.github.ddpm.tf.instructions}: what our operations compute with, one of {@code
 *       base}, {@code avx2}, {@code avx512} and {@code avx512bf16}; by default the last that the
 *       processor has.
 * </ul>
 */
public final class TensorFlowRuntime {
  private static final AtomicBoolean AHEAD = new AtomicBoolean();

  private TensorFlowRuntime() {}

  /**
   * Begins to load TensorFlow and our operations on a thread of its own, for whoever has other work
   * to do before they are needed. What goes wrong is said to whoever needs them.
   */
  public static void loadAhead() {
    if (AHEAD.getAndSet(true)) {
      return;
    }
    CountDownLatch loaded = new CountDownLatch(1);
    // A process that ends while a native library is being initialized may end in a signal.
    Thread waiting = new Thread(() -> Uninterruptibles.awaitUninterruptibly(loaded));
    Thread loading =
        new Thread(
            () -> {
              try {
                linkNativeMethods();
                loadAll();
              } finally {
                loaded.countDown();
              }
              // Else it would hold this class loader for as long as the process runs.
              ifNotEnding(() -> Runtime.getRuntime().removeShutdownHook(waiting));
            },
            "loads TensorFlow");
    loading.setDaemon(true);
    ifNotEnding(
        () -> {
          Runtime.getRuntime().addShutdownHook(waiting);
          loading.start();
        });
  }

  /**
   * {@return a new graph to build on, which the caller closes}
   *
   * @throws IllegalStateException if TensorFlow can't be loaded, or a system property is not what
   *     it may be; the message says why and what to do
   */
  public static Graph graph() {
    load();
    if (!AHEAD.get()) {
      // No other thread does meanwhile.
      FirstSession.await();
    }
    return new Graph();
  }

  /**
   * {@return the operations of a graph} Unlike those of {@code Ops.create(graph)}, their names are
   * the same in every locale.
   *
   * @param graph one of {@link #graph}
   */
  public static Ops ops(Graph graph) {
    return PortableNames.ops(graph);
  }

  /**
   * {@return a new session on a graph, which the caller closes}
   *
   * @param graph of {@link #graph}, built already: whether it has operations of ours decides the
   *     settings
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link #graph}
   */
  public static Session session(Graph graph) {
    FirstSession.await();
    return new Session(graph, hasOurs(graph) ? Config.AS_BUILT : Config.PROTO);
  }

  /**
   * {@return the settings of a session, for one that TensorFlow opens itself, as of a SavedModel}
   *
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link #graph}
   */
  public static ConfigProto config() {
    load();
    FirstSession.await();
    return Config.PROTO;
  }

  /**
   * Runs a graph of ours; whoever asks for it closes what it returns. Runs that are under way at
   * the same time share the threads, so that each core computes one of them where there are as many
   * as cores; what they compute is the same to the bit.
   *
   * @param runner of a session of {@link #session}
   * @return what the run fetched
   */
  public static Result run(Session.Runner runner) {
    if (!Operations.LOADED) {
      return runner.run();
    }
    Kernels.changeRuns(1);
    try {
      return runner.run();
    } finally {
      Kernels.changeRuns(-1);
    }
  }

  /**
   * {@return how many images go through a network together, at least 1: as many as have the pixels
   * of 64 images of 28x28, or of 512 on a GPU, which fewer don't fill} It bounds the memory for
   * hidden images, whatever the number of images asked for.
   *
   * @param height of an image in pixels, at least 1
   * @param width of an image in pixels, at least 1
   */
  public static int imagesPerRun(int height, int width) {
    long pixels = (hasGpu() ? 512 : 64) * 28L * 28;
    return (int) Math.max(1, pixels / ((long) height * width));
  }

  /**
   * {@return how many runs of one graph are best under way at the same time: one for each thread
   * with our own operations, else one} TensorFlow 2.18's convolution that adds a residual keeps
   * state in itself, so that two runs of it at once would crash the process.
   */
  public static int runsAtOnce() {
    return hasKernels() ? threads() : 1;
  }

  /**
   * {@return whether TensorFlow sees a GPU, which graphs run on then}
   *
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link #graph}
   */
  public static boolean hasGpu() {
    load();
    return Gpu.VISIBLE;
  }

  /**
   * {@return the number of threads that one operation is computed with, at least 1: the processors
   * that the process may use, which the quota of a container bounds, unless the system property
   * {@code io.github.ddpm.tf.threads} says otherwise}
   *
   * @throws IllegalStateException if the property is no whole number in [1, 9999]
   */
  public static int threads() {
    return Kernels.threads();
  }

  /**
   * {@return what this machine computes fastest in: bfloat16 where our operations run and the
   * processor multiplies pairs of it, float32 elsewhere}
   *
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link #graph}
   */
  public static Precision fastestPrecision() {
    return hasKernels() && Kernels.multiplyBfloat16() ? Precision.BFLOAT16 : Precision.FLOAT32;
  }

  /**
   * {@return what our own operations compute with: one of {@code base}, {@code avx2}, {@code
   * avx512} and {@code avx512bf16}, or {@code tensorflow} where they don't run} Machines that
   * answer differently here differ in the last bits of what they compute.
   *
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link #graph}
   */
  public static String instructions() {
    return hasKernels() ? Kernels.instructions() : "tensorflow";
  }

  /**
   * {@return whether networks are built of our own operations; the first call loads them}
   *
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link #graph}
   */
  public static boolean hasKernels() {
    load();
    return Operations.LOADED;
  }

  /** Tells TensorFlow the gradients of our operations, by the operations' names. */
  static void register(Map<String, RawCustomGradient> gradients) {
    if (hasKernels()) {
      Library.withoutVariants(
          () -> {
            // It answers false for those that it was told before.
            gradients.forEach(
                (operation, gradient) ->
                    TensorFlow.registerCustomGradient(Kernels.name(operation), gradient));
            return true;
          });
    }
  }

  /** TensorFlow rewrites nothing for the better in a graph of our operations, and takes 0.4 s. */
  private static boolean hasOurs(Graph graph) {
    return hasKernels()
        && Streams.stream(graph.operations())
            .anyMatch(operation -> operation.type().startsWith("Ddpm"));
  }

  /** Loads TensorFlow, and refuses what must not fail in the initializer of a class. */
  private static void load() {
    threads();
    if (!Library.LOADED.problem().isEmpty()) {
      throw new IllegalStateException(Library.LOADED.problem());
    }
    if (Library.LOADED.settings()) {
      Kernels.instructions();
    }
  }

  private static void ifNotEnding(Runnable work) {
    try {
      work.run();
    } catch (IllegalStateException e) {
      // The process is ending.
    }
  }

  /**
   * Uses once what reads a model: files and a logger. The JVM finds a native method when it is
   * first called, which waits while a library is being loaded: whoever reads a model meanwhile
   * would wait for 0.4 s.
   */
  private static void linkNativeMethods() {
    logger();
    try {
      Path folder = Files.createTempDirectory("ddpm");
      Path file = Files.write(folder.resolve("file"), new byte[1]).toRealPath();
      if (Files.exists(file) && Files.isWritable(file) && !Files.isDirectory(file)) {
        Files.readAllBytes(file);
      }
      Files.delete(file);
      Files.delete(folder);
    } catch (IOException e) {
      // Whoever needs files gets the same.
    }
  }

  private static void loadAll() {
    try {
      hasKernels();
      FirstSession.await();
    } catch (RuntimeException | LinkageError e) {
      // Whoever needs them gets the same.
    }
  }

  private static void warn(String message) {
    log(Level.WARNING, message);
  }

  private static void log(Level level, String message) {
    logger().log(level, message);
  }

  private static System.Logger logger() {
    return System.getLogger(TensorFlowRuntime.class.getName());
  }

  /** Loads our settings, then TensorFlow, which reads them. */
  private static final class Library {
    private static final String VARIANT = "platform.extension";

    private static int loadings;
    private static boolean said;

    static final Loaded LOADED = loaded();

    /** Something that JavaCPP has a part in. */
    interface Loading<E extends Exception> {
      boolean load() throws E;
    }

    /**
     * What came of it.
     *
     * @param settings whether our settings are loaded
     * @param problem why TensorFlow can't be; empty if it is
     */
    record Loaded(boolean settings, String problem) {}

    private static Loaded loaded() {
      boolean settings = false;
      String withoutSettings = "";
      try {
        settings = Kernels.loadSettings();
      } catch (IOException | UnsatisfiedLinkError e) {
        withoutSettings = e.getMessage();
      } catch (IllegalCallerException e) {
        return new Loaded(false, problem(e));
      }
      try {
        withoutVariants(() -> !TensorFlow.version().isEmpty());
      } catch (LinkageError e) {
        return new Loaded(settings, problem(cause(e)));
      }
      if (!withoutSettings.isEmpty()) {
        warn("ddpm's own operations can't be loaded, computing will be slower: " + withoutSettings);
      }
      return new Loaded(settings, "");
    }

    private static String problem(Throwable cause) {
      if (cause instanceof IllegalCallerException) {
        return "the Java runtime denies native access ("
            + cause.getMessage()
            + "): start it with --enable-native-access=ALL-UNNAMED, or on the module path with"
            + " --enable-native-access=io.github.ddpm.tf,org.bytedeco.javacpp,tensorflow.nativelib";
      }
      return !has("") && !has("-gpu")
          ? "TensorFlow's native library for "
              + Loader.getPlatform()
              + " is missing: add the Maven dependency org.tensorflow:tensorflow-core-native with the classifier "
              + Loader.getPlatform()
              + ", if TensorFlow Java has it ("
              + cause.getMessage()
              + ")"
          : "TensorFlow's native libraries can't be loaded: "
              + cause.getMessage()
              + "; they are unpacked to "
              + cache()
              + ", where running code must be allowed (no noexec): the system property"
              + " org.bytedeco.javacpp.cachedir names another folder";
    }

    /**
     * Does what JavaCPP loads for. Where there is no library for GPUs, the next class of
     * TensorFlow's would have it look for twenty libraries of CUDA all over the class path, which
     * takes 0.4 to 0.9 s and 80 MB of names. It looks for none where the user has said which
     * variant of libraries to load, so that is said meanwhile.
     */
    static <E extends Exception> boolean withoutVariants(Loading<E> loading) throws E {
      change(1);
      try {
        return loading.load();
      } finally {
        change(-1);
      }
    }

    /** Says it when the first of those begins that are under way, and no longer after the last. */
    private static synchronized void change(int begun) {
      loadings += begun;
      if (loadings == 1 && begun == 1) {
        said = !has("-gpu") && Loader.loadProperties().putIfAbsent(VARIANT, "") == null;
      } else if (loadings == 0 && said) {
        Loader.loadProperties().remove(VARIANT);
      }
    }

    /** Tells whether there are native libraries for this platform with that suffix. */
    static boolean has(String suffix) {
      // Asked of the class loader, because a class sees the resources of its own module alone.
      String natives = "org/tensorflow/internal/c_api/" + Loader.getPlatform() + suffix + "/";
      ClassLoader loader = TensorFlowRuntime.class.getClassLoader();
      return Stream.of("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib", "tensorflow_cc.dll")
          .anyMatch(library -> loader.getResource(natives + library) != null);
    }

    /** Returns what happened first: JavaCPP and class initialization wrap it. */
    private static Throwable cause(Throwable problem) {
      Throwable cause = problem;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      return cause;
    }

    private static String cache() {
      try {
        return Loader.getCacheDir().getPath();
      } catch (IOException | LinkageError e) {
        return "the cache of JavaCPP, which can't be made (" + cause(e).getMessage() + ")";
      }
    }
  }

  /**
   * TensorFlow says what it has to say at the first session of a process, and prepares much;
   * whoever builds a graph meanwhile needs no session yet.
   */
  private static final class FirstSession {
    /** TensorFlow's classes that a training needs and the first session doesn't. */
    private static final List<String> LATER = List.of("TF_Input");

    static {
      if (Library.LOADED.settings()) {
        Library.withoutVariants(
            () -> {
              Kernels.withoutNotes(FirstSession::open);
              LATER.forEach(FirstSession::initialize);
              return true;
            });
      }
    }

    /** Returns when it has been opened. */
    static void await() {}

    private static void initialize(String name) {
      try {
        Class.forName("org.tensorflow.internal.c_api." + name);
      } catch (ClassNotFoundException e) {
        // Then nobody needs it.
      }
    }

    private static void open() {
      try (Graph graph = new Graph();
          Session session = new Session(graph, Config.PROTO);
          Result result = session.runner().fetch(PortableNames.ops(graph).constant(1f)).run()) {
        assert result.size() == 1;
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

    /** Computes once what is constant, and leaves a graph as it is built in all else. */
    static final ConfigProto AS_BUILT =
        PROTO.toBuilder()
            .setGraphOptions(
                GraphOptions.newBuilder()
                    .setRewriteOptions(RewriterConfig.newBuilder().setDisableMetaOptimizer(true)))
            .build();
  }

  private static final class Gpu {
    static final boolean VISIBLE = visible();

    private static boolean visible() {
      boolean gpuLibrary = Library.has("-gpu");
      // That for CPUs alone sees none, and to ask takes a session.
      if (!gpuLibrary && Library.has("")) {
        return false;
      }
      if (seen()) {
        return true;
      }
      if (gpuLibrary) {
        // TensorFlow's own message is a screenful, and doesn't say what happens now.
        warn("TensorFlow's GPU library sees no GPU: computing on the CPU");
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

  private static final class Operations {
    // They are for CPUs: a GPU would have to wait for the images to come and go.
    static final boolean LOADED = !hasGpu() && loaded();

    private static boolean loaded() {
      if (Kernels.missing()) {
        log(
            Level.INFO,
            "ddpm's jar has no operations of its own for "
                + Loader.getPlatform()
                + ": computing with TensorFlow's, which is slower");
        return false;
      }
      try {
        return Library.LOADED.settings() && Library.withoutVariants(Kernels::loadOperations);
      } catch (IOException | UnsatisfiedLinkError e) {
        warn("ddpm's own operations can't be loaded, computing will be slower: " + e.getMessage());
        return false;
      }
    }
  }
}

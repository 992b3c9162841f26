package io.github.ddpm.tf.graph;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.function.Consumer;
import org.bytedeco.javacpp.Loader;
import org.tensorflow.OperationBuilder;
import org.tensorflow.op.Ops;

/**
 * Our own code in C++ ({@code src/main/cpp}), where the jar has it for the platform: settings that
 * TensorFlow reads while it is loaded, and operations that compute the same as TensorFlow's in
 * fewer passes over memory. {@link TensorFlowRuntime} has the system properties that it goes by.
 *
 * <p>A native library belongs to the class loader that loads it, and TensorFlow knows one gradient
 * of each operation in a process. So each further class loader, such as that of a web application
 * that is deployed anew, loads a copy of ours, whose operations have names of their own.
 */
final class Kernels {
  static final String PROPERTY = "io.github.ddpm.tf.kernels";
  static final String THREADS = "io.github.ddpm.tf.threads";
  static final String INSTRUCTIONS = "io.github.ddpm.tf.instructions";

  /** Counts the class loaders of this process that have this class. */
  private static final String LOADERS = "io.github.ddpm.tf.loaders";

  private static final String SETTINGS = "libddpm_environment.so";
  private static final String OPERATIONS = "libddpm.so";
  private static final String BFLOAT16 = "avx512bf16";

  /** All that our operations may be compiled for, by their numbers in {@code instructions.h}. */
  private static final List<String> ALL_INSTRUCTIONS = List.of("base", "avx2", "avx512", BFLOAT16);

  /** The number of our class loader; 0 for the first of the process. */
  private static final int LOADER = count();

  private Kernels() {}

  private static int count() {
    synchronized (System.getProperties()) {
      int before = Integer.getInteger(LOADERS, 0);
      System.setProperty(LOADERS, String.valueOf(before + 1));
      return before;
    }
  }

  /**
   * Loads our settings, before TensorFlow is loaded.
   *
   * @return whether they are there for this platform, and wanted
   * @throws IOException if they can't be unpacked
   * @throws UnsatisfiedLinkError if they can't be loaded
   */
  static boolean loadSettings() throws IOException {
    return load(SETTINGS, System::load);
  }

  /**
   * Loads our operations, after our settings and TensorFlow.
   *
   * @return whether they are there for this platform, and wanted
   * @throws IOException if they can't be unpacked
   * @throws UnsatisfiedLinkError if they can't be loaded
   * @throws IllegalStateException if a system property is not what it may be
   */
  static boolean loadOperations() throws IOException {
    // Another class loader may be about to do the same.
    synchronized (System.getProperties()) {
      configure(ALL_INSTRUCTIONS.indexOf(instructions()), threads(), LOADER);
      // They register themselves. TensorFlow.loadLibrary would also list them, which takes 0.2 s.
      return load(OPERATIONS, System::load);
    }
  }

  /**
   * Does something without two lines that TensorFlow prints in it and nobody can act on; all else
   * that the process prints meanwhile is passed on. Settings must be loaded.
   */
  static void withoutNotes(Runnable work) {
    // Another class loader may be about to do the same.
    synchronized (System.getProperties()) {
      boolean leftOut = leaveOutNotes();
      try {
        work.run();
      } finally {
        if (leftOut) {
          passOnAll();
        }
      }
    }
  }

  /** Tells whether they are wanted, but not in the jar for this platform. */
  static boolean missing() {
    return wanted() && Kernels.class.getResource(resource(OPERATIONS)) == null;
  }

  private static boolean wanted() {
    return !"false".equals(System.getProperty(PROPERTY));
  }

  private static String resource(String library) {
    return "/io/github/ddpm/tf/" + Loader.getPlatform() + "/" + library;
  }

  private static boolean load(String library, Consumer<String> loader) throws IOException {
    Path cached;
    try (InputStream in = Kernels.class.getResourceAsStream(resource(library))) {
      if (in == null || !wanted()) {
        return false;
      }
      cached = LibraryFile.of(in.readAllBytes(), library, Loader.getCacheDir().toPath());
    }
    if (LOADER == 0) {
      loader.accept(cached.toString());
      return true;
    }
    Path copy = Files.createTempFile(cached.getParent(), "ddpm", ".so");
    try {
      Files.copy(cached, copy, StandardCopyOption.REPLACE_EXISTING);
      loader.accept(copy.toString());
    } finally {
      Files.delete(copy);
    }
    return true;
  }

  /** Returns the number of threads that compute; see {@link TensorFlowRuntime#threads}. */
  static int threads() {
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

  /** Tells whether our operations multiply pairs of bfloat16; they must be loaded. */
  static boolean multiplyBfloat16() {
    return instructions().equals(BFLOAT16);
  }

  /**
   * Returns what our operations can compute with on this processor, from the least; settings must
   * be loaded.
   */
  static List<String> usableInstructions() {
    return ALL_INSTRUCTIONS.stream().filter(name -> has(ALL_INSTRUCTIONS.indexOf(name))).toList();
  }

  /** Returns what our operations compute with; settings must be loaded. */
  static String instructions() {
    List<String> usable = usableInstructions();
    String value = System.getProperty(INSTRUCTIONS, usable.get(usable.size() - 1));
    if (!usable.contains(value)) {
      throw new IllegalStateException(
          "the system property "
              + INSTRUCTIONS
              + " must be one of "
              + usable
              + " on this processor, got "
              + value);
    }
    return value;
  }

  /** Returns the name of an operation of ours, in this class loader. */
  static String name(String operation) {
    return LOADER == 0 ? operation : operation.replaceFirst("^Ddpm", "Ddpm" + LOADER);
  }

  /** Starts an operation of ours, or of TensorFlow by its name. */
  static OperationBuilder builder(Ops tf, String operation) {
    return tf.scope().opBuilder(name(operation), operation);
  }

  // In environment.cc.
  private static native boolean has(int instructions);

  private static native boolean leaveOutNotes();

  private static native void passOnAll();

  private static native void configure(int instructions, int threads, int loader);

  /**
   * Says that a run of a graph begins, by 1, or has ended, by -1: those that are under way share
   * the threads. Operations must be loaded.
   */
  // In workers.cc.
  static native void changeRuns(int change);

  // In weight_ops.cc. Operations must be loaded.

  /**
   * Makes room for a tensor that operations give out, which has its key until that is forgotten.
   *
   * @param rank how many of the sizes it has
   * @return its key; 0 if there is no memory for it
   */
  static native long addWeight(int rank, long a, long b, long c, long d);

  /** Returns where its numbers go, before a graph with it runs; 0 if nothing has that key. */
  static native long addressOfWeight(long key);

  /** Takes its key from a tensor, whose memory is freed when no session has it any more. */
  static native void forgetWeight(long key);

  /** Counts the tensors that have memory. */
  static native int weightsKept();
}

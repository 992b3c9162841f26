package io.github.ddpm.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;

/** A cluster of executors with a core each, processes of their own on this machine. */
final class LocalCluster {
  private static final String MASTER = "local-cluster[%d,1,1024]";

  /** For executors that don't live long enough to gain by the compiler that takes longest. */
  static final String SHORT_LIVED = " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

  private static SparkSession started;

  private LocalCluster() {}

  /** Returns the cluster of all tests, which ends with the process. */
  static synchronized SparkSession session() {
    if (started == null) {
      started = start(2, SHORT_LIVED);
    }
    return started;
  }

  /**
   * Starts a cluster.
   *
   * @param executors how many, with a core each
   * @param options of their Java beside the usual ones
   */
  static SparkSession start(int executors, String options) {
    // Spark starts executors from a distribution: this one has nothing, as all is on the class
    // path.
    Path home = Path.of(System.getenv("SPARK_HOME"));
    Path scratch = home.resolveSibling("spark-scratch");
    try {
      Files.createDirectories(home.resolve("jars"));
      Files.write(home.resolve("RELEASE"), new byte[0]);
      Files.createDirectories(scratch);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return SparkSession.builder()
        .master(MASTER.formatted(executors))
        .config("spark.executor.extraClassPath", System.getProperty("java.class.path"))
        .config(
            "spark.executor.extraJavaOptions",
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0"
                + " -Dio.github.ddpm.tf.threads=1"
                + property("org.bytedeco.javacpp.cachedir")
                + options)
        .config("spark.ui.enabled", false)
        .config("spark.local.dir", scratch.toString())
        .config("spark.worker.dir", scratch.toString())
        .config("spark.sql.warehouse.dir", scratch.resolve("warehouse").toString())
        .getOrCreate();
  }

  private static String property(String name) {
    String value = System.getProperty(name);
    return value == null ? "" : " -D" + name + "=" + value;
  }

  /** Kills an executor, which has no time to say so. */
  static void killAnExecutor() {
    // The driver starts nothing else.
    List<ProcessHandle> executors =
        ProcessHandle.current()
            .children()
            .filter(process -> process.info().command().orElse("").endsWith("java"))
            .toList();
    if (executors.isEmpty() || !executors.get(0).destroyForcibly()) {
      throw new IllegalStateException("there is no executor to kill");
    }
  }

  /** Kills an executor when so many parts of a folder are written. */
  static CompletableFuture<Boolean> killAnExecutorOnceThereAre(int parts, Path folder) {
    return CompletableFuture.supplyAsync(
        () -> {
          while (parts(folder) < parts) {
            sleep(20);
          }
          killAnExecutor();
          return true;
        });
  }

  private static long parts(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(file -> file.getFileName().toString().startsWith("part-")).count();
    } catch (IOException | UncheckedIOException e) {
      return 0;
    }
  }

  static void sleep(int milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}

package io.github.ddpm.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.SparkSession;

/** A cluster of two executors with a core each, processes of their own on this machine. */
final class LocalCluster {
  private LocalCluster() {}

  static SparkSession start(Path scratch) throws IOException {
    // Spark starts executors from a distribution: this one has nothing, as all is on the class
    // path.
    Path home = Path.of(System.getenv("SPARK_HOME"));
    Files.createDirectories(home.resolve("jars"));
    Files.write(home.resolve("RELEASE"), new byte[0]);
    return SparkSession.builder()
        .master("local-cluster[2,1,1024]")
        .config("spark.executor.extraClassPath", System.getProperty("java.class.path"))
        .config(
            "spark.executor.extraJavaOptions",
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0"
                + " -Dio.github.ddpm.tf.threads=1"
                + property("org.bytedeco.javacpp.cachedir"))
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

  static void sleep(int milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.spark.SparkFailures;
import io.github.ddpm.spark.SparkModel;
import io.github.ddpm.spark.SparkSampling;
import io.github.ddpm.spark.SparkTraining;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Help.Ansi;

/** A cluster of Apache Spark. It is made by {@link java.util.ServiceLoader}. */
public final class SparkCluster implements Cluster.Provider {
  /** Makes a provider, for the service loader. */
  public SparkCluster() {}

  @Override
  public Cluster open(String master) {
    SparkSession.Builder builder =
        SparkSession.builder()
            .master(master)
            .config("spark.ui.showConsoleProgress", Ansi.AUTO.enabled());
    // What spark-submit was given; it brings the mains to executors.
    String submitted = new SparkConf().get("spark.master", "");
    if (!submitted.isEmpty()) {
      if (!submitted.equals(master)) {
        throw new IllegalArgumentException(
            "--spark must be the --master of spark-submit, %s, got %s"
                .formatted(submitted, master));
      }
      return new Opened(builder.getOrCreate());
    }
    if (!master.startsWith("local")) {
      throw new IllegalArgumentException(
          "--spark must be local[threads] or local-cluster[executors,cores,megabytes], got %s: other masters take spark-submit, as docs/cluster.md says"
              .formatted(master));
    }
    builder.appName("ddpm");
    if (master.startsWith("local-cluster")) {
      // Its executors are processes on this machine, of the same classes.
      builder
          .config("spark.executor.extraClassPath", System.getProperty("java.class.path"))
          .config("spark.ui.enabled", false);
    }
    return new Opened(builder.getOrCreate());
  }

  /** Returns where Hadoop finds a folder: of this machine, unless it is a URL. */
  static String place(String out) {
    // Hadoop takes paths as they are written, not as a URI has them: "%20" is no space to it.
    return out.contains("://") ? out : "file://" + Path.of(out).toUri().getPath();
  }

  private static final class Opened implements Cluster {
    private final SparkSession spark;
    private final List<SparkTraining> trainings = new ArrayList<>();

    Opened(SparkSession spark) {
      this.spark = spark;
    }

    @Override
    public void spread(Trainer trainer, Dataset data) {
      trainings.add(SparkTraining.spread(spark, trainer, data));
    }

    @Override
    public void draw(
        Path model,
        Optional<Precision> precision,
        int[] labels,
        String[] arguments,
        long count,
        Format format,
        String out)
        throws IOException {
      String folder = place(out);
      if (!out.contains("://") && Files.exists(Path.of(out))) {
        throw new IOException(out + " is there already; choose another --out");
      }
      SparkModel fastest = model(model);
      SparkModel asked = precision.map(fastest::withPrecision).orElse(fastest);
      Function<Predictor, Sampler> sampler =
          loaded -> GenerateImages.sampler(loaded, labels, arguments);
      try {
        switch (format) {
          case PARQUET ->
              SparkSampling.sample(spark, asked, sampler, count).write().parquet(folder);
          case NPY -> SparkSampling.writeNpy(spark, asked, sampler, count, folder);
        }
      } catch (Exception e) {
        // Spark's checked exceptions are not declared.
        throw new IllegalStateException("the cluster can't draw: " + SparkFailures.reason(e), e);
      }
    }

    private SparkModel model(Path model) throws IOException {
      if (Commands.isInLibrary(model)) {
        return SparkModel.pretrained(Commands.nameInLibrary(model));
      }
      Commands.checkThere(model, ", or " + Commands.LIBRARY);
      return SparkModel.send(spark, model);
    }

    @Override
    public void close() {
      trainings.forEach(SparkTraining::close);
      spark.stop();
    }
  }
}

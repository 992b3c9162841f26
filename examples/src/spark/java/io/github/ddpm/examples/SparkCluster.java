package io.github.ddpm.examples;

import io.github.ddpm.spark.SparkModel;
import io.github.ddpm.spark.SparkSampling;
import io.github.ddpm.spark.SparkTraining;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.apache.spark.sql.Row;
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
            .appName("ddpm")
            .master(master)
            .config("spark.ui.showConsoleProgress", Ansi.AUTO.enabled());
    if (master.startsWith("local-cluster")) {
      // Its executors are processes on this machine, of the same classes.
      builder
          .config("spark.executor.extraClassPath", System.getProperty("java.class.path"))
          .config("spark.ui.enabled", false);
    }
    return new Opened(builder.getOrCreate());
  }

  private record Opened(SparkSession spark) implements Cluster {
    @Override
    public void spread(Trainer trainer, Dataset data) {
      SparkTraining.spread(spark, trainer, data);
    }

    @Override
    public void draw(Optional<Path> model, String[] arguments, long count, Path out)
        throws IOException {
      if (Files.exists(out)) {
        throw new IOException(out + " is there already; choose another --out");
      }
      SparkModel sent =
          model.isPresent() ? SparkModel.send(spark, model.get()) : SparkModel.pretrained();
      org.apache.spark.sql.Dataset<Row> pictures =
          SparkSampling.sample(
              spark, sent, loaded -> GenerateImages.sampler(loaded, arguments), count);
      pictures.write().parquet(out.toUri().toString());
    }

    @Override
    public void close() {
      spark.stop();
    }
  }
}

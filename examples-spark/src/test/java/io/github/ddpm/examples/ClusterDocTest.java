package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.Sampler;
import io.github.ddpm.spark.SparkImages;
import io.github.ddpm.spark.SparkModel;
import io.github.ddpm.spark.SparkSampling;
import io.github.ddpm.spark.SparkTraining;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

/** The Java code of docs/cluster.md is this file's, between the markers; it isn't run here. */
class ClusterDocTest {
  static void start(SparkSession spark, Trainer trainer, Dataset data) {
    // DOCS
    SparkModel model = SparkModel.pretrained("digits");
    SparkSampling.sample(
            spark, model, own -> Sampler.dpmSolver().steps(10).seed(1).with(own), 1_000_000)
        .write()
        .parquet("s3a://bucket/digits"); // index, label, png

    SparkTraining.train(spark, trainer, data, progress -> true);
    // END
  }

  static void rows(SparkSession spark, Trainer trainer) throws IOException {
    // DOCS
    var files = spark.read().format("binaryFile").load("s3a://bucket/pictures");
    Dataset pictures = SparkImages.load(files.select("path", "content"), 64, 3);
    SparkTraining.train(spark, trainer, pictures, progress -> true);

    var digits = spark.read().parquet("s3a://bucket/digits");
    Dataset labeled = SparkImages.load(digits.select("index", "png", "label"), 28, 1);
    // END
    assertThat(labeled.classes()).isEqualTo(10);
  }

  static TrainingOptions replicas() {
    // DOCS
    TrainingOptions options =
        TrainingOptions.defaults().withBatchSize(512).withMicroBatch(64).withLocalSteps(16);
    // END
    return options;
  }

  @Test
  void itsCodeIsThis() throws IOException {
    String source =
        Files.readString(Path.of("src/test/java/io/github/ddpm/examples/ClusterDocTest.java"));
    List<String> ours = blocks(source, "(?m)^ *// DOCS\n(.*?)^ *// END$");
    List<String> docs =
        blocks(Files.readString(Path.of("../docs/cluster.md")), "(?m)^```java\n(.*?)^```$");
    assertThat(docs).containsExactlyElementsOf(ours);
  }

  private static List<String> blocks(String text, String pattern) {
    return Pattern.compile(pattern, Pattern.DOTALL)
        .matcher(text)
        .results()
        .map((MatchResult block) -> block.group(1).stripTrailing().stripIndent())
        .toList();
  }
}

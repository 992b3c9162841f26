package io.github.ddpm.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.element_at;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.split;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.Images;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SparkImagesTest {
  private final SparkSession spark = LocalCluster.session();

  @TempDir Path folder;

  private Path pictures;

  @BeforeEach
  void writePictures() throws IOException {
    pictures = folder.resolve("pictures");
    Images images = TestTraining.PICTURES.images(IntStream.range(0, 40).toArray());
    for (int i = 0; i < images.count(); i++) {
      Path sub = Files.createDirectories(pictures.resolve("digit-" + i % 10));
      images.writePng(i, sub.resolve("%d.png".formatted(i)));
    }
  }

  private org.apache.spark.sql.Dataset<Row> files() {
    return spark
        .read()
        .format("binaryFile")
        .option("recursiveFileLookup", true)
        .load(pictures.toString())
        .select(col("path"), col("content"), element_at(split(col("path"), "/"), lit(-2)));
  }

  @Test
  void aTrainingOnRowsIsThatOnTheFolder() throws IOException {
    try (Trainer trainer = TestTraining.trainer()) {
      trainer.train(ImageFolder.load(pictures, 16, 1), progress -> true);
      trainer.save(folder.resolve("here"));
    }
    Dataset rows = SparkImages.load(files().repartition(3), 16, 1);
    try (Trainer trainer = TestTraining.trainer()) {
      SparkTraining.train(spark, trainer, rows, progress -> true);
      trainer.save(folder.resolve("rows"));
    }
    TestTraining.assertSame(folder.resolve("rows"), folder.resolve("here"));
  }

  @Test
  void numbersOrderAndLabelAsTheyAre() throws IOException {
    Dataset expected = TestTraining.PICTURES;
    Dataset rows =
        SparkImages.load(
            files()
                .selectExpr(
                    "int(regexp_extract(path, '([0-9]+).png', 1)) as index",
                    "content",
                    "int(regexp_extract(path, 'digit-([0-9])', 1))"),
            16,
            1);
    int[] all = IntStream.range(0, 40).toArray();
    assertThat(rows.images(all)).isEqualTo(expected.images(all));
    assertThat(rows.labels(all)).isEqualTo(expected.labels(all));
    assertThat(rows.classes()).isEqualTo(10);
  }

  @Test
  void refusesWhatIsNoPictureOrHasNoOrder() throws IOException {
    assertThatThrownBy(() -> SparkImages.load(files().select("path"), 16, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "the columns must be numbers or texts for the order, files as binary, and numbers or texts for the labels,"
                + " if any, got struct<path:string>");
    assertThatThrownBy(
            () -> SparkImages.load(files().selectExpr("'same' as path", "content"), 16, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("column path orders the pictures and must have no value twice, got same");
    Files.writeString(pictures.resolve("digit-3/broken.png"), "no picture");
    assertThatThrownBy(() -> SparkImages.load(files(), 16, 1))
        .isInstanceOf(IOException.class)
        .hasMessageEndingWith(
            "digit-3/broken.png cannot be read as a picture: it is neither PNG nor JPEG");
  }
}

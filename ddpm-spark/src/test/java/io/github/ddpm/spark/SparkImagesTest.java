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
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
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
    List<String> names = ImageFolder.find(pictures).classNames();
    assertThat(names).hasSize(10).contains("digit-3");
    assertThat(rows.classNames()).isEqualTo(names);
    assertThat(SentDataset.send(spark, rows).value().open().classNames()).isEqualTo(names);
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

  @Test
  void whatARowLacksIsSaidWithTheRow() {
    String number = "regexp_extract(path, '([0-9]+).png', 1)";
    String index = "int(" + number + ") as index";
    assertRefused(
        List.of("if(%s = 7, null, %s) as name".formatted(number, number), "content"),
        "column name has no value in row null");
    assertRefused(
        List.of(index, "if(%s = 7, null, content) as file".formatted(number)),
        "column file has no value in row 7");
    assertRefused(
        List.of(index, "content", "if(%s = 7, null, 1) as label".formatted(number)),
        "column label has no value in row 7");
    for (String label : List.of("2147483647", "2147483648", "-1")) {
      assertRefused(
          List.of(index, "content", "if(%s = 7, %s, 1) as label".formatted(number, label)),
          "column label has labels, which must be in [0, 2^31 - 2], got " + label + " in row 7");
    }
  }

  private void assertRefused(List<String> columns, String problem) {
    assertThatThrownBy(
            () ->
                SparkImages.load(
                    files().coalesce(1).selectExpr(columns.toArray(new String[0])), 16, 1))
        .isInstanceOf(IOException.class)
        .hasMessage(problem);
  }

  @Test
  void whatTheDriverCannotHoldIsRefusedAtOnce() {
    assertThatThrownBy(() -> SparkImages.load(files(), 0, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("size must be in [1, 4096], got 0");
    assertThatThrownBy(() -> SparkImages.load(files(), 16, 5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("channels must be in [1, 4], got 5");
    assertThatThrownBy(() -> SparkImages.load(files(), 4096, 4))
        .isInstanceOf(IOException.class)
        .hasMessageMatching("40 pictures: it needs \\d+ MB of memory, but of the heap's .*");
  }

  @Test
  void anInterruptEndsReading() {
    org.apache.spark.sql.Dataset<Row> slow =
        spark.createDataFrame(
            files()
                .javaRDD()
                .map(
                    row -> {
                      Thread.sleep(60_000);
                      return row;
                    }),
            files().schema());
    Thread reading = Thread.currentThread();
    CompletableFuture<Void> interrupt =
        CompletableFuture.runAsync(
            () -> {
              LocalCluster.sleep(1000);
              reading.interrupt();
            });
    assertThatThrownBy(() -> SparkImages.load(slow, 16, 1))
        .isInstanceOf(CancellationException.class)
        .hasMessage("reading pictures was interrupted");
    assertThat(Thread.interrupted()).as("is kept").isTrue();
    assertThat(interrupt).isCompleted();
    for (int i = 0;
        i < 100 && spark.sparkContext().statusTracker().getActiveJobIds().length > 0;
        i++) {
      LocalCluster.sleep(100);
    }
    assertThat(spark.sparkContext().statusTracker().getActiveJobIds()).isEmpty();
  }
}

package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableSortedSet;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import java.io.IOException;
import java.io.Serializable;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;

/**
 * Pictures out of the rows of a data frame, to train on: files, or what {@link SparkSampling} drew.
 *
 * <pre>{@code
 * Dataset<Row> files = spark.read().format("binaryFile").load("s3a://bucket/pictures");
 * SparkTraining.train(
 *     spark, trainer, SparkImages.load(files.select("path", "content"), 64, 3), progress -> true);
 * }</pre>
 */
public final class SparkImages {
  private SparkImages() {}

  /** A row once its picture is decoded; order and label are texts or numbers. */
  @SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
  private record Decoded(Comparable<?> order, Object label, byte[] pixels)
      implements Serializable {}

  /**
   * Reads pictures as {@link ImageFolder#load} does, each by an executor. They come in the order of
   * the first column, however the rows are ordered or parted, so a training on the files of a
   * folder by their path is that on the folder, bit for bit.
   *
   * @param rows of two or three columns. The first orders the pictures, by numbers or by texts,
   *     which are compared by their UTF-16 code units; it has no value twice. The second is a PNG
   *     or JPEG file each. The third, if there is one, is the label: whole numbers from 0, of which
   *     the largest is the last class, or texts, which are numbered from 0 in their order
   * @param size height and width of the pictures returned, in [1, 4096]
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
   * @return pictures that the driver holds in memory; over 1 GB of them take a larger {@code
   *     spark.driver.maxResultSize}
   * @throws IOException if the rows can't be read, or a picture; the message has its value in the
   *     first column
   * @throws IllegalArgumentException if the columns are others, there are no rows, a value is
   *     missing or is there twice, or size or channels is out of range
   */
  public static Dataset load(org.apache.spark.sql.Dataset<Row> rows, int size, int channels)
      throws IOException {
    StructField[] columns = rows.schema().fields();
    checkArgument(
        (columns.length == 2 || columns.length == 3)
            && isOrdered(columns[0].dataType())
            && columns[1].dataType() instanceof BinaryType
            && (columns.length == 2 || isOrdered(columns[2].dataType())),
        "the columns must be numbers or texts for the order, files as binary, and numbers or texts for the labels, if"
            + " any, got %s",
        rows.schema().simpleString());
    List<Decoded> pictures = decode(rows, size, channels);
    checkArgument(!pictures.isEmpty(), "there must be at least 1 row, got none");
    for (int i = 1; i < pictures.size(); i++) {
      checkArgument(
          !pictures.get(i).order().equals(pictures.get(i - 1).order()),
          "column %s orders the pictures and must have no value twice, got %s",
          columns[0].name(),
          pictures.get(i).order());
    }
    byte[][] pixels = pictures.stream().map(Decoded::pixels).toArray(byte[][]::new);
    if (columns.length == 2) {
      return Dataset.of(size, size, channels, pixels);
    }
    List<Object> labels = pictures.stream().map(Decoded::label).toList();
    return columns[2].dataType() instanceof StringType
        ? named(size, channels, pixels, labels)
        : numbered(size, channels, pixels, labels);
  }

  private static boolean isOrdered(DataType type) {
    return type instanceof StringType || type instanceof LongType || type instanceof IntegerType;
  }

  private static List<Decoded> decode(
      org.apache.spark.sql.Dataset<Row> rows, int size, int channels) throws IOException {
    try {
      return rows.javaRDD().map(row -> decode(row, size, channels)).collect().stream()
          .sorted(Comparator.comparing(SparkImages::order))
          .toList();
    } catch (Exception e) {
      // Spark's checked exceptions are not declared.
      throw new IOException(SparkFailures.reason(e), e);
    }
  }

  @SuppressWarnings("unchecked") // All are texts, or all are numbers.
  private static Comparable<Object> order(Decoded picture) {
    return (Comparable<Object>) picture.order();
  }

  private static Decoded decode(Row row, int size, int channels) throws IOException {
    for (int i = 0; i < row.size(); i++) {
      checkArgument(!row.isNullAt(i), "column %s has no value in row %s", i, row.get(0));
    }
    byte[] pixels = ImageFolder.decode(String.valueOf(row.get(0)), row.getAs(1), size, channels);
    return new Decoded((Comparable<?>) row.get(0), row.size() == 2 ? null : row.get(2), pixels);
  }

  private static Dataset numbered(int size, int channels, byte[][] pixels, List<Object> labels) {
    int[] numbers =
        labels.stream().mapToInt(label -> Math.toIntExact(((Number) label).longValue())).toArray();
    int classes = 0;
    for (int label : numbers) {
      checkArgument(label >= 0, "labels must be at least 0, got %s", label);
      classes = Math.max(classes, label + 1);
    }
    return Dataset.of(size, size, channels, pixels, classes, numbers);
  }

  private static Dataset named(int size, int channels, byte[][] pixels, List<Object> labels) {
    List<String> classes =
        labels.stream()
            .map(String.class::cast)
            .collect(ImmutableSortedSet.toImmutableSortedSet(Comparator.naturalOrder()))
            .asList();
    int[] numbers = labels.stream().mapToInt(classes::indexOf).toArray();
    return Dataset.of(size, size, channels, pixels, classes.size(), numbers);
  }
}

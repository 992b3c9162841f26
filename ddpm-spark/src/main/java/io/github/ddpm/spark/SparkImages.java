package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableSortedSet;
import com.google.common.primitives.Ints;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import java.io.IOException;
import java.io.Serializable;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import org.apache.spark.api.java.JavaSparkContext;
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

  /**
   * A row once its picture is decoded.
   *
   * @param order what it is ordered by, a text or a number
   * @param label a text or a number; null if there are none
   * @param pixels unsigned bytes [size, size, channels]
   */
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
   *     or JPEG file each. The third, if there is one, is the label: whole numbers in [0, 2^31 -
   *     2], of which the largest is the last class, or texts, the names of classes that are
   *     numbered from 0 in their order
   * @param size height and width of the pictures returned, in [1, 4096]
   * @param channels 1 for gray, 3 for RGB; 2 and 4 for the same with alpha
   * @return pictures that the driver holds in memory; over 1 GB of them take a larger {@code
   *     spark.driver.maxResultSize}
   * @throws CancellationException if this thread is interrupted, which it stays; executors stop
   *     then
   * @throws IOException if the rows can't be read, a value is missing, a label is out of range, a
   *     picture is broken, or they don't fit into memory; where it is one row, the message has its
   *     value in the first column
   * @throws IllegalArgumentException if the columns are others, there are no rows, a value of the
   *     first column is there twice, or size or channels is out of range
   */
  public static Dataset load(org.apache.spark.sql.Dataset<Row> rows, int size, int channels)
      throws IOException {
    ImageFolder.checkSize(size, channels);
    StructField[] columns = rows.schema().fields();
    checkArgument(
        (columns.length == 2 || columns.length == 3)
            && isOrdered(columns[0].dataType())
            && columns[1].dataType() instanceof BinaryType
            && (columns.length == 2 || isOrdered(columns[2].dataType())),
        "the columns must be numbers or texts for the order, files as binary, and numbers or texts for the labels, if"
            + " any, got %s",
        rows.schema().simpleString());
    List<Decoded> pictures = read(rows, size, channels);
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
      return Dataset.keeping(size, size, channels, pixels, 0);
    }
    List<Object> labels = pictures.stream().map(Decoded::label).toList();
    return columns[2].dataType() instanceof StringType
        ? named(size, channels, pixels, labels)
        : numbered(size, channels, pixels, labels);
  }

  private static boolean isOrdered(DataType type) {
    return type instanceof StringType || type instanceof LongType || type instanceof IntegerType;
  }

  /** Has executors decode the pictures, once it is known that the driver can hold so many. */
  private static List<Decoded> read(org.apache.spark.sql.Dataset<Row> rows, int size, int channels)
      throws IOException {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext());
    String group = "ddpm pictures " + UUID.randomUUID();
    String[] names = rows.columns();
    try {
      spark.setJobGroup(group, "pictures", true);
      long count = rows.count();
      Heap.check(count + " pictures", Heap.arrays((double) count, (double) size * size * channels));
      return rows.javaRDD().map(row -> decode(row, names, size, channels)).collect().stream()
          .sorted(Comparator.comparing(SparkImages::order))
          .toList();
    } catch (Exception e) {
      // Spark's checked exceptions are not declared.
      throw SparkFailures.interrupted(e, spark, group, "reading pictures was interrupted")
          .orElseThrow(() -> new IOException(SparkFailures.reason(e), e));
    } finally {
      spark.clearJobGroup();
    }
  }

  @SuppressWarnings("unchecked") // All are texts, or all are numbers.
  private static Comparable<Object> order(Decoded picture) {
    return (Comparable<Object>) picture.order();
  }

  private static Decoded decode(Row row, String[] columns, int size, int channels)
      throws IOException {
    for (int i = 0; i < columns.length; i++) {
      checkArgument(!row.isNullAt(i), "column %s has no value in row %s", columns[i], row.get(0));
    }
    Object label = columns.length == 2 ? null : row.get(2);
    if (label instanceof Number number) {
      checkArgument(
          number.longValue() >= 0 && number.longValue() < Integer.MAX_VALUE,
          "column %s has labels, which must be in [0, 2^31 - 2], got %s in row %s",
          columns[2],
          label,
          row.get(0));
    }
    byte[] pixels = ImageFolder.decode(String.valueOf(row.get(0)), row.getAs(1), size, channels);
    return new Decoded((Comparable<?>) row.get(0), label, pixels);
  }

  private static Dataset numbered(int size, int channels, byte[][] pixels, List<Object> labels) {
    int[] numbers = labels.stream().mapToInt(label -> ((Number) label).intValue()).toArray();
    return Dataset.keeping(size, size, channels, pixels, Ints.max(numbers) + 1, numbers);
  }

  private static Dataset named(int size, int channels, byte[][] pixels, List<Object> labels) {
    List<String> classes =
        labels.stream()
            .map(String.class::cast)
            .collect(ImmutableSortedSet.toImmutableSortedSet(Comparator.naturalOrder()))
            .asList();
    int[] numbers = labels.stream().mapToInt(classes::indexOf).toArray();
    return Dataset.keeping(size, size, channels, pixels, classes.size(), numbers)
        .withClassNames(classes);
  }
}

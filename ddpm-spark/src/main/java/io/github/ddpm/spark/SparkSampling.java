package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.Iterators;
import io.github.ddpm.Images;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import javax.imageio.ImageIO;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import scala.Tuple2;

/**
 * Draws pictures on the executors of a cluster.
 *
 * <pre>{@code
 * Dataset<Row> digits = SparkSampling.sample(
 *     spark, SparkModel.pretrained("digits"), model -> Sampler.dpmSolver().steps(10).seed(1).with(model), 1_000_000);
 * digits.write().parquet("s3a://bucket/digits");
 * }</pre>
 *
 * <p>A picture is a function of the seed and its index, so an executor that dies costs time alone:
 * what it had not finished is drawn again, the same, by another.
 */
public final class SparkSampling {
  /** Columns of the rows: the picture's index from 0, its label if the model has any, and a PNG. */
  public static final StructType SCHEMA =
      new StructType()
          .add("index", DataTypes.LongType, false)
          .add("label", DataTypes.IntegerType, true)
          .add("png", DataTypes.BinaryType, false);

  /** Few enough that a lost task is soon made up for, and many that starting one costs little. */
  private static final int PICTURES_OF_A_TASK = 512;

  private SparkSampling() {}

  /**
   * Describes pictures that are drawn when the rows are asked for, and each time that they are:
   * write them, or {@code cache()} them.
   *
   * @param spark whose executors draw
   * @param model that executors load once each
   * @param sampler makes the sampler of a loaded model; it must have a {@linkplain Sampler#seed
   *     seed}, and the pictures are those from {@code first(0)} on
   * @param count how many pictures, at least 1
   * @return rows of {@link #SCHEMA}, in the order of their indices
   * @throws IllegalArgumentException if count is less than 1, or there are more than 2^31 - 1 tasks
   *     of 512 pictures
   */
  public static Dataset<Row> sample(
      SparkSession spark, SparkModel model, Function<Predictor, Sampler> sampler, long count) {
    return sample(spark, model, sampler, count, PICTURES_OF_A_TASK);
  }

  /**
   * Does the same with tasks of another size than 512 pictures: smaller ones spread large pictures
   * over more executors.
   *
   * @param spark whose executors draw
   * @param model that executors load once each
   * @param sampler makes the sampler of a loaded model; it must have a seed
   * @param count how many pictures, at least 1
   * @param picturesOfATask at least 1; what an executor that dies had not finished is drawn again
   * @return rows of {@link #SCHEMA}, in the order of their indices
   * @throws IllegalArgumentException if count or picturesOfATask is less than 1, or there are more
   *     than 2^31 - 1 tasks
   */
  public static Dataset<Row> sample(
      SparkSession spark,
      SparkModel model,
      Function<Predictor, Sampler> sampler,
      long count,
      int picturesOfATask) {
    SamplingTask task = new SamplingTask(model, sampler);
    return spark.createDataFrame(
        starts(spark, count, picturesOfATask)
            .flatMap(
                start ->
                    Iterators.concat(
                        Iterators.transform(
                            task.draw(start, size(start, count, picturesOfATask)),
                            drawn -> rows(drawn).iterator()))),
        SCHEMA);
  }

  /**
   * Draws pictures into files of NumPy, {@code part-0000000000.npy} and so on, which in the order
   * of their names have what {@link io.github.ddpm.Images#writeNpy} writes: float32 [n, height,
   * width, channels], 512 pictures each and less in the last. Each is there once, whole and in its
   * place, or none is; at last there is a file {@code _SUCCESS} beside them.
   *
   * @param spark whose executors draw
   * @param model as for {@link #sample(SparkSession, SparkModel, Function, long)}
   * @param sampler makes the sampler of a loaded model; it must have a seed
   * @param count how many pictures, at least 1
   * @param folder which isn't there yet, in any file system that Spark writes to
   * @throws IllegalArgumentException if the folder is there, count is less than 1, or there are
   *     more than 2^31 - 1 files; nothing is drawn or changed then. What executors fail at comes as
   *     Spark throws it
   * @throws UncheckedIOException if the file system can't be asked
   */
  public static void writeNpy(
      SparkSession spark,
      SparkModel model,
      Function<Predictor, Sampler> sampler,
      long count,
      String folder) {
    writeNpy(spark, model, sampler, count, PICTURES_OF_A_TASK, folder);
  }

  /**
   * Does the same with files of another size than 512 pictures.
   *
   * @param spark whose executors draw
   * @param model that executors load once each
   * @param sampler makes the sampler of a loaded model; it must have a seed
   * @param count how many pictures, at least 1
   * @param picturesOfAFile at least 1; a file is drawn by one task
   * @param folder which isn't there yet, in any file system that Spark writes to
   * @throws IllegalArgumentException if the folder is there, count or picturesOfAFile is less than
   *     1, or there are more than 2^31 - 1 files; nothing is drawn or changed then
   * @throws UncheckedIOException if the file system can't be asked
   */
  public static void writeNpy(
      SparkSession spark,
      SparkModel model,
      Function<Predictor, Sampler> sampler,
      long count,
      int picturesOfAFile,
      String folder) {
    checkNotThere(spark, folder);
    SamplingTask task = new SamplingTask(model, sampler);
    starts(spark, count, picturesOfAFile)
        .flatMapToPair(
            start -> {
              int size = size(start, count, picturesOfAFile);
              return Iterators.transform(
                  task.draw(start, size), drawn -> new Tuple2<>(size, drawn.images()));
            })
        .saveAsNewAPIHadoopFile(
            folder,
            Integer.class,
            Images.class,
            NpyFormat.class,
            spark.sparkContext().hadoopConfiguration());
  }

  private static void checkNotThere(SparkSession spark, String folder) {
    Path path = new Path(folder);
    try {
      FileSystem files = path.getFileSystem(spark.sparkContext().hadoopConfiguration());
      checkArgument(!files.exists(path), "folder must not be there yet, got %s", folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns the first index of each task. */
  private static JavaRDD<Long> starts(SparkSession spark, long count, int picturesOfATask) {
    checkArgument(count >= 1, "count must be at least 1, got %s", count);
    checkArgument(
        picturesOfATask >= 1, "a task must have at least 1 picture, got %s", picturesOfATask);
    long tasks = (count - 1) / picturesOfATask + 1;
    checkArgument(
        tasks <= Integer.MAX_VALUE, "there must be at most 2^31 - 1 tasks, got %s", tasks);
    List<Long> starts = LongStream.range(0, tasks).map(k -> k * picturesOfATask).boxed().toList();
    return JavaSparkContext.fromSparkContext(spark.sparkContext())
        .parallelize(starts, Math.toIntExact(tasks));
  }

  private static int size(long start, long count, int picturesOfATask) {
    return (int) Math.min(picturesOfATask, count - start);
  }

  private static List<Row> rows(SamplingTask.Drawn drawn) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < drawn.images().count(); i++) {
      rows.add(
          RowFactory.create(
              drawn.first() + i,
              drawn.labels().length == 0 ? null : drawn.labels()[i],
              png(drawn.images(), i)));
    }
    return rows;
  }

  private static byte[] png(Images images, int index) {
    ByteArrayOutputStream png = new ByteArrayOutputStream();
    try {
      ImageIO.write(images.toBufferedImage(index), "png", png);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return png.toByteArray();
  }
}

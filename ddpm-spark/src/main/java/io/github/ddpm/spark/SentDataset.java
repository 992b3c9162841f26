package io.github.ddpm.spark;

import io.github.ddpm.tf.data.Dataset;
import java.io.Serializable;
import java.nio.FloatBuffer;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/**
 * Pictures on their way to executors, as the bytes that they are made of.
 *
 * @param height of each, in pixels
 * @param width of each, in pixels
 * @param channels of each
 * @param images unsigned bytes [height, width, channels] of each
 * @param classes how many the labels tell apart; 0 if there are no labels
 * @param labels one of each picture; none if there are no classes
 * @param classNames one of each class, or none
 */
@SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
record SentDataset(
    int height,
    int width,
    int channels,
    byte[][] images,
    int classes,
    int[] labels,
    List<String> classNames)
    implements Serializable {

  /** Sends pictures to all executors that will ask for them. */
  static Broadcast<SentDataset> send(SparkSession spark, Dataset data) {
    return JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(of(data));
  }

  private static SentDataset of(Dataset data) {
    byte[][] images = new byte[data.size()][];
    int[] labels = new int[data.classes() > 0 ? data.size() : 0];
    for (int i = 0; i < images.length; i++) {
      images[i] = bytes(i, data.floats(i));
      if (labels.length > 0) {
        labels[i] = data.label(i);
      }
    }
    return new SentDataset(
        data.height(),
        data.width(),
        data.channels(),
        images,
        data.classes(),
        labels,
        data.classNames());
  }

  private static byte[] bytes(int index, FloatBuffer values) {
    byte[] bytes = new byte[values.remaining()];
    for (int i = 0; i < bytes.length; i++) {
      float value = values.get(i);
      int level = Math.round((value + 1) * 127.5f);
      if (level < 0 || level > 255 || level / 127.5f - 1 != value) {
        throw new IllegalArgumentException(
            "picture %s has the value %s, which no byte stands for: have each executor open the data, by spread(spark, trainer, () -> …)"
                .formatted(index, value));
      }
      bytes[i] = (byte) level;
    }
    return bytes;
  }

  /** Returns the pictures, without a copy: tasks only read what was sent. */
  Dataset open() {
    return Dataset.keeping(height, width, channels, images, classes, labels)
        .withClassNames(classNames);
  }
}

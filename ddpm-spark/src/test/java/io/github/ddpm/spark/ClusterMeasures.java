package io.github.ddpm.spark;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.hash.Hashing;
import com.google.common.io.MoreFiles;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.PartGradient;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What docs/cluster.md says of a cluster, measured: {@code mvn -q test -pl
 * ddpm-api,ddpm-native,ddpm-tf,ddpm-spark -Dtest=ClusterMeasures
 * -Dsurefire.failIfNoSpecifiedTests=false}. It is not one of the tests that a build runs.
 */
class ClusterMeasures {
  private static final int REPEATS = 30;
  private static final int DIGITS = 2000;
  private static final int SHARD = 100;
  private static final UNetConfig SMALL = UNetConfig.small(28, 28, 1).withClasses(10);
  private static final UNetConfig LARGE = SMALL.withBlockOutChannels(128, 256, 256);

  private final SparkSession spark = LocalCluster.start(2, "");
  private final JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());

  @TempDir Path folder;

  /**
   * Whole trainings of the README's network, on one process, on two executors, and on two of which
   * one dies.
   */
  @ParameterizedTest
  @CsvSource({"6, 128, 64", "20, 16, 8"})
  void trainingsAreEqual(int steps, int batch, int micro) throws IOException {
    TrainingOptions options = TrainingOptions.defaults().withBatchSize(batch).withMicroBatch(micro);
    Dataset data = pictures(2000);
    List<String> hashes = new ArrayList<>();
    for (String where : List.of("here", "spread", "killed")) {
      try (Trainer trainer = trainer(SMALL, options)) {
        trainer.setTotalSteps(steps);
        if (where.equals("here")) {
          trainer.train(data, progress -> true);
        } else {
          SparkTraining.train(
              spark,
              trainer,
              data,
              progress -> {
                if (where.equals("killed") && progress.step() == 3) {
                  LocalCluster.killAnExecutor();
                }
                return true;
              });
        }
        trainer.save(folder.resolve(where));
      }
      hashes.add(hash(folder.resolve(where).resolve("training")));
      print("%d steps of %d, %s: %s", steps, batch, where, hashes.get(hashes.size() - 1));
    }
    assertThat(hashes).containsOnly(hashes.get(0));
  }

  /** Five shards are begun when an executor dies, of which no more than two are at work. */
  @ParameterizedTest
  @ValueSource(strings = {"parquet", "npy"})
  void everyDigitIsThereOnce(String format) throws IOException {
    Path files = folder.resolve("digits");
    SparkModel model = SparkModel.pretrained("digits");
    Sampler here = Sampler.dpmSolver().steps(10).seed(1);
    Function<Predictor, Sampler> sampler = own -> Sampler.dpmSolver().steps(10).seed(1).with(own);
    CompletableFuture<Boolean> killed = LocalCluster.killAnExecutorOnceThereAre(5, files);
    long start = System.nanoTime();
    if (format.equals("parquet")) {
      SparkSampling.sample(spark, model, sampler, DIGITS, SHARD).write().parquet(files.toString());
    } else {
      SparkSampling.writeNpy(spark, model, sampler, DIGITS, SHARD, files.toString());
    }
    print("%d digits as %s in %.1f s", DIGITS, format, (System.nanoTime() - start) / 1e9);
    assertThat(killed).isCompletedWithValue(true);
    Images drawn = here.sample(DIGITS);
    if (format.equals("parquet")) {
      List<Row> rows = spark.read().parquet(files.toString()).orderBy("index").collectAsList();
      assertThat(rows).hasSize(DIGITS);
      for (int i = 0; i < DIGITS; i++) {
        drawn.writePng(i, folder.resolve("picture.png"));
        assertThat(rows.get(i).getLong(0)).isEqualTo(i);
        assertThat(rows.get(i).<byte[]>getAs("png"))
            .isEqualTo(Files.readAllBytes(folder.resolve("picture.png")));
      }
    } else {
      for (int i = 0; i < DIGITS / SHARD; i++) {
        drawn.slice(i * SHARD, (i + 1) * SHARD).writeNpy(folder.resolve("shard.npy"));
        assertThat(files.resolve(NpyFormat.name(i)))
            .hasSameBinaryContentAs(folder.resolve("shard.npy"));
      }
      assertThat(files.resolve(NpyFormat.name(DIGITS / SHARD))).doesNotExist();
    }
  }

  @Test
  void whatAStepCosts() throws IOException {
    for (UNetConfig network : List.of(SMALL, LARGE)) {
      TrainingOptions options =
          TrainingOptions.defaults()
              .withBatchSize(2)
              .withMicroBatch(1)
              .withPrecision(Precision.FLOAT32);
      Dataset data = pictures(10);
      try (Trainer trainer = trainer(network, options)) {
        trainer.setTotalSteps(1000);
        int[] bytes = new int[1];
        trainer.computeGradientsBy(
            (weights, attempt, lossScale, parts) -> {
              bytes[0] = weights.remaining();
              return zeros(weights, parts);
            });
        String sum = time(i -> steps(trainer, data, 1));
        print("%.1f million weights", bytes[0] / 4e6);
        print("  weights out, gradients summed, step taken  %s", sum);
        trainer.computeGradients();
        print(
            "  the step in one process                    %s", time(i -> steps(trainer, data, 1)));
        SparkTraining cluster = SparkTraining.spread(spark, trainer, data);
        steps(trainer, data, 5);
        print(
            "  the step on two executors                  %s", time(i -> steps(trainer, data, 1)));
        cluster.close();
        print(
            "  an empty job of two tasks                  %s",
            time(i -> job(context, 0, new byte[0])));
        print(
            "  the same, with the weights sent            %s",
            time(i -> job(context, 0, new byte[bytes[0]])));
        print(
            "  the same, and a gradient back from both   %s",
            time(i -> job(context, bytes[0], new byte[bytes[0]])));
      }
    }
  }

  private static List<PartGradient> zeros(ByteBuffer weights, int parts) {
    return Collections.nCopies(
        parts, new PartGradient(1, ByteBuffer.allocate(weights.remaining())));
  }

  private static void steps(Trainer trainer, Dataset data, int count) {
    long end = trainer.stepsTaken() + count;
    trainer.train(data, progress -> progress.step() < end);
  }

  private static void job(JavaSparkContext context, int back, byte[] there) {
    Broadcast<byte[]> sent = context.broadcast(there);
    List<byte[]> replies =
        context.parallelize(List.of(0, 1), 2).map(k -> Arrays.copyOf(sent.value(), back)).collect();
    assertThat(replies).hasSize(2);
    sent.destroy();
  }

  /** Returns the median and the spread of some runs, in milliseconds. */
  private static String time(IntConsumer run) {
    double[] times =
        IntStream.range(-5, REPEATS)
            .mapToDouble(
                i -> {
                  long start = System.nanoTime();
                  run.accept(i);
                  return i < 0 ? -1 : (System.nanoTime() - start) / 1e6;
                })
            .filter(time -> time >= 0)
            .sorted()
            .toArray();
    return format(
        "%6.0f ms (%.0f to %.0f)",
        times[REPEATS / 2], times[REPEATS / 10], times[REPEATS * 9 / 10]);
  }

  private static String hash(Path training) throws IOException {
    StringBuilder all = new StringBuilder();
    for (String file : List.of("weights", "ema", "adam_m", "adam_v")) {
      all.append(
          MoreFiles.asByteSource(training.resolve(file + ".safetensors")).hash(Hashing.sha256()));
    }
    return Hashing.sha256().hashUnencodedChars(all).toString().substring(0, 16);
  }

  private static Trainer trainer(UNetConfig network, TrainingOptions options) {
    return Trainer.create(network, BetaSchedule.cosine(), PredictionType.V_PREDICTION, options);
  }

  private static Dataset pictures(int count) {
    Random random = new Random(1);
    byte[][] images = new byte[count][28 * 28];
    int[] labels = new int[count];
    for (int i = 0; i < count; i++) {
      random.nextBytes(images[i]);
      labels[i] = i % 10;
    }
    return Dataset.of(28, 28, 1, images, 10, labels);
  }

  private static void print(String format, Object... arguments) {
    System.out.println(format(format, arguments));
  }

  private static String format(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments);
  }
}

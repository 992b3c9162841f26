package io.github.ddpm.spark;

import io.github.ddpm.tf.GradientWorker;
import io.github.ddpm.tf.PartGradient;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.Serializable;
import java.nio.ByteBuffer;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.api.java.function.Function0;
import org.apache.spark.broadcast.Broadcast;

/**
 * The task that computes the gradient of one part, or trains one replica.
 *
 * @param key of the training
 * @param training as {@link io.github.ddpm.tf.Trainer#description} has it
 * @param data opens what is trained on
 */
record GradientTask(String key, String training, Function0<Dataset> data) implements Serializable {
  /** What executors have of a training. */
  private static final PerExecutor<Opened> OPENED = new PerExecutor<>();

  private record Opened(GradientWorker worker, Dataset data) implements AutoCloseable {
    @Override
    public void close() {
      worker.close();
    }
  }

  /**
   * What comes back.
   *
   * @param loss of the part's images: their mean
   * @param gradient the part's share, 4 bytes a weight
   * @param host of the executor
   * @param instructions that it computes with
   */
  @SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
  record Reply(double loss, byte[] gradient, String host, String instructions)
      implements Serializable {}

  /** Returns the task of a step. */
  Function<Integer, Reply> of(Broadcast<byte[]> weights, long attempt, int lossScale) {
    return part -> {
      Opened opened = OPENED.get(key, this::open);
      PartGradient gradient =
          opened
              .worker()
              .compute(ByteBuffer.wrap(weights.value()), attempt, lossScale, part, opened.data());
      return new Reply(
          gradient.loss(), Bytes.of(gradient.gradient()), host(), TensorFlowRuntime.instructions());
    };
  }

  /** Returns the task of a round, whose numbers are those of the replicas. */
  Function<Integer, SentReplica> of(Broadcast<SentRound> round) {
    return number -> {
      Opened opened = OPENED.get(key, this::open);
      return SentReplica.of(
          opened.worker().train(round.value().open(), number, opened.data()),
          host(),
          TensorFlowRuntime.instructions());
    };
  }

  private static String host() {
    return SparkEnv.get().blockManager().blockManagerId().host();
  }

  /** Opens the data first: they fail more often, and need not be closed. */
  private Opened open() throws Exception {
    Dataset opened = data.call();
    return new Opened(GradientWorker.open(training), opened);
  }
}

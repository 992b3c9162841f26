package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.io.Closer;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Computes gradients of a training that is elsewhere, in another process or on another machine, for
 * a {@link GradientSource}. A step's batch has parts, of {@link TrainingOptions#microBatch} images
 * each, and the gradient of a part is a function of the weights, the number of the attempt at a
 * step, and the number of the part: whoever computes it, and however often, it is the same, bit for
 * bit on the same kind of machine.
 *
 * <p>Of a training with {@link TrainingOptions#withLocalSteps local steps} it trains replicas, for
 * a {@link ReplicaSource}. What a replica comes to is a function of the round and its number alike.
 *
 * <p>Any number of threads may use one; whoever opens one closes it.
 */
public final class GradientWorker implements AutoCloseable {
  private final TrainingOptions options;
  private final TrainingGraph graph;
  private final WeightLayout layout;
  private final LocalSteps localSteps;

  /** Held to read while the weights are in use, and to write while they are set. */
  private final ReentrantReadWriteLock weightsLock = new ReentrantReadWriteLock();

  /** Attempt whose weights are set; -1 for none. */
  private long current = -1;

  private boolean closed;

  private GradientWorker(TrainingStart start) throws IOException {
    this.options = start.state().options();
    options.checkHasParts();
    this.layout = start.layout();
    this.graph = new TrainingGraph(start.model(), options, start.teacher(), layout);
    this.localSteps = new LocalSteps(graph, options);
  }

  /**
   * Opens a worker for a training.
   *
   * @param training as {@link Trainer#description} has it; models that teach must be where they are
   *     for the trainer
   * @return a worker, which the caller closes
   * @throws IOException if a model that teaches can't be read; the message names the file and what
   *     is wrong
   * @throws IllegalArgumentException if the description is none, is of another version of this
   *     library, or of a training whose batch has only one part
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static GradientWorker open(String training) throws IOException {
    try (Closer closer = Closer.create()) {
      return new GradientWorker(TrainingStart.described(training, closer));
    }
  }

  /**
   * Computes the gradient of one part.
   *
   * @param weights all of the network's, numbers of float32 with the lower bytes first, from
   *     position to limit; the same for all parts of an attempt
   * @param attempt number of steps taken or skipped before this one, at least 0
   * @param lossScale what the loss is multiplied by before its gradient is taken, and the gradient
   *     divided by: the same for all parts of an attempt, a power of 2 in [1, 2^24]. It matters in
   *     float16 only
   * @param part number of the part, from 0
   * @param data what is trained on, the same everywhere
   * @return the gradient of this part, and its loss
   * @throws IllegalArgumentException if the data don't fit the network, there are not as many
   *     weights as it has, or the scale is none
   * @throws IndexOutOfBoundsException if there is no such part
   * @throws IllegalStateException after {@link #close}, or if the training is one of replicas
   */
  public PartGradient compute(
      ByteBuffer weights, long attempt, int lossScale, int part, Dataset data) {
    checkState(
        options.localSteps() == 0,
        "a training with local steps is one of replicas: call train, not compute");
    data.checkFits(graph.info());
    checkArgument(attempt >= 0, "attempt must be at least 0, got %s", attempt);
    LossScale.checkFactor(lossScale);
    checkArgument(
        weights.remaining() == (long) Float.BYTES * layout.size(),
        "there must be %s weights of 4 bytes, got %s bytes",
        layout.size(),
        weights.remaining());
    List<Part> parts = options.parts();
    Part asked = parts.get(checkElementIndex(part, parts.size(), "part"));
    Batches.Batch batch = Batches.part(asked, attempt, data, options, graph.info().classes() > 0);
    lockWith(weights, attempt);
    try {
      checkState(!closed, "the worker is closed");
      return graph.gradient(batch.images(), batch.labels(), asked, attempt, lossScale);
    } finally {
      weightsLock.readLock().unlock();
    }
  }

  /**
   * Trains one replica. An interrupt ends it before its next step. Replicas are trained one after
   * the other, each by all threads that TensorFlow has.
   *
   * @param round the same for all replicas
   * @param replica number of it, from 0
   * @param data what is trained on, the same everywhere
   * @return what the replica has come to at the end of the round, or at a step that is not finite
   * @throws CancellationException if this thread is interrupted
   * @throws IllegalArgumentException if the data don't fit the network, or there are not as many
   *     weights as it has
   * @throws IndexOutOfBoundsException if there is no such replica
   * @throws IllegalStateException after {@link #close}, or if the training has no local steps
   */
  public Replica train(Round round, int replica, Dataset data) {
    checkState(
        options.localSteps() > 0,
        "a training without local steps has no replicas: call compute, not train");
    data.checkFits(graph.info());
    localSteps.check(round.vectors());
    checkElementIndex(replica, options.parts().size(), "replica");
    weightsLock.writeLock().lock();
    try {
      checkState(!closed, "the worker is closed");
      return localSteps.train(round, replica, data, GradientWorker::checkNotInterrupted);
    } finally {
      weightsLock.writeLock().unlock();
    }
  }

  private static void checkNotInterrupted() {
    if (Thread.currentThread().isInterrupted()) {
      throw new CancellationException("the replica's training was interrupted");
    }
  }

  /** Takes the lock to read, with the weights of that attempt set. */
  private void lockWith(ByteBuffer weights, long attempt) {
    weightsLock.readLock().lock();
    while (current != attempt && !closed) {
      // Somebody may still compute with those of another attempt, for instance a task that was
      // given up.
      weightsLock.readLock().unlock();
      weightsLock.writeLock().lock();
      try {
        if (current != attempt && !closed) {
          current = -1;
          graph.set(Vector.WEIGHTS, weights.duplicate());
          current = attempt;
        }
        weightsLock.readLock().lock();
      } finally {
        weightsLock.writeLock().unlock();
      }
    }
  }

  /** Frees what it holds, when nobody computes any more. Closing twice does nothing. */
  @Override
  public void close() {
    weightsLock.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        graph.close();
      }
    } finally {
      weightsLock.writeLock().unlock();
    }
  }
}

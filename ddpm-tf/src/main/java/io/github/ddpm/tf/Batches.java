package io.github.ddpm.tf;

import com.google.common.base.Throwables;
import io.github.ddpm.tf.data.Dataset;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** The batches of a training in their order; each is made while the step before it is taken. */
final class Batches implements AutoCloseable {
  private final Dataset data;
  private final TrainingOptions options;
  private final boolean labeled;
  private final boolean shown;
  private long position;

  /** The next batch, if somebody makes it already. */
  private Optional<CompletableFuture<Batch>> next;

  /**
   * Starts making the first batch.
   *
   * @param labeled whether the network has labels
   * @param shown whether the pictures are wanted: whoever computes elsewhere reads them there
   * @param position batches that came before
   */
  Batches(Dataset data, TrainingOptions options, boolean labeled, boolean shown, long position) {
    this.data = data;
    this.options = options;
    this.labeled = labeled;
    this.shown = shown;
    this.position = position;
    this.next = Optional.of(make());
  }

  /** Pictures [n, height, width, channels] or none, and the labels, if the network has any. */
  @SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
  record Batch(FloatBuffer images, int[] labels) {}

  /**
   * Waits for the next batch.
   *
   * @param more whether to start making the one after it, which can be asked for in any case
   */
  Batch next(boolean more) {
    Batch batch;
    try {
      batch = next.orElseGet(this::make).join();
    } catch (CompletionException e) {
      // What the data threw says more than that it was thrown elsewhere.
      Throwables.throwIfUnchecked(e.getCause());
      throw e;
    }
    position++;
    next = more ? Optional.of(make()) : Optional.empty();
    return batch;
  }

  /** Waits until nobody reads the data any more. */
  @Override
  public void close() {
    next.ifPresent(made -> made.handle((batch, problem) -> batch).join());
  }

  /**
   * Reads one part of a batch.
   *
   * @param attempt batches that came before
   * @param labeled whether the network has labels
   */
  static Batch part(
      Part part, long attempt, Dataset data, TrainingOptions options, boolean labeled) {
    int[] batch = data.batch(attempt * options.batchSize(), options.batchSize(), options.seed());
    int[] indices = Arrays.copyOfRange(batch, part.from(), part.to());
    return new Batch(data.floats(indices), labeled ? data.labels(indices) : new int[0]);
  }

  private CompletableFuture<Batch> make() {
    int[] indices = data.batch(position * options.batchSize(), options.batchSize(), options.seed());
    return CompletableFuture.supplyAsync(
        () ->
            new Batch(
                shown ? data.floats(indices) : FloatBuffer.allocate(0),
                labeled ? data.labels(indices) : new int[0]));
  }
}

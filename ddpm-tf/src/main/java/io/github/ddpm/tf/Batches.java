package io.github.ddpm.tf;

import com.google.common.base.Throwables;
import io.github.ddpm.tf.data.Dataset;
import java.nio.FloatBuffer;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** The batches of a training in their order; each is made while the step before it is taken. */
final class Batches implements AutoCloseable {
  private final Dataset data;
  private final TrainingOptions options;
  private final boolean labeled;
  private long position;

  /** The next batch, if somebody makes it already. */
  private Optional<CompletableFuture<Batch>> next;

  /**
   * Starts making the first batch.
   *
   * @param labeled whether the network has labels
   * @param position batches that came before
   */
  Batches(Dataset data, TrainingOptions options, boolean labeled, long position) {
    this.data = data;
    this.options = options;
    this.labeled = labeled;
    this.position = position;
    this.next = Optional.of(make());
  }

  /** Pictures [n, height, width, channels], and the label of each, if the network has labels. */
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

  private CompletableFuture<Batch> make() {
    int[] indices = data.batch(position * options.batchSize(), options.batchSize(), options.seed());
    return CompletableFuture.supplyAsync(
        () -> new Batch(data.floats(indices), labeled ? data.labels(indices) : new int[0]));
  }
}

package io.github.ddpm.tf.data;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.hash.Hashing;
import java.util.Random;

/**
 * The order in which a number of pictures is visited, epoch after epoch; {@link Dataset#batch} says
 * what it depends on.
 */
final class EpochOrder {
  private final int size;

  /** The order of the epoch asked for last; a race only computes it twice. */
  private volatile Epoch epoch = new Epoch(0, -1, new int[0]);

  @SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
  private record Epoch(long seed, long number, int[] order) {}

  EpochOrder(int size) {
    this.size = size;
  }

  /** Does what {@link Dataset#batch} says. */
  int[] batch(long position, int count, long seed) {
    checkArgument(position >= 0, "position must be at least 0, got %s", position);
    checkArgument(count >= 1, "count must be at least 1, got %s", count);
    int[] batch = new int[count];
    int filled = 0;
    while (filled < count) {
      int[] order = order(seed, (position + filled) / size);
      int from = (int) ((position + filled) % size);
      int more = Math.min(count - filled, size - from);
      System.arraycopy(order, from, batch, filled, more);
      filled += more;
    }
    return batch;
  }

  private int[] order(long seed, long number) {
    Epoch current = epoch;
    if (current.seed != seed || current.number != number) {
      current = new Epoch(seed, number, shuffled(size, seed, number));
      epoch = current;
    }
    return current.order;
  }

  /**
   * Shuffles by Fisher-Yates with {@link Random}, whose numbers its documentation fixes for every
   * JDK.
   */
  private static int[] shuffled(int n, long seed, long number) {
    // Hashed, because Random's first numbers are alike for neighboring seeds.
    Random random =
        new Random(Hashing.murmur3_128().newHasher().putLong(seed).putLong(number).hash().asLong());
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }
}

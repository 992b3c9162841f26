package io.github.ddpm.tf;

import java.util.List;
import java.util.stream.IntStream;

/**
 * Those images of a batch that go through the network together.
 *
 * @param number of the part, from 0
 * @param from position of its first image in the batch
 * @param to position after its last
 * @param of how many images the batch has
 */
record Part(int number, int from, int to, int of) {
  /**
   * Divides a batch.
   *
   * @param count images in it
   * @param most images of a part, all but the last of which have so many; 0 for one part
   */
  static List<Part> of(int count, int most) {
    int size = most == 0 ? count : most;
    return IntStream.range(0, (count + size - 1) / size)
        .mapToObj(k -> new Part(k, k * size, Math.min(count, (k + 1) * size), count))
        .toList();
  }

  int size() {
    return to - from;
  }

  boolean isLast() {
    return to == of;
  }

  /** Returns how much of the batch's loss and gradient are this part's. */
  double share() {
    return (double) size() / of;
  }

  /**
   * Returns the number that its own randomness is a function of: each part draws its noise, so its
   * number goes above that of the draw. Timesteps are drawn for the whole batch.
   *
   * @param attempt steps taken or skipped before
   */
  long draws(long attempt) {
    return attempt + ((long) number << 48);
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * What all replicas begin with, and the steps that each takes before they are averaged; see {@link
 * TrainingOptions#withLocalSteps}.
 *
 * @param vectors the weights and both of Adam's moments, each numbers of float32 with the lower
 *     bytes first, from position to limit
 * @param taken steps taken before
 * @param skipped steps skipped before
 * @param total steps of the whole training; 0 while not known
 * @param steps of this round, at least 1
 * @param lossScale what a training in float16 multiplies the loss by before its gradient is taken,
 *     and divides the gradient by, in each of these steps; a power of 2 in [1, 2^24]
 */
public record Round(
    List<ByteBuffer> vectors, long taken, long skipped, long total, int steps, int lossScale) {
  /**
   * Takes the buffers as they are.
   *
   * @param vectors not copied, but for the list
   * @param taken at least 0
   * @param skipped at least 0
   * @param total 0, or above {@code taken}
   * @param steps at least 1
   * @param lossScale a power of 2 in [1, 2^24]
   * @throws IllegalArgumentException if a number is outside of its range
   */
  public Round {
    vectors = List.copyOf(vectors);
    checkArgument(
        taken >= 0 && skipped >= 0,
        "steps taken and skipped must be at least 0, got %s and %s",
        taken,
        skipped);
    checkArgument(
        total == 0 || total > taken, "total steps must be 0 or above %s, got %s", taken, total);
    checkArgument(steps >= 1, "steps of a round must be at least 1, got %s", steps);
    LossScale.checkFactor(lossScale);
  }
}

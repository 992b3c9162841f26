package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.tf.TrainingGraph.Outcome;

/**
 * What a training in float16 multiplies the loss by before gradients are taken, and divides them by
 * afterward, so that those of hidden images are not rounded to 0 (Micikevicius et al. 2018, "Mixed
 * Precision Training", section 3.2). It is found by trying, as PyTorch's {@code GradScaler} does,
 * from 2^16 on:
 *
 * <table>
 *   <caption>What a step does to it</caption>
 *   <tr><th>step</th><th>factor</th><th>steps</th></tr>
 *   <tr><td>taken</td><td>as it was</td><td>one more</td></tr>
 *   <tr><td>taken, the 2000th at this factor</td><td>doubled, up to 2^24</td><td>0</td></tr>
 *   <tr><td>its gradient is not finite</td><td>halved, down to 1</td><td>0</td></tr>
 *   <tr><td>its loss, which has no factor, is not finite</td><td>as it was</td><td>0</td></tr>
 * </table>
 *
 * <p>Steps of a round of replicas are taken or skipped as one, with one factor. All factors are
 * powers of 2, so that they cost no digits.
 *
 * @param factor a power of 2 in [1, 2^24]
 * @param steps taken in a row with it, in [0, 1999]
 */
record LossScale(int factor, int steps) {
  private static final int FIRST = 1 << 16;
  private static final int MOST = 1 << 24;
  private static final int STEPS_TO_DOUBLE = 2000;

  /** Checks the ranges. */
  LossScale {
    checkFactor(factor);
    checkArgument(
        steps >= 0 && steps < STEPS_TO_DOUBLE,
        "steps with a loss scale must be in [0, %s], got %s",
        STEPS_TO_DOUBLE - 1,
        steps);
  }

  /** Refuses a factor that is none. */
  static void checkFactor(long factor) {
    checkArgument(
        factor >= 1 && factor <= MOST && Long.bitCount(factor) == 1,
        "loss scale must be a power of 2 in [1, %s], got %s",
        MOST,
        factor);
  }

  /** Returns that of a training's first step; 1 where nothing is scaled. */
  static LossScale first(TrainingOptions options) {
    return new LossScale(options.scalesLoss() ? FIRST : 1, 0);
  }

  /**
   * Returns that of the next step, in float16.
   *
   * @param together steps that were taken or skipped as one
   */
  LossScale after(Outcome outcome, int together) {
    if (outcome.isFinite()) {
      return steps + together < STEPS_TO_DOUBLE
          ? new LossScale(factor, steps + together)
          : new LossScale(Math.min(MOST, 2 * factor), 0);
    }
    return new LossScale(isToBlame(outcome) ? factor / 2 : factor, 0);
  }

  /** Tells whether a lower factor may make finite what is not. */
  boolean isToBlame(Outcome outcome) {
    return !outcome.isFinite() && Double.isFinite(outcome.loss()) && factor > 1;
  }
}

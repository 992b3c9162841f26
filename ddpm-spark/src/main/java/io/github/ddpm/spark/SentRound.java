package io.github.ddpm.spark;

import io.github.ddpm.tf.Round;
import java.io.Serializable;

/**
 * A round of replicas on its way to executors.
 *
 * @param vectors as {@link Round#vectors}
 * @param taken steps taken before
 * @param skipped steps skipped before
 * @param total steps of the whole training; 0 while not known
 * @param steps of this round
 * @param lossScale of these steps
 */
@SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
record SentRound(byte[][] vectors, long taken, long skipped, long total, int steps, int lossScale)
    implements Serializable {

  static SentRound of(Round round) {
    return new SentRound(
        Bytes.of(round.vectors()),
        round.taken(),
        round.skipped(),
        round.total(),
        round.steps(),
        round.lossScale());
  }

  Round open() {
    return new Round(Bytes.buffers(vectors), taken, skipped, total, steps, lossScale);
  }
}

package io.github.ddpm.spark;

import io.github.ddpm.tf.Round;
import java.io.Serializable;

/** A round of replicas on its way to executors. */
@SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
record SentRound(byte[][] vectors, long taken, long skipped, long total, int steps)
    implements Serializable {

  static SentRound of(Round round) {
    return new SentRound(
        Bytes.of(round.vectors()), round.taken(), round.skipped(), round.total(), round.steps());
  }

  Round open() {
    return new Round(Bytes.buffers(vectors), taken, skipped, total, steps);
  }
}

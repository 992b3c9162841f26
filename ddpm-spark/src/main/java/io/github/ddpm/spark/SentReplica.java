package io.github.ddpm.spark;

import io.github.ddpm.tf.Replica;
import java.io.Serializable;

/**
 * A replica on its way back from an executor.
 *
 * @param vectors as {@link Replica#vectors}
 * @param loss of its images: their mean over the steps
 * @param norm of the last gradient
 * @param host of the executor
 * @param instructions that it computes with
 */
@SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
record SentReplica(byte[][] vectors, double loss, double norm, String host, String instructions)
    implements Serializable {

  static SentReplica of(Replica replica, String host, String instructions) {
    return new SentReplica(
        Bytes.of(replica.vectors()), replica.loss(), replica.norm(), host, instructions);
  }

  Replica open() {
    return new Replica(Bytes.buffers(vectors), loss, norm);
  }
}

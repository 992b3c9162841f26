package io.github.ddpm.tf;

import java.util.List;

/**
 * Has the replicas of a training trained by {@link GradientWorker workers}, wherever they are; see
 * {@link Trainer#trainReplicasBy}.
 */
@FunctionalInterface
public interface ReplicaSource {
  /**
   * Returns what the replicas have come to. Whatever this throws ends training with it, after the
   * last round that was finished.
   *
   * @param round for {@link GradientWorker#train}; its vectors are a copy, which nobody changes
   * @param replicas how many there are, numbered from 0
   * @return one for each, in their order
   */
  List<Replica> train(Round round, int replicas);
}

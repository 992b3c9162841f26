package io.github.ddpm.tf;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * What a replica has come to at the end of a {@link Round}. A step whose loss or gradient is not
 * finite ends its round: loss and norm are that step's then, and the vectors are of no use.
 *
 * @param vectors as those that the round began with
 * @param loss of its images: their mean over the steps
 * @param norm of the last gradient
 */
public record Replica(List<ByteBuffer> vectors, double loss, double norm) {
  /**
   * Takes the buffers as they are.
   *
   * @param vectors not copied, but for the list
   * @param loss any number; one that is not finite has the round skipped
   * @param norm any number; likewise
   */
  public Replica {
    vectors = List.copyOf(vectors);
  }
}

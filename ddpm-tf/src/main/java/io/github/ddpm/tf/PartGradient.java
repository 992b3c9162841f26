package io.github.ddpm.tf;

import static java.util.Objects.requireNonNull;

import java.nio.ByteBuffer;

/**
 * What a {@link GradientWorker} makes of one part of a batch.
 *
 * @param loss of the part's images: their mean
 * @param gradient the part's share in the gradient of the batch's loss by all weights: numbers of
 *     float32, the lower bytes first, from position to limit
 */
public record PartGradient(double loss, ByteBuffer gradient) {
  /**
   * Takes the buffer as it is.
   *
   * @param loss any number; one that is not finite has the step skipped
   * @param gradient not null; not copied
   */
  public PartGradient {
    requireNonNull(gradient, "gradient");
  }
}

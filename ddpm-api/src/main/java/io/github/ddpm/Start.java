package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

/**
 * What sampling starts from, in place of noise alone: {@code x = fromImages·image + fromNoise·z},
 * with z the noise that it would have started from. Image k of the request starts from image {@code
 * k mod images.count()}.
 *
 * @param images at least 1
 * @param fromImages their weight, such as √ᾱ at the first row
 * @param fromNoise the weight of the noise, such as √(1-ᾱ) there; at least 0
 */
public record Start(Images images, double fromImages, double fromNoise) {
  /**
   * Checks the ranges.
   *
   * @param images at least 1
   * @param fromImages finite
   * @param fromNoise finite, at least 0
   * @throws IllegalArgumentException if a value is outside of its range
   */
  public Start {
    requireNonNull(images, "images");
    checkArgument(images.count() > 0, "sampling needs an image to start from, got none");
    checkArgument(
        Double.isFinite(fromImages) && fromNoise >= 0 && Double.isFinite(fromNoise),
        "weights of what sampling starts from must be finite, got %s of images and %s of noise",
        fromImages,
        fromNoise);
  }
}

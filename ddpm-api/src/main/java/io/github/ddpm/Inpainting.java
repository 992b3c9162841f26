package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.FloatBuffer;

/**
 * Images of which a part is known: after each row, the known pixels are replaced by what they are
 * at its noise level, √ᾱ·image + √(1-ᾱ)·z (Lugmayr et al. 2022, "RePaint: Inpainting using
 * Denoising Diffusion Probabilistic Models", eq. 8), and after the last by themselves. Image k of
 * the request is image {@code k mod images.count()}.
 *
 * @param images at least 1; what they have where a pixel is to be drawn doesn't matter
 * @param mask of the same height and width, one for each of the images or one for all, of 1 channel
 *     or as many as they have; above 0, such as white, where a pixel is to be drawn, and at most 0,
 *     such as black, where it is known
 */
public record Inpainting(Images images, Images mask) {
  /**
   * Checks that both fit.
   *
   * @param images at least 1
   * @param mask of their height and width, with 1 channel or as many as they have, and 1 or as many
   *     as they are
   * @throws IllegalArgumentException if they don't
   */
  public Inpainting {
    checkArgument(images.count() > 0, "inpainting needs an image, got none");
    checkArgument(
        mask.height() == images.height() && mask.width() == images.width(),
        "the mask must be %sx%s as the images are, got %sx%s",
        images.height(),
        images.width(),
        mask.height(),
        mask.width());
    checkArgument(
        mask.channels() == 1 || mask.channels() == images.channels(),
        "the mask must have 1 channel or %s, as the images have, got %s",
        images.channels(),
        mask.channels());
    checkArgument(
        mask.count() == 1 || mask.count() == images.count(),
        "there must be one mask or one for each of %s images, got %s",
        images.count(),
        mask.count());
  }

  /**
   * Returns what is known of an image: its values, and where one is to be drawn, not a number.
   *
   * @param image around and around
   */
  float[] known(long image) {
    int one = (int) (image % images.count());
    int channels = images.channels();
    int pixels = images.height() * images.width();
    FloatBuffer values = images.values();
    FloatBuffer drawn = mask.values();
    int firstPixel = mask.count() == 1 ? 0 : one * pixels;
    float[] known = new float[pixels * channels];
    for (int i = 0; i < known.length; i++) {
      int channel = mask.channels() == 1 ? 0 : i % channels;
      boolean isDrawn = drawn.get((firstPixel + i / channels) * mask.channels() + channel) > 0;
      known[i] = isDrawn ? Float.NaN : values.get(one * known.length + i);
    }
    return known;
  }
}

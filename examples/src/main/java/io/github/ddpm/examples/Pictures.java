package io.github.ddpm.examples;

import com.google.common.primitives.Floats;
import io.github.ddpm.Images;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;

/** What is done to pictures here. */
final class Pictures {
  private Pictures() {}

  /** Returns all of them in one, in their order; they have one size. */
  static Images concat(List<Images> all) {
    Images first = all.get(0);
    return Images.of(
        all.stream().mapToInt(Images::count).sum(),
        first.height(),
        first.width(),
        first.channels(),
        Floats.concat(all.stream().map(Images::toArray).toArray(float[][]::new)));
  }

  /** Returns each of them. */
  static List<BufferedImage> each(Images images) {
    return IntStream.range(0, images.count()).mapToObj(images::toBufferedImage).toList();
  }

  /**
   * Returns the mask that a picture shows: itself, or, if it has alpha, one channel of the lightest
   * of its colors on black, so that what is transparent is below 0.
   */
  static Images mask(Images picture) {
    int channels = picture.channels();
    if (channels % 2 == 1) {
      return picture;
    }
    float[] values = picture.toArray();
    float[] mask = new float[values.length / channels];
    for (int i = 0; i < mask.length; i++) {
      int alpha = (i + 1) * channels - 1;
      float lightest = Floats.max(Arrays.copyOfRange(values, i * channels, alpha));
      mask[i] = (1 + lightest) * (1 + values[alpha]) / 2 - 1;
    }
    return Images.of(picture.count(), picture.height(), picture.width(), 1, mask);
  }

  /** Returns what of a picture stays, with gray where a mask is above 0. */
  static Images masked(Images image, Images mask) {
    float[] values = image.toArray();
    float[] hidden = mask.toArray();
    for (int i = 0; i < values.length; i++) {
      int at = i / image.channels() * mask.channels() + i % image.channels() % mask.channels();
      values[i] = hidden[at] > 0 ? 0 : values[i];
    }
    return Images.of(image.count(), image.height(), image.width(), image.channels(), values);
  }

  /** Returns the mean absolute difference of the values of as many pictures of one size. */
  static double difference(Images some, Images others) {
    float[] values = some.toArray();
    float[] other = others.toArray();
    double sum = 0;
    for (int i = 0; i < values.length; i++) {
      sum += Math.abs(values[i] - other[i]);
    }
    return sum / values.length;
  }

  /** Returns the bytes of a PNG file. */
  static byte[] png(BufferedImage picture) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ImageIO.write(picture, "png", bytes);
    return bytes.toByteArray();
  }
}

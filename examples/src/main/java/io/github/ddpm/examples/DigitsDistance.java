package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.examples.measures.Classified;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.FrechetDistance;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;

/**
 * The Fréchet distance of pictures from the digits of a training, in the features of the classifier
 * that the measures use. The floor is what other digits of the training get.
 */
final class DigitsDistance implements AutoCloseable {
  /** The distance falls with the number of pictures: only those of equal counts compare. */
  private static final int MOST_PICTURES = 1000;

  /** Chooses the digits that pictures are compared with. */
  private static final int CHOICE = 1;

  private final DigitClassifier classifier;
  private final Classified real;
  private final double floor;

  /**
   * Opens the classifier and shows it digits.
   *
   * @throws IllegalArgumentException if they are not 28x28 and gray, or fewer than 4
   */
  DigitsDistance(Dataset digits) throws IOException {
    if (digits.height() != 28 || digits.width() != 28 || digits.channels() != 1) {
      throw new IllegalArgumentException(
          "--measure-every needs 28x28 gray digits, which its classifier knows, got %dx%dx%d"
              .formatted(digits.height(), digits.width(), digits.channels()));
    }
    int count = Math.min(MOST_PICTURES, digits.size() / 2);
    if (count < 2) {
      throw new IllegalArgumentException(
          "--measure-every needs at least 4 digits, got " + digits.size());
    }
    classifier = DigitClassifier.load();
    try {
      Images shown = digits.images(digits.batch(0, 2 * count, CHOICE));
      real = classifier.classify(shown.slice(0, count));
      floor = of(shown.slice(count, 2 * count));
    } catch (RuntimeException e) {
      classifier.close();
      throw e;
    }
  }

  /** Returns how many pictures to measure. */
  int count() {
    return real.count();
  }

  /** Returns the distance of digits of the training from each other. */
  double floor() {
    return floor;
  }

  /** Returns the distance of pictures. */
  double of(Images pictures) {
    return FrechetDistance.between(classifier.classify(pictures).features(), real.features());
  }

  @Override
  public void close() {
    classifier.close();
  }
}

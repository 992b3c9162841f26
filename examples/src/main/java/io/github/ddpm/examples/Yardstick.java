package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.examples.measures.Classified;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.data.Dataset;

/**
 * What the digits of a study are measured by.
 *
 * @param real training images, as many as there are digits
 * @param floor what as many test images get
 */
record Yardstick(Classified real, Quality floor) {
  /** This seed decides which images stand for MNIST where not all do. */
  private static final long CHOICE = 0;

  /**
   * Refuses more digits than there are images to compare them with, or too few to compare, before
   * any is drawn.
   */
  static void check(int count, Dataset train, Dataset test) {
    int least = PrecisionRecall.NEIGHBORS + 1;
    int most = Math.min(train.size(), test.size());
    if (count < least || count > most) {
      throw new IllegalArgumentException(
          format("--count must be in [%d, %d], got %d", least, most, count));
    }
  }

  /** Classifies as many images as there are digits. */
  static Yardstick of(int count, Dataset train, Dataset test, DigitClassifier digits) {
    Classified real = digits.classify(train.images(train.batch(0, count, CHOICE)));
    Classified heldOut = digits.classify(test.images(test.batch(0, count, CHOICE)));
    return new Yardstick(real, Quality.of(heldOut, real));
  }
}

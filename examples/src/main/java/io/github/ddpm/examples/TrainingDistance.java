package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.Images;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.FeatureExtractor;
import io.github.ddpm.examples.measures.FeatureNetwork;
import io.github.ddpm.examples.measures.FrechetDistance;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/**
 * The Fréchet distance of pictures from those of a training, in the features of the classifier that
 * digits are measured by, or of a network that is named. The floor is what other pictures of the
 * training get.
 */
final class TrainingDistance implements AutoCloseable {
  /** The distance falls with the number of pictures: only those of equal counts compare. */
  private static final int MOST_PICTURES = 1000;

  /** Chooses the pictures that others are compared with. */
  private static final int CHOICE = 1;

  private final FeatureExtractor extractor;
  private final int count;
  private final FrechetDistance real;
  private final double floor;

  private TrainingDistance(FeatureExtractor extractor, Dataset data) {
    this.extractor = extractor;
    count = Math.min(MOST_PICTURES, data.size() / 2);
    if (count < 2) {
      throw new IllegalArgumentException(
          "--measure-every needs at least 4 pictures, got " + data.size());
    }
    int[] chosen = data.batch(0, 2 * count, CHOICE);
    real = FrechetDistance.from(extractor.features(data, Arrays.copyOf(chosen, count)));
    floor = real.of(extractor.features(data, Arrays.copyOfRange(chosen, count, 2 * count)));
  }

  /**
   * Opens what makes features, and shows it pictures of a training.
   *
   * @param network the folder of a SavedModel; none for the classifier of digits
   * @throws IOException if the network can't be used
   * @throws IllegalArgumentException if there are fewer than 4 pictures, or the classifier is meant
   *     and they are not 28x28 and gray
   */
  static TrainingDistance open(Optional<Path> network, Dataset data) throws IOException {
    if (network.isEmpty() && (data.height() != 28 || data.width() != 28 || data.channels() != 1)) {
      throw new IllegalArgumentException(
          "--measure-every without --features needs 28x28 gray digits, which its classifier knows, got %dx%dx%d"
              .formatted(data.height(), data.width(), data.channels()));
    }
    FeatureExtractor extractor =
        network.isEmpty() ? DigitClassifier.load() : FeatureNetwork.load(network.get());
    try {
      return new TrainingDistance(extractor, data);
    } catch (RuntimeException e) {
      extractor.close();
      throw e;
    }
  }

  /** Returns how many pictures to measure. */
  int count() {
    return count;
  }

  /** Returns the distance of pictures of the training from each other. */
  double floor() {
    return floor;
  }

  /** Returns the distance of pictures. */
  double of(Images pictures) {
    return real.of(extractor.features(pictures));
  }

  /** Says what is measured by what. */
  String inWords() {
    return format(
        "Fréchet distances are of %d pictures, by %s%s",
        count, extractor, few(count, extractor.dimensions()));
  }

  /** Returns what to say where there are no more pictures than dimensions; else nothing. */
  static String few(int count, int dimensions) {
    return count > dimensions
        ? ""
        : format(
            "; %,d pictures are too few for %,d dimensions (their covariance is singular), so the Fréchet distance is"
                + " large of real ones too: compare it with theirs alone",
            count, dimensions);
  }

  @Override
  public void close() {
    extractor.close();
  }
}

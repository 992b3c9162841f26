package io.github.ddpm.examples;

import io.github.ddpm.Spacing;
import io.github.ddpm.examples.measures.Quality;
import java.util.Locale;

/**
 * What was sampled in one way.
 *
 * @param setting the way
 * @param images how many
 * @param seconds it took
 * @param quality of the images
 */
record StudyCell(Setting setting, int images, double seconds, Quality quality) {
  String fileName() {
    return setting.fileName(images);
  }

  double secondsPerImage() {
    return seconds / images;
  }

  /** How the timesteps are spaced. */
  enum Spaced {
    TRAILING,
    LEADING,
    LINSPACE;

    Spacing of(int steps) {
      return switch (this) {
        case TRAILING -> Spacing.trailing(steps);
        case LEADING -> Spacing.leading(steps);
        case LINSPACE -> Spacing.linspace(steps);
      };
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * A way to sample.
   *
   * @param prediction what the model predicts, by which the study tells models
   * @param steps number of steps
   * @param eta share of DDPM's variance, in [0, 1]
   * @param spaced how the timesteps are spaced
   * @param clip whether estimates of the image are clipped to [-1, 1]
   */
  record Setting(String prediction, int steps, double eta, Spaced spaced, boolean clip) {
    /** The usual spacing and clipping. */
    static Setting of(String prediction, int steps, double eta) {
      return new Setting(prediction, steps, eta, Spaced.TRAILING, true);
    }

    /** What the files of so many images of it are called. */
    String fileName(int images) {
      return String.format(
          Locale.ROOT,
          "%s-%04d-%s-%s-%s-%d",
          prediction,
          steps,
          eta,
          spaced,
          clip ? "clip" : "free",
          images);
    }
  }
}

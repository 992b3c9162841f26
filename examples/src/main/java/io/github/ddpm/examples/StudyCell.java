package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Spacing;
import io.github.ddpm.examples.measures.Quality;
import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;

/**
 * A cell is what was sampled in one way.
 *
 * @param setting the way
 * @param images how many
 * @param seconds it took
 * @param quality of the images
 */
record StudyCell(Setting setting, int images, double seconds, Quality quality) {
  /**
   * A difference of so many standard errors is hardly chance, even between the best and the worst
   * of five.
   */
  static final double CERTAIN = 3;

  String fileName() {
    return setting.fileName(images);
  }

  /** Returns the kernel distance, by which settings are compared. */
  double kernel() {
    return quality.kernel().value();
  }

  /** Returns whether its kernel distance is larger than another's by more than chance explains. */
  boolean isWorseThan(StudyCell other) {
    return isWorseThan(other.quality);
  }

  /** Returns whether its kernel distance is larger than another's by more than chance explains. */
  boolean isWorseThan(Quality other) {
    double error = Math.hypot(quality.kernel().standardError(), other.kernel().standardError());
    return kernel() - other.kernel().value() > CERTAIN * error;
  }

  static StudyCell best(Collection<StudyCell> some) {
    return some.stream().min(Comparator.comparingDouble(StudyCell::kernel)).orElseThrow();
  }

  static StudyCell worst(Collection<StudyCell> some) {
    return some.stream().max(Comparator.comparingDouble(StudyCell::kernel)).orElseThrow();
  }

  double secondsPerImage() {
    return seconds / images;
  }

  /** Timesteps are spaced in one of these ways. */
  enum Spaced {
    TRAILING,
    LEADING,
    LINSPACE,
    /**
     * Timesteps are spaced by a square root, so that most steps go to where there is much noise.
     */
    ROOT,
    /** Timesteps are those of the model when it is asked for a number of steps. */
    OWN;

    Spacing of(int steps, ModelInfo model) {
      return switch (this) {
        case TRAILING -> Spacing.trailing(steps);
        case LEADING -> Spacing.leading(steps);
        case LINSPACE -> Spacing.linspace(steps);
        case ROOT -> Spacing.power(steps, 0.5);
        case OWN -> model.spacing(steps);
      };
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * A setting is a way to sample.
   *
   * @param prediction what the model predicts, by which the study tells models
   * @param steps number of steps
   * @param eta share of DDPM's variance, in [0, 1]
   * @param spaced how the timesteps are spaced
   * @param clip whether estimates of the image are clipped to [-1, 1]
   */
  record Setting(String prediction, int steps, double eta, Spaced spaced, boolean clip) {
    /** Returns a setting with the usual spacing and clipping. */
    static Setting of(String prediction, int steps, double eta) {
      return new Setting(prediction, steps, eta, Spaced.TRAILING, true);
    }

    String stepsInWords() {
      return steps == 1 ? "1 step" : steps + " steps";
    }

    /** Returns η for a table. One step is the last one, which adds no noise whatever η is. */
    String etaInWords() {
      return steps == 1 ? "any" : String.valueOf(eta);
    }

    /** Returns spacing and clipping in words. */
    String way() {
      return spaced + ", " + estimates();
    }

    String estimates() {
      return clip ? "clipped" : "free";
    }

    /** Returns what the files of so many images of it are called. */
    String fileName(int images) {
      return format(
          "%s-%04d-%s-%s-%s-%d", prediction, steps, eta, spaced, clip ? "clip" : "free", images);
    }
  }
}

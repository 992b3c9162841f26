package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.OptionalInt;

/**
 * How the network's output is moved away from what it is without a label: classifier-free guidance,
 * {@code out_null + w·(out_label - out_null)} (Ho and Salimans 2022, "Classifier-Free Diffusion
 * Guidance", with their w + 1 as ours).
 *
 * @param weight w; 1 is off
 * @param lowestSigma rows whose noise level σ = noise/signal is below this are not guided
 *     (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves Sample and
 *     Distribution Quality in Diffusion Models"); at least 0
 * @param highestSigma rows whose noise level is above this are not guided either; infinity is off
 * @param rescale share φ of the output that gets back, for each image, the standard deviation that
 *     it has with the label alone (Lin et al. 2024, "Common Diffusion Noise Schedules and Sample
 *     Steps are Flawed", section 3.4), in [0, 1]
 * @param nullLabel the class that stands for no label; empty for the null label of the model
 */
public record Guidance(
    double weight, double lowestSigma, double highestSigma, double rescale, OptionalInt nullLabel) {
  /** No guidance. */
  public static final Guidance NONE = of(1);

  /**
   * Checks the ranges.
   *
   * @param weight finite
   * @param lowestSigma at least 0
   * @param highestSigma at least {@code lowestSigma}; may be infinite
   * @param rescale in [0, 1]
   * @param nullLabel at least 0, or empty
   * @throws IllegalArgumentException if a value is outside of its range
   */
  public Guidance {
    checkArgument(Double.isFinite(weight), "guidance must be finite, got %s", weight);
    checkArgument(
        lowestSigma >= 0 && lowestSigma <= highestSigma,
        "noise levels of guidance must be at least 0 and rise, got %s and %s",
        lowestSigma,
        highestSigma);
    checkArgument(rescale >= 0 && rescale <= 1, "rescale must be in [0, 1], got %s", rescale);
    checkArgument(
        nullLabel.orElse(0) >= 0,
        "the class that stands for no label must be at least 0, got %s",
        nullLabel.orElse(0));
  }

  /**
   * {@return guidance of that weight at all noise levels}
   *
   * @param weight w, finite; 1 is off
   */
  public static Guidance of(double weight) {
    return new Guidance(weight, 0, Double.POSITIVE_INFINITY, 0, OptionalInt.empty());
  }

  /** Returns this guidance with another weight. */
  Guidance weighing(double other) {
    return new Guidance(other, lowestSigma, highestSigma, rescale, nullLabel);
  }

  /** Returns this guidance at these noise levels alone. */
  Guidance between(double lowest, double highest) {
    return new Guidance(weight, lowest, highest, rescale, nullLabel);
  }

  /** Returns this guidance with another share that is rescaled. */
  Guidance rescaled(double share) {
    return new Guidance(weight, lowestSigma, highestSigma, share, nullLabel);
  }

  /** Returns this guidance with a class that stands for no label. */
  Guidance withNullLabel(int label) {
    return new Guidance(weight, lowestSigma, highestSigma, rescale, OptionalInt.of(label));
  }

  /** Returns whether the network must be called with and without labels. */
  boolean isOn() {
    return weight != 1;
  }

  /** Returns whether it must be at a row. */
  boolean isOn(Step row) {
    double sigma = row.noise() / row.signal();
    return isOn() && sigma >= lowestSigma && sigma <= highestSigma;
  }
}

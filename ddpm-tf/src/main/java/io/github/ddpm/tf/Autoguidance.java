package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import java.nio.file.Path;

/**
 * Guides a model by a bad version of itself (Karras et al. 2024, "Guiding a Diffusion Model with a
 * Bad Version of Itself", section 4): with the same noisy image, timestep and label,
 *
 * <pre>{@code
 * out = w·out_model + (1 - w)·out_guide
 * }</pre>
 *
 * <p>A model that was trained less errs in the same way, only more, so that going on from its
 * answer through the model's leads to a better one, with labels and without. What is sampled is no
 * longer quite the distribution that was learned.
 *
 * @param guide folder of a model of the same pictures, classes, noise and prediction type, whose
 *     network may be smaller
 * @param weight w, at least 1; 1 is the model alone
 */
public record Autoguidance(Path guide, double weight) implements Distillation {
  /**
   * Checks the weight.
   *
   * @param guide a folder, not null
   * @param weight at least 1 and finite
   * @throws IllegalArgumentException if it is below 1 or not finite
   */
  public Autoguidance {
    requireNonNull(guide, "guide");
    checkArgument(
        weight >= 1 && Double.isFinite(weight),
        "the weight of autoguidance must be at least 1 and finite, got %s",
        weight);
  }
}

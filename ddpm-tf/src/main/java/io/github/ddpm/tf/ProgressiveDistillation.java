package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import io.github.ddpm.DistilledStep;
import java.nio.file.Path;

/**
 * Teaches a model to take one step of DDIM with η = 0 where its teacher takes several (Salimans and
 * Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models"): usually two, and then
 * the model teaches the next one, until few steps are left.
 *
 * <p>The model learns only the timesteps of its plan, and its folder says how many these are.
 *
 * @param teacher folder of a model of the same pictures, classes, noise and prediction type;
 *     usually the model to start from as well
 * @param steps n, the number of steps that the model is to take
 * @param teacherSteps the number of steps that the teacher takes: a multiple of n; if the teacher
 *     was distilled itself, the steps that it was distilled for
 * @param guidance weight w of classifier-free guidance, which the teacher is sampled with and the
 *     model learns along (Meng et al. 2023, "On Distillation of Guided Diffusion Models", with one
 *     fixed w): images with a label are what guidance makes of it, and the model is sampled without
 *     any; 1 is off
 * @param weighting how much an error weighs at each noise level
 */
public record ProgressiveDistillation(
    Path teacher, int steps, int teacherSteps, double guidance, Weighting weighting)
    implements Distillation {

  /**
   * Checks what can be told without the models.
   *
   * @param teacher a folder, not null
   * @param steps at least 1
   * @param teacherSteps whether it is such a multiple, {@link Trainer#distill} checks
   * @param guidance finite; 1 is off
   * @param weighting not null
   * @throws IllegalArgumentException if the number of steps is below 1, or the guidance not finite
   */
  public ProgressiveDistillation {
    requireNonNull(teacher, "teacher");
    requireNonNull(weighting, "weighting");
    checkArgument(steps >= 1, "steps must be at least 1, got %s", steps);
    checkArgument(Double.isFinite(guidance), "guidance must be finite, got %s", guidance);
  }

  /**
   * Halves the steps: the teacher takes two where the model is to take one.
   *
   * @param teacher folder of the model that teaches
   * @param steps n, the number of steps that the model is to take, at least 1; the teacher takes
   *     2·n
   */
  public ProgressiveDistillation(Path teacher, int steps) {
    this(teacher, steps, 2 * steps, 1, Weighting.TRUNCATED_SNR);
  }

  /**
   * {@return this with another folder for the teacher}
   *
   * @param folder of a model like the one that is to learn
   */
  public ProgressiveDistillation withTeacher(Path folder) {
    return new ProgressiveDistillation(folder, steps, teacherSteps, guidance, weighting);
  }

  /**
   * {@return this with a teacher that takes so many steps}
   *
   * @param number a multiple of the model's steps, such as twice as many
   */
  public ProgressiveDistillation withTeacherSteps(int number) {
    return new ProgressiveDistillation(teacher, steps, number, guidance, weighting);
  }

  /**
   * {@return this with guidance taught along}
   *
   * @param w finite; 1 is off, and others take a teacher with a null label
   */
  public ProgressiveDistillation withGuidance(double w) {
    return new ProgressiveDistillation(teacher, steps, teacherSteps, w, weighting);
  }

  /**
   * {@return this with another weighting}
   *
   * @param other how much an error weighs at each noise level; not null
   */
  public ProgressiveDistillation withWeighting(Weighting other) {
    return new ProgressiveDistillation(teacher, steps, teacherSteps, guidance, other);
  }

  /**
   * The weight of the squared error of the estimated image, by the signal-to-noise ratio snr = ᾱ/(1
   * - ᾱ) of a noise level (section 4). Neither is 0 where there is no signal.
   */
  public enum Weighting {
    /** max(snr, 1). */
    TRUNCATED_SNR {
      @Override
      double ofX0(double snr) {
        return Math.max(snr, 1);
      }
    },

    /** snr + 1, which weighs all errors of v alike. */
    SNR_PLUS_ONE {
      @Override
      double ofX0(double snr) {
        return snr + 1;
      }
    };

    abstract double ofX0(double snr);

    /** Returns the weight of the squared error of the network's output. */
    double of(DistilledStep step) {
      double snr = Math.pow(step.student().signal() / step.student().noise(), 2);
      return step.weight(ofX0(snr));
    }
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Spacing;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The commands that sample have this in common: how the steps are spaced. */
final class SpacingOption {
  @Option(
      names = "--spacing",
      description =
          "of --steps: ${COMPLETION-CANDIDATES}; default: the model's. karras and exponential space noise levels, the others timesteps")
  private Named spacing;

  @Option(
      names = "--spacing-exponent",
      description =
          "of Spacing.power, which spaces --steps, for instance 0.5: more of them where there is much noise; default: the model's")
  private Double exponent;

  /** A spacing has a name on the command line. */
  private enum Named {
    TRAILING,
    LEADING,
    LINSPACE,
    KARRAS,
    EXPONENTIAL;

    Spacing of(int steps) {
      return switch (this) {
        case TRAILING -> Spacing.trailing(steps);
        case LEADING -> Spacing.leading(steps);
        case LINSPACE -> Spacing.linspace(steps);
        case KARRAS -> Spacing.karras(steps);
        case EXPONENTIAL -> Spacing.exponential(steps);
      };
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * Returns the plan that was asked for, or none.
   *
   * @param steps null if it wasn't given
   */
  Optional<Spacing> of(Integer steps) {
    if (spacing != null && exponent != null) {
      throw new IllegalArgumentException(
          "--spacing " + spacing + " has no exponent: give it or --spacing-exponent, not both");
    }
    if (steps == null && (spacing != null || exponent != null)) {
      throw new IllegalArgumentException(
          (spacing == null ? "--spacing-exponent" : "--spacing")
              + " spaces --steps, which is missing");
    }
    if (spacing != null) {
      return Optional.of(spacing.of(steps));
    }
    return exponent == null ? Optional.empty() : Optional.of(Spacing.power(steps, exponent));
  }

  /** Returns the plan that was asked for, or the model's. */
  Spacing of(int steps, ModelInfo model) {
    return of(steps).orElseGet(() -> model.spacing(steps));
  }

  /** Returns what to say of that plan after its number of steps; nothing if it is as usual. */
  String inWords(int steps, ModelInfo model) {
    int timesteps = model.schedule().timesteps();
    double power = exponent != null ? exponent : steps == timesteps ? 1 : model.spacingExponent();
    double first = of(steps, model).timesteps(model.schedule())[0];
    String way =
        spacing != null
            ? " in " + spacing + " spacing"
            : power == 1 ? "" : " spaced by power " + power;
    return way + (first == timesteps - 1 ? "" : " from timestep " + first);
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Locale;
import picocli.CommandLine.Option;

/** The options that all commands have which draw pictures. */
final class SamplingOptions {
  /** Names of samplers, for {@link #sampler}. */
  static final String SAMPLERS = "ddim, ddpm or dpm-solver";

  @Option(
      names = "--labels",
      split = ",",
      description = "what to draw, such as 7 or 0,1,2; repeated as needed; default: anything")
  private int[] labels = {};

  @Option(
      names = "--guidance",
      defaultValue = "1",
      description = "how much more the labels weigh; 1 is off")
  private double guidance;

  @Option(
      names = "--precision",
      description = "float32 or bfloat16; by default the faster one on this machine")
  private Precision precision;

  @Option(
      names = "--spacing-exponent",
      description =
          "of Spacing.power, which spaces --steps, for instance 0.5: more of them where there is much noise; default: the model's")
  private Double spacingExponent;

  @Option(names = "--seed", description = "for the same pictures again; default: a new one")
  private Long seed;

  /**
   * The sampler of a name.
   *
   * @param names that the command knows
   * @param eta null if it wasn't given
   */
  static Sampler sampler(String name, String names, Double eta) {
    if (eta != null && !name.equals("ddim")) {
      throw new IllegalArgumentException("--eta is for --sampler ddim, got " + eta);
    }
    return switch (name) {
      case "ddim" -> Sampler.ddim(eta == null ? 0 : eta);
      case "ddpm" -> Sampler.ddpm();
      case "dpm-solver" -> Sampler.dpmSolver();
      default -> throw new IllegalArgumentException("--sampler must be " + names + ", got " + name);
    };
  }

  Predictor load(Path model) throws IOException {
    return precision == null ? Predictor.load(model) : Predictor.load(model, precision);
  }

  /** A sampler with these options; with its own number of steps if that is null. */
  Sampler applyTo(Sampler sampler, Integer steps) {
    if (seed == null) {
      seed = new SecureRandom().nextLong();
    }
    if (spacingExponent != null && steps == null) {
      throw new IllegalArgumentException("--spacing-exponent spaces --steps, which is missing");
    }
    Sampler configured = sampler.labels(labels).guidance(guidance).seed(seed);
    if (steps == null) {
      return configured;
    }
    return spacingExponent == null
        ? configured.steps(steps)
        : configured.spacing(Spacing.power(steps, spacingExponent));
  }

  /** Draws, writes, and says what it took since a time of {@link System#nanoTime}. */
  void draw(Sampler sampler, int count, Path out, long start) throws IOException {
    Commands.write(Bar.sample(sampler, count), out);
    System.out.printf(
        Locale.ROOT,
        "%s: %d pictures, seed %d, %.1f s%n",
        out,
        count,
        seed,
        (System.nanoTime() - start) / 1e9);
  }
}

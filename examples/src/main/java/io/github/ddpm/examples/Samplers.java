package io.github.ddpm.examples;

import io.github.ddpm.Sampler;

/** Commands know these samplers by name. */
final class Samplers {
  /** Messages and help list these names. */
  static final String NAMES = "ddim, ddpm or dpm-solver";

  private Samplers() {}

  /** Returns labels that ask for nothing: by the null label, or as the model draws them itself. */
  static int[] unasked(boolean byNullLabel) {
    return byNullLabel ? new int[] {Sampler.NULL_LABEL} : new int[0];
  }

  /**
   * Returns the sampler of a name.
   *
   * @param names that the command knows
   * @param eta null if it wasn't given
   */
  static Sampler of(String name, String names, Double eta) {
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
}

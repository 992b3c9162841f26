package io.github.ddpm.examples;

import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Sampler;
import java.util.AbstractList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Commands know these samplers by name. */
final class Samplers {
  /**
   * A sampler is a solver with two names.
   *
   * @param option its name on the command line
   * @param title its name in texts
   */
  record Named(String option, String title, NoiseScheduler solver) {}

  /** The first is the one that may be given an η. */
  static final List<Named> ALL =
      List.of(
          new Named("ddim", "DDIM", NoiseScheduler.ddim(0)),
          new Named("ddpm", "DDPM", NoiseScheduler.ddpm()),
          new Named("euler", "Euler's method", NoiseScheduler.euler()),
          new Named("heun", "Heun's method", NoiseScheduler.heun()),
          new Named("dpm-solver", "DPM-Solver++", NoiseScheduler.dpmSolver()),
          new Named("dpm-solver-3", "DPM-Solver++ of order 3", NoiseScheduler.dpmSolver(3)),
          new Named("dpm-solver-sde", "SDE-DPM-Solver++", NoiseScheduler.dpmSolverSde()),
          new Named("unipc", "UniPC", NoiseScheduler.uniPc()),
          new Named("unipc-3", "UniPC of order 3", NoiseScheduler.uniPc(3)),
          new Named("deis", "DEIS", NoiseScheduler.deis()),
          new Named("lms", "LMS", NoiseScheduler.lms()),
          new Named("plms", "PLMS", NoiseScheduler.plms()),
          new Named(
              "dpm-solver-singlestep",
              "DPM-Solver++, singlestep",
              NoiseScheduler.dpmSolverSinglestep()));

  private static final Named DDIM = ALL.get(0);

  private Samplers() {}

  /** Help lists these names, by {@code ${COMPLETION-CANDIDATES}}. */
  static final class Names extends AbstractList<String> {
    Names() {}

    @Override
    public String get(int index) {
      return ALL.get(index).option();
    }

    @Override
    public int size() {
      return ALL.size();
    }
  }

  /** Returns labels that ask for nothing: by the null label, or as the model draws them itself. */
  static int[] unasked(boolean byNullLabel) {
    return byNullLabel ? new int[] {Sampler.NULL_LABEL} : new int[0];
  }

  /**
   * Returns the sampler of a name.
   *
   * @param others names that the command knows beside those of {@link #ALL}
   * @param eta null if it wasn't given
   */
  static Sampler of(String option, Double eta, String... others) {
    Named named =
        ALL.stream()
            .filter(each -> each.option().equals(option))
            .findFirst()
            .orElseThrow(() -> unknown(option, others));
    if (eta != null && !named.equals(DDIM)) {
      throw new IllegalArgumentException("--eta is for --sampler ddim, got " + eta);
    }
    return eta == null ? Sampler.of(named.solver()) : Sampler.ddim(eta);
  }

  private static IllegalArgumentException unknown(String option, String... others) {
    String known =
        Stream.concat(Stream.of(others), new Names().stream()).collect(Collectors.joining(", "));
    return new IllegalArgumentException("--sampler must be one of " + known + ", got " + option);
  }

  /**
   * Returns the name of a sampler in texts, up to the number of its steps.
   *
   * @param eta null if it wasn't given
   */
  static String inWords(String option, Double eta) {
    for (Named each : ALL) {
      if (each.option().equals(option) && !each.equals(DDIM)) {
        return each.title() + " with";
      }
    }
    return DDIM.title() + " with η = " + (eta == null ? 0.0 : eta) + " and";
  }
}

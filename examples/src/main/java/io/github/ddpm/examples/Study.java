package io.github.ddpm.examples;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;

/** The studies in one. */
@Command(
    name = "study",
    mixinStandardHelpOptions = true,
    description = "Measures what solvers, numbers of steps and models do to digits.",
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} sampling --quick",
      "  ${COMMAND-FULL-NAME} solvers --count 2000"
    })
final class Study implements Callable<Integer> {
  private Study() {}

  /** Returns all studies in one. */
  static CommandSpec all() {
    return CommandSpec.forAnnotatedObject(new Study())
        .addSubcommand("sampling", Commands.named("sampling", new SamplingStudy()))
        .addSubcommand("few-steps", Commands.named("few-steps", new FewStepsStudy()))
        .addSubcommand("solvers", Commands.named("solvers", new SolverStudy()))
        .addSubcommand("convergence", Commands.named("convergence", new ConvergenceStudy()));
  }

  @Override
  public Integer call() {
    throw new IllegalArgumentException(
        "which study? sampling, few-steps, solvers or convergence; --help says what they do");
  }
}

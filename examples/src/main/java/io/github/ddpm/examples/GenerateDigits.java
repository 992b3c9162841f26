package io.github.ddpm.examples;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Draws pictures with a trained model. */
@Command(
    name = "GenerateDigits",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = "Draws pictures with a trained model.",
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --count 64 --seed 1",
      "  ${COMMAND-FULL-NAME} --model digits-4 --labels 7"
    })
public final class GenerateDigits extends GenerateCommand {
  @Option(
      names = "--model",
      description = "folder of the model, or the name of " + Commands.LIBRARY + "; default: digits")
  private Path model;

  @Option(
      names = "--sampler",
      defaultValue = "ddim",
      completionCandidates = Samplers.Names.class,
      description = "${COMPLETION-CANDIDATES}")
  private String sampler;

  @Option(
      names = "--eta",
      description = "share of DDPM's variance in DDIM, in [0, 1]; default: 0, deterministic")
  private Double eta;

  @Option(
      names = "--steps",
      description =
          "number of steps; default: those the model was distilled for, else 50 for ddim and euler, all for ddpm, 20 for the others")
  private Integer steps;

  GenerateDigits() {
    super(64, Path.of("digits.png"));
  }

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.drawing(new GenerateDigits(), args);
  }

  @Override
  public Integer call() throws IOException {
    return draw(model, Optional.of(Samplers.of(sampler, eta)), Optional.empty(), steps);
  }
}

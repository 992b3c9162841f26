package io.github.ddpm.examples;

import io.github.ddpm.Sampler;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Draws pictures with any model folder of diffusers, as its pipeline would. */
@Command(
    name = "GenerateImages",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Draws pictures with a model folder that diffusers or this library saved, as its pipeline would.")
public final class GenerateImages extends GenerateCommand {
  private static final String OWN = "own";

  @Option(names = "--model", required = true, description = "folder of the model")
  private Path model;

  @Option(
      names = "--sampler",
      defaultValue = OWN,
      completionCandidates = Samplers.Names.class,
      description =
          OWN + ", ${COMPLETION-CANDIDATES}; own is as the folder's scheduler_config.json says")
  private String sampler;

  @Option(
      names = "--steps",
      description =
          "number of steps; default: the pipeline's, 50 for ddim and euler, all for ddpm, 20 for the others")
  private Integer steps;

  GenerateImages() {
    super(16, Path.of("images.png"));
  }

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new GenerateImages(), args);
  }

  @Override
  public Integer call() throws IOException {
    Optional<Sampler> named =
        sampler.equals(OWN) ? Optional.empty() : Optional.of(Samplers.of(sampler, null, OWN));
    return draw(model, named, steps);
  }
}

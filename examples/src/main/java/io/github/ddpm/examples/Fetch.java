package io.github.ddpm.examples;

import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Downloads a model of a hub, and says where it is. */
@Command(
    name = "Fetch",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Downloads a model that diffusers saved from the hub of Hugging Face, unless it is there, and prints its folder.",
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} google/ddpm-cifar10-32",
      "  ${COMMAND-FULL-NAME} google/ddpm-cifar10-32 --revision main",
      "",
      "Environment variables, as in Python: HF_TOKEN for models that not everybody may have, HF_HUB_CACHE or HF_HOME"
          + " for where they are kept, HF_ENDPOINT for another hub, HF_HUB_OFFLINE=1 for what is there alone."
    })
public final class Fetch implements Callable<Integer> {
  @Parameters(paramLabel = "OWNER/NAME", description = "the model's name on the hub")
  private String name;

  @Option(
      names = "--revision",
      defaultValue = ModelOnHub.NEWEST,
      description = "branch, tag or commit; one that is downloaded already needs no network")
  private String revision;

  Fetch() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new Fetch(), args);
  }

  @Override
  public Integer call() throws IOException {
    System.out.println(ModelOnHub.fetch(name, revision));
    return 0;
  }
}

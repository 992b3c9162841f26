package io.github.ddpm.examples.soak;

import java.io.IOException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Runs the soak tests, each by its name. */
@Command(
    name = "Soak",
    mixinStandardHelpOptions = true,
    description =
        "Does to trainings, files and servers what happens to them in a year. Exits with 1 if anything was lost.",
    subcommands = {
      Kills.class,
      RandomKills.class,
      Power.class,
      DiskFull.class,
      ReadOnly.class,
      Flips.class,
      Readers.class,
      Two.class,
      Signals.class,
      Hostile.class,
      Serve.class,
      OpenClose.class,
      SmallHeap.class
    })
public final class Soak implements Runnable {
  @Spec private CommandSpec spec;

  private Soak() {}

  /** Run with {@code --help} for the list of tests. */
  public static void main(String... args) {
    System.exit(commandLine().execute(args));
  }

  private static CommandLine commandLine() {
    return new CommandLine(new Soak())
        .setExecutionExceptionHandler(
            (e, line, result) -> {
              if (!(e instanceof IOException)) {
                throw e;
              }
              System.err.println("error: " + e.getMessage());
              return CommandLine.ExitCode.USAGE;
            });
  }

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "which test? One of " + spec.subcommands().keySet() + ", or all");
  }

  /** Runs all of them, one after the other, at full size. */
  @Command(name = "all", description = "all of them in order, at full size: a day")
  int all() {
    int code = 0;
    for (String name : spec.subcommands().keySet()) {
      if (!name.equals("all")) {
        code = Math.max(code, commandLine().execute(name));
      }
    }
    return code;
  }
}

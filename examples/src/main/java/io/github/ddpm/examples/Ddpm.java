package io.github.ddpm.examples;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The commands of this module in one; its mains are doors to them. */
@Command(
    name = "ddpm",
    mixinStandardHelpOptions = true,
    description = "Trains diffusion models on pictures, and draws with them.",
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} generate --count 64 --out digits.png",
      "  ${COMMAND-FULL-NAME} train --data photos --out model"
    })
public final class Ddpm implements Callable<Integer> {
  @Spec private CommandSpec spec;

  private Ddpm() {}

  /** Runs a command; {@code --help} lists them. */
  public static void main(String... args) {
    Commands.main(all(), args);
  }

  /** Returns all commands in one. */
  static CommandSpec all() {
    return CommandSpec.forAnnotatedObject(new Ddpm())
        .addSubcommand("generate", Commands.named("generate", new GenerateImages()))
        .addSubcommand("train", Commands.named("train", new TrainImages()))
        .addSubcommand("train-digits", Commands.named("train-digits", new TrainMnist()))
        .addSubcommand("distill", Commands.named("distill", new DistillDigits()))
        .addSubcommand("edit", Commands.named("edit", new EditImages()))
        .addSubcommand("measure", Commands.named("measure", new MeasureQuality()))
        .addSubcommand("study", Study.all())
        .addSubcommand("fetch", Commands.named("fetch", new Fetch()))
        .addSubcommand("help", CommandSpec.forAnnotatedObject(new HelpCommand()));
  }

  /** Says what there is, to whoever names no command. */
  @Override
  public Integer call() {
    spec.commandLine().usage(System.err);
    return Commands.BAD_INPUT;
  }
}

package io.github.ddpm.examples;

import com.google.common.collect.ImmutableMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
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
  /** What makes the commands, by their names, in the order of help. */
  private static final Map<String, Supplier<CommandSpec>> COMMANDS =
      ImmutableMap.<String, Supplier<CommandSpec>>builder()
          .put("generate", () -> Commands.named("generate", new GenerateImages()))
          .put("train", () -> Commands.named("train", new TrainImages()))
          .put("train-digits", () -> Commands.named("train-digits", new TrainMnist()))
          .put("distill", () -> Commands.named("distill", new DistillDigits()))
          .put("edit", () -> Commands.named("edit", new EditImages()))
          .put("measure", () -> Commands.named("measure", new MeasureQuality()))
          .put("study", Study::all)
          .put("fetch", () -> Commands.named("fetch", new Fetch()))
          .put("help", () -> CommandSpec.forAnnotatedObject(new HelpCommand()))
          .build();

  private static final Set<String> DRAWING = Set.of("generate", "edit");

  @Spec private CommandSpec spec;

  private Ddpm() {}

  /** Runs a command; {@code --help} lists them. */
  public static void main(String... args) {
    String name = args.length == 0 ? "" : args[0];
    if (DRAWING.contains(name)) {
      Commands.loadAhead(args);
    }
    // To make all of them takes 0.3 s.
    Commands.main(
        COMMANDS.containsKey(name) && !name.equals("help") ? of(Set.of(name)) : all(), args);
  }

  /** Returns all commands in one. */
  static CommandSpec all() {
    return of(COMMANDS.keySet());
  }

  private static CommandSpec of(Set<String> names) {
    CommandSpec all = CommandSpec.forAnnotatedObject(new Ddpm());
    names.forEach(name -> all.addSubcommand(name, COMMANDS.get(name).get()));
    return all;
  }

  /** Says what there is, to whoever names no command. */
  @Override
  public Integer call() {
    spec.commandLine().usage(System.err);
    return Commands.BAD_INPUT;
  }
}

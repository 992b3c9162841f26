package io.github.ddpm.examples;

import com.google.common.base.CharMatcher;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** Runs the commands of this module. */
final class Commands {
  /** Help and messages list the models that come with the library by this. */
  static final String LIBRARY = "one in the library: digits, digits-4, digits-2 or digits-1";

  private static final List<String> NAMES = List.of("digits", "digits-4", "digits-2", "digits-1");

  /** The process ends with this code for what the user can mend: bad options, files or values. */
  static final int BAD_INPUT = 2;

  /** What stands above the examples in the help of a command. */
  static final String EXAMPLES = "%nExamples:%n";

  private static final List<String> HELP = List.of("-h", "--help", "-V", "--version");

  private Commands() {}

  /** Does what {@link #main} does for a command that draws, sooner. */
  static void drawing(Object command, String... args) {
    loadAhead(args);
    main(command, args);
  }

  /**
   * Begins to load TensorFlow while the arguments are read, which takes half as long, unless they
   * ask for help alone.
   */
  static void loadAhead(String... args) {
    if (Collections.disjoint(List.of(args), HELP)) {
      TensorFlowRuntime.loadAhead();
    }
  }

  /**
   * Runs a command and ends the process unless all went well.
   *
   * @param command a {@code Callable<Integer>} with annotations, or the specification of one
   */
  static void main(Object command, String... args) {
    int code = run(command, args);
    if (code != 0) {
      System.exit(code);
    }
  }

  /**
   * Runs a command. Bad input is one line on stderr.
   *
   * @param command as {@link #main} takes it
   * @return the exit code
   */
  static int run(Object command, String... args) {
    return line(command)
        .setParameterExceptionHandler((e, given) -> complain(withCommands(e)))
        .setExecutionExceptionHandler(
            (e, line, result) -> {
              if (e instanceof IOException
                  || e instanceof UncheckedIOException
                  || e instanceof IllegalArgumentException
                  || e instanceof IllegalStateException) {
                return complain(e);
              }
              throw e;
            })
        .execute(args);
  }

  /** Returns what reads a command's arguments. */
  static CommandLine line(Object command) {
    CommandLine line =
        new CommandLine(command)
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setUsageHelpAutoWidth(true);
    setVersion(line.getCommandSpec());
    return line;
  }

  private static void setVersion(CommandSpec command) {
    command.versionProvider(new Versions());
    command.subcommands().values().forEach(below -> setVersion(below.getCommandSpec()));
  }

  /**
   * Returns a command as one of several.
   *
   * @param name instead of that of its main
   */
  static CommandSpec named(String name, Callable<Integer> command) {
    return CommandSpec.forAnnotatedObject(command).name(name);
  }

  /** Formats numbers alike in every country. */
  static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  /** Refuses a folder that can't be written to, before work is put into what should go there. */
  static void checkWritable(Path folder) throws IOException {
    if (!Files.isDirectory(folder) || !Files.isWritable(folder)) {
      throw new IOException("can't write to " + folder + ": not a folder, or no permission");
    }
  }

  /** Refuses to write into a folder that is read from, by whatever links either is reached. */
  static void checkOutside(Path out, Path data) throws IOException {
    if (!Files.exists(data)) {
      // Whoever reads it says so.
      return;
    }
    Path real = out.toAbsolutePath().normalize();
    Path there = real;
    while (there != null && !Files.exists(there)) {
      there = there.getParent();
    }
    if (there != null) {
      real = there.toRealPath().resolve(there.relativize(real));
    }
    if (real.startsWith(data.toRealPath())) {
      throw new IllegalArgumentException(
          "--out must not be --data or below it, where its pictures would be learned from, got %s and %s"
              .formatted(out, data));
    }
  }

  /**
   * Opens a model that {@code --model} names.
   *
   * @param model its folder, the name of one in the library, or of one on a hub; null for {@code
   *     digits} in the library
   * @param precision null for the one that is fastest on this machine
   */
  static Predictor open(Path model, Precision precision) throws IOException {
    if (isInLibrary(model)) {
      String name = nameInLibrary(model);
      return precision == null ? Predictor.pretrained(name) : Predictor.pretrained(name, precision);
    }
    Path folder = ModelOnHub.local(model);
    checkThere(folder, ", or " + LIBRARY);
    return precision == null ? Predictor.load(folder) : Predictor.load(folder, precision);
  }

  /** Tells whether {@code --model} names none, or one in the library. */
  static boolean isInLibrary(Path model) {
    return model == null || (NAMES.contains(model.toString()) && !Files.exists(model));
  }

  /** Returns the name of one in the library. */
  static String nameInLibrary(Path model) {
    return model == null ? NAMES.get(0) : model.toString();
  }

  /**
   * Opens a network that {@code --model} names, which may have been saved alone.
   *
   * @param precision null for the one that is fastest on this machine
   */
  static Predictor open(
      Path model, BetaSchedule schedule, PredictionType prediction, Precision precision)
      throws IOException {
    Path folder = ModelOnHub.local(model);
    checkThere(folder, "");
    return precision == null
        ? Predictor.load(folder, schedule, prediction)
        : Predictor.load(folder, schedule, prediction, precision);
  }

  static void checkThere(Path model, String otherwise) {
    if (!Files.exists(model)) {
      throw new IllegalArgumentException(
          "--model must be a folder" + otherwise + ", got " + model + ": no such folder");
    }
  }

  /**
   * Writes a file whole or not at all, so that whoever reads it finds the old one or the new one.
   *
   * @param file replaced if it exists
   */
  static void replace(Path file, byte[] content) throws IOException {
    Path temporary = file.resolveSibling("." + file.getFileName() + ".tmp");
    try {
      Files.write(temporary, content);
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /**
   * Returns in one line what is wrong. An exception that keeps to the rules has one line; that of a
   * file that isn't there says only its name, and some errors of the Java runtime say nothing.
   */
  static String reason(Throwable e) {
    String kind = e.getClass().getSimpleName().replace("Exception", "");
    if (e.getMessage() == null) {
      return kind;
    }
    // A file's name may hold a line break, and worse.
    String message = CharMatcher.javaIsoControl().replaceFrom(e.getMessage(), ' ');
    boolean saysLittle = e instanceof Error || (e instanceof IOException && !message.contains(" "));
    return saysLittle ? kind + ": " + message : message;
  }

  /** Says which commands there are, where one is named that isn't. */
  private static Exception withCommands(ParameterException e) {
    CommandLine asked = e.getCommandLine();
    if (!(e instanceof UnmatchedArgumentException unmatched)
        || unmatched.isUnknownOption()
        || asked.getSubcommands().isEmpty()) {
      return e;
    }
    return new IllegalArgumentException(
        "%s has no command %s; it has %s"
            .formatted(
                asked.getCommandSpec().qualifiedName(),
                unmatched.getUnmatched().get(0),
                String.join(", ", asked.getSubcommands().keySet())));
  }

  private static int complain(Exception e) {
    System.err.println("error: " + reason(e));
    return BAD_INPUT;
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.Images;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;

/** Runs the commands of this module. */
final class Commands {
  /** Exit code for what the user can mend: bad options, files or values. */
  private static final int BAD_INPUT = 2;

  private Commands() {}

  /** Runs a command and ends the process unless all went well. */
  static void main(Callable<Integer> command, String... args) {
    int code = run(command, args);
    if (code != 0) {
      System.exit(code);
    }
  }

  /** Runs a command. Bad input is one line on stderr. */
  static int run(Callable<Integer> command, String... args) {
    return new CommandLine(command)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler((e, given) -> complain(e))
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

  /** Refuses a number of pictures or a file for them that can't be, before they are drawn. */
  static void checkPictures(int count, Path out) throws IOException {
    if (!out.toString().endsWith(".npy") && !out.toString().endsWith(".png")) {
      throw new IllegalArgumentException("--out must end in .png or .npy, got " + out);
    }
    if (count < 1) {
      throw new IllegalArgumentException("--count must be at least 1, got " + count);
    }
    checkWritable(out.toAbsolutePath().getParent());
  }

  /** Writes a grid or, as the file's name says, an array. */
  static void write(Images images, Path out) throws IOException {
    if (out.toString().endsWith(".npy")) {
      images.writeNpy(out);
    } else {
      images.writeGrid(out);
    }
  }

  /**
   * An exception that keeps to the rules has one line; a file that isn't there says only its name.
   */
  private static int complain(Exception e) {
    String kind =
        e instanceof IOException && e.getMessage() != null && !e.getMessage().contains(" ")
            ? e.getClass().getSimpleName().replace("Exception", "") + ": "
            : "";
    System.err.println("error: " + kind + e.getMessage());
    return BAD_INPUT;
  }
}

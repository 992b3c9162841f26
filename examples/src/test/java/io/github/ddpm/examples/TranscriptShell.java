package io.github.ddpm.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.ddpm.examples.Transcript.Command;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Runs the commands of a transcript by {@code sh}, in a folder whose home is called another way in
 * what they print.
 */
final class TranscriptShell implements Transcript.Shell, AutoCloseable {
  private static final String BACKGROUND = " &";

  private final Path home;
  private final String name;
  private final Path folder;
  private final Map<String, String> environment;
  private final List<Process> background = new ArrayList<>();

  /**
   * Prepares to run commands.
   *
   * @param home a folder that no transcript should name
   * @param name what a transcript calls it
   * @param folder where commands run
   * @param environment what is set for them, or unset if it is empty
   */
  TranscriptShell(Path home, String name, Path folder, Map<String, String> environment) {
    this.home = home;
    this.name = name;
    this.folder = folder;
    this.environment = environment;
  }

  @Override
  public List<String> run(Command command) throws IOException, InterruptedException {
    boolean stays = command.line().endsWith(BACKGROUND);
    String line =
        stays
            ? command.line().substring(0, command.line().length() - BACKGROUND.length())
            : command.line();
    Process process = start(line);
    List<String> printed = new ArrayList<>();
    boolean ended = false;
    try {
      if (stays) {
        background.add(process);
      }
      BufferedReader out = process.inputReader(UTF_8);
      int lines = stays ? 1 : Integer.MAX_VALUE;
      while (printed.size() < lines) {
        if (printed.size() == command.interruptedAfter()) {
          interrupt(process);
          printed.add(Transcript.interrupt());
        }
        String next = out.readLine();
        if (next == null) {
          ended = true;
          break;
        }
        // What the Java runtime says of its options is not the command's.
        if (!next.startsWith("Picked up ")) {
          printed.add(next.replace(home.toString(), name));
        }
      }
      // The shell that is interrupted too says so by its code.
      boolean mayFail = command.failed() || command.interruptedAfter() >= 0;
      if (stays ? ended : process.waitFor() != 0 && !mayFail) {
        throw new IOException(command.line() + ": " + String.join("\n", printed));
      }
      return printed;
    } finally {
      if (!stays) {
        process.destroy();
      }
    }
  }

  private Process start(String line) throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder("sh", "-c", line)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectInput(new File("/dev/null"));
    environment.forEach(
        (variable, value) -> {
          if (value.isEmpty()) {
            builder.environment().remove(variable);
          } else {
            builder.environment().put(variable, value);
          }
        });
    return builder.start();
  }

  /** Does what a terminal does on Ctrl-C. */
  private static void interrupt(Process process) throws IOException, InterruptedException {
    List<String> kill = new ArrayList<>(List.of("kill", "-INT"));
    Stream.concat(Stream.of(process.toHandle()), process.descendants())
        .forEach(each -> kill.add(String.valueOf(each.pid())));
    // It fails if a child has ended meanwhile, and tells the others nevertheless.
    new ProcessBuilder(kill).start().waitFor();
  }

  /** Ends what runs in the background. */
  @Override
  public void close() {
    for (Process process : background) {
      process.descendants().forEach(ProcessHandle::destroy);
      process.destroy();
    }
  }
}

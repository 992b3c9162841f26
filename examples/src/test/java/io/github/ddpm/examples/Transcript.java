package io.github.ddpm.examples;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A page in Markdown with blocks of the language {@code console}: commands after {@code $ }, and
 * what each printed. A line {@code ^C} is where somebody interrupted it.
 */
final class Transcript {
  private static final Pattern BLOCK =
      Pattern.compile("(?m)^```console\\n(.*?)^```$", Pattern.DOTALL);
  private static final Pattern COMMAND =
      Pattern.compile("^\\$ (.*)\\n((?:(?!\\$ ).*\\n)*)", Pattern.MULTILINE);

  private static final String INTERRUPT = "^C";

  private Transcript() {}

  /**
   * A command of a page.
   *
   * @param line as a shell takes it
   * @param output the lines that it printed
   */
  record Command(String line, List<String> output) {
    /** Returns after how many lines it is interrupted; -1 if it isn't. */
    int interruptedAfter() {
      return output.indexOf(INTERRUPT);
    }

    boolean failed() {
      return output.stream().anyMatch(printed -> printed.startsWith("error: "));
    }
  }

  /** Runs commands, one after the other. */
  interface Shell {
    /** Returns the lines that a command prints, with that of an interrupt if it has one. */
    List<String> run(Command command) throws IOException, InterruptedException;
  }

  /** Returns the commands of a page, in order. */
  static List<Command> commands(String page) {
    return BLOCK
        .matcher(page)
        .results()
        .flatMap(block -> COMMAND.matcher(block.group(1)).results())
        .map(Transcript::command)
        .toList();
  }

  /** Returns the page with what its commands print now. */
  static String again(String page, Shell shell) throws IOException, InterruptedException {
    StringBuilder text = new StringBuilder();
    Matcher block = BLOCK.matcher(page);
    int copied = 0;
    while (block.find()) {
      text.append(page, copied, block.start(1));
      List<MatchResult> commands = COMMAND.matcher(block.group(1)).results().toList();
      for (MatchResult each : commands) {
        Command command = command(each);
        text.append("$ ").append(command.line()).append('\n');
        shell.run(command).forEach(line -> text.append(line).append('\n'));
      }
      copied = block.end(1);
    }
    return text.append(page, copied, page.length()).toString();
  }

  private static Command command(MatchResult command) {
    return new Command(command.group(1), new ArrayList<>(command.group(2).lines().toList()));
  }

  static String interrupt() {
    return INTERRUPT;
  }
}

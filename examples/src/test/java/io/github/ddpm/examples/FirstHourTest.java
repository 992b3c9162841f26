package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import com.google.common.base.Splitter;
import io.github.ddpm.examples.Transcript.Command;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The transcript of a first hour is of the commands of today, and could be run again. */
class FirstHourTest {
  private static final Path DOCS = Path.of("../docs");
  private static final Pattern SAVED =
      Pattern.compile("^saved model at step (\\d+)(; --resume goes on)?$", Pattern.MULTILINE);

  private static String page;

  @TempDir Path folder;

  @BeforeAll
  static void read() throws IOException {
    page = Files.readString(DOCS.resolve("first-hour.md"));
  }

  static List<String> commands() {
    return Transcript.commands(page).stream().map(Command::line).toList();
  }

  @ParameterizedTest
  @MethodSource("commands")
  void itsCommandsAreOnesOfToday(String command) {
    List<String> words = new ArrayList<>(Splitter.on(' ').splitToList(command));
    words.removeIf("&"::equals);
    while (words.get(0).matches("[A-Z_]+=.*")) {
      words.remove(0);
    }
    String program = words.remove(0);
    if (program.equals("ddpm")) {
      Commands.line(Ddpm.all()).parseArgs(words.toArray(new String[0]));
    } else if (program.equals("java")) {
      String source = words.stream().filter(word -> word.endsWith(".java")).findFirst().get();
      assertThat(DOCS.resolve("first-hour").resolve(source)).isRegularFile();
    } else {
      assertThat(program).isIn("cp", "find", "ls");
    }
  }

  @Test
  void itsProgramsCompile() throws IOException {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "-Xlint:all",
                "-Xlint:-classfile",
                "-Werror",
                "-proc:none",
                "-d",
                folder.toString(),
                "-cp",
                System.getProperty("java.class.path")));
    try (Stream<Path> files = Files.list(DOCS.resolve("first-hour"))) {
      files.map(Path::toString).filter(file -> file.endsWith(".java")).forEach(arguments::add);
    }
    assertThat(arguments).anyMatch(argument -> argument.endsWith("Shapes.java"));
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    assertThat(compiler.run(null, null, null, arguments.toArray(new String[0]))).isZero();
  }

  @Test
  void itsLinksAndPicturesAreThere() throws IOException {
    List<String> links =
        Pattern.compile("\\]\\(([^)#]+)[^)]*\\)")
            .matcher(page)
            .results()
            .map((MatchResult link) -> link.group(1))
            .filter(link -> !link.startsWith("http"))
            .toList();
    assertThat(links)
        .contains("first-hour.png")
        .allSatisfy(link -> assertThat(DOCS.resolve(link)).exists());
    assertThat(ImageIO.read(DOCS.resolve("first-hour.png").toFile()).getWidth())
        .as("eight pictures of 24 pixels side by side")
        .isEqualTo(8 * 24 + 7 * 2);
  }

  @Test
  void itStopsGoesOnAndEnds() {
    List<MatchResult> saved = SAVED.matcher(page).results().toList();
    assertThat(saved).hasSize(2);
    assertThat(saved.get(0).group(2)).isNotNull();
    assertThat(saved.get(1).group(2)).isNull();
    assertThat(Integer.parseInt(saved.get(0).group(1)))
        .isLessThan(Integer.parseInt(saved.get(1).group(1)));
    assertThat(page)
        .contains("\n^C\n", "/home/you/")
        .doesNotContain("/tmp", "/root", System.getProperty("user.dir"));
  }

  @Test
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "it has no sh")
  void aPageIsRunAgain() throws Exception {
    String old =
        """
        Text.

        ```console
        $ echo one; echo two >&2
        other
        $ pwd
        $ echo there; exec sleep 60 &
        nothing
        ```
        More
        $ not a command
        ```console
        $ echo $GIVEN; echo 'error: no' ; exit 2
        error: some
        ```
        """;
    try (TranscriptShell shell =
        new TranscriptShell(folder.getParent(), "~", folder, Map.of("GIVEN", "given"))) {
      assertThat(Transcript.again(old, shell))
          .isEqualTo(
              """
              Text.

              ```console
              $ echo one; echo two >&2
              one
              two
              $ pwd
              ~/%s
              $ echo there; exec sleep 60 &
              there
              ```
              More
              $ not a command
              ```console
              $ echo $GIVEN; echo 'error: no' ; exit 2
              given
              error: no
              ```
              """
                  .formatted(folder.getFileName()));
      assertThatThrownBy(() -> Transcript.again("```console\n$ echo so; false\n```\n", shell))
          .isInstanceOf(IOException.class)
          .hasMessage("echo so; false: so");
    }
  }

  @Test
  @Timeout(60)
  @DisabledOnOs(value = OS.WINDOWS, disabledReason = "it has no sh")
  void aPageIsInterruptedWhereItWas() throws Exception {
    assumeFalse(StopSignalsTest.ignoresCtrlC());
    String command =
        "trap 'echo ended; exit 0' INT; echo one; echo two; while :; do sleep 0.1; done";
    try (TranscriptShell shell = new TranscriptShell(folder, "~", folder, Map.of())) {
      assertThat(shell.run(new Command(command, List.of("1", "2", "^C", "3"))))
          .containsExactly("one", "two", "^C", "ended");
    }
  }
}

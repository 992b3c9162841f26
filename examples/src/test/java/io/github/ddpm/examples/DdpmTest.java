package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Splitter;
import io.github.ddpm.examples.CommandsTest.Outcome;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.HelpCommand;

/** The one command line. */
class DdpmTest {
  @TempDir Path folder;

  /** Returns all that has a help of its own, as a user writes it. */
  static List<String> commands() {
    List<String> names = new ArrayList<>();
    collect(Commands.line(Ddpm.all()), names);
    return names;
  }

  private static void collect(CommandLine line, List<String> names) {
    if (!(line.getCommand() instanceof HelpCommand)) {
      names.add(line.getCommandSpec().qualifiedName());
      line.getSubcommands().values().forEach(each -> collect(each, names));
    }
  }

  @Test
  void hasTheCommands() {
    assertThat(commands())
        .contains(
            "ddpm generate",
            "ddpm train",
            "ddpm train-digits",
            "ddpm distill",
            "ddpm edit inpaint",
            "ddpm measure",
            "ddpm study sampling",
            "ddpm study few-steps",
            "ddpm study solvers",
            "ddpm study convergence",
            "ddpm fetch");
  }

  @ParameterizedTest
  @MethodSource("commands")
  void helpIsOfTheWidthAskedForWithTwoExamplesThatParse(String command) {
    CommandLine all = Commands.line(Ddpm.all());
    assertThat(all.isUsageHelpAutoWidth()).isTrue();
    CommandLine line = all;
    for (String name : Splitter.on(' ').split(command)) {
      line = name.equals("ddpm") ? line : line.getSubcommands().get(name);
    }
    assertThat(line.isUsageHelpAutoWidth()).isTrue();
    String help = line.setUsageHelpAutoWidth(false).setUsageHelpWidth(60).getUsageMessage();
    assertThat(help)
        .startsWith("Usage: " + command)
        .contains("--help", "--version")
        .doesNotContain("Default: []", "Default: null", "${");
    assertThat(help.lines()).allMatch(text -> text.length() <= 60);
    String wide = line.setUsageHelpWidth(100).getUsageMessage();
    List<String> examples =
        wide.lines().dropWhile(text -> !text.equals("Examples:")).skip(1).limit(2).toList();
    assertThat(examples).hasSize(2).allMatch(text -> text.startsWith("  " + command));
    for (String example : examples) {
      String[] words = example.strip().split(" ");
      all.parseArgs(List.of(words).subList(1, words.length).toArray(new String[0]));
    }
  }

  @Test
  void whoNamesNoCommandIsToldWhichThereAre() {
    Outcome nothing = run(Ddpm.all());
    assertThat(nothing.code()).isEqualTo(2);
    assertThat(nothing.err()).startsWith("Usage: ddpm").contains("generate", "train", "fetch");
    assertError(
        run(Ddpm.all(), "draw"),
        "ddpm has no command draw; it has generate, train, train-digits, distill, edit, measure, study, fetch, help");
    assertError(run(Ddpm.all(), "study", "all"), "ddpm study has no command all; it has sampling,");
    assertError(run(Ddpm.all(), "study"), "which study? sampling, few-steps,");
    assertError(run(Ddpm.all(), "generate", "--cuont=3"), "--cuont");
    assertThat(run(Ddpm.all(), "help", "fetch").out()).startsWith("Usage: ddpm fetch");
  }

  @ParameterizedTest
  @ValueSource(strings = {"--version", "generate --version", "study solvers -V"})
  void versionSaysWhatAReportNeeds(String arguments) {
    Outcome outcome = run(Ddpm.all(), arguments.split(" "));
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.out().lines())
        .satisfiesExactly(
            line -> assertThat(line).matches("ddpm \\d+\\.\\d+\\.\\d+(-SNAPSHOT)?"),
            line -> assertThat(line).startsWith("Java " + System.getProperty("java.version")),
            line -> assertThat(line).matches("TensorFlow \\d+\\.\\d+\\.\\d+"),
            line -> assertThat(line).matches("instructions [a-z0-9]+, \\d+ threads?"));
  }

  @Test
  void generateDrawsDigitsWhereNoModelIsNamed() throws Exception {
    Path ours = folder.resolve("ours.npy");
    Path digits = folder.resolve("digits.npy");
    Outcome outcome = run(Ddpm.all(), "generate", "--count=1", "--seed=1", "--out=" + ours);
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.err()).isEmpty();
    run(new GenerateDigits(), "--count=1", "--seed=1", "--out=" + digits);
    assertThat(ours).hasSameBinaryContentAs(digits);
    String eta = "generate --sampler=ddim --eta=1 --steps=2 --count=1 --seed=1 --out=" + digits;
    assertThat(run(Ddpm.all(), eta.split(" ")).code()).isZero();
    assertThat(Files.mismatch(ours, digits)).isNotNegative();
    assertError(
        run(Ddpm.all(), "generate", "--sampler=ddpm", "--eta=1", "--out=" + ours),
        "--eta is for --sampler ddim, got 1.0");
  }

  @Test
  void whoHasTrainedIsToldWhenDigitsAreDrawnInstead() throws Exception {
    String[] arguments = "generate --count=1 --steps=1 --out=x.png".split(" ");
    assertThat(errorsIn(folder, arguments)).isEmpty();
    Files.createDirectory(folder.resolve("model"));
    Files.createFile(folder.resolve("model/model_index.json"));
    assertThat(errorsIn(folder, arguments))
        .containsExactly(
            "warning: these are digits of the model in the library; --model model draws with the one in that folder");
  }

  /** Runs the command line in a folder; returns what it says on stderr. */
  private static List<String> errorsIn(Path folder, String... arguments) throws Exception {
    List<String> line = QuietStartTest.java();
    String path = System.getProperty("java.class.path");
    line.addAll(List.of("-cp", path, Ddpm.class.getName()));
    line.addAll(List.of(arguments));
    Path errors = folder.resolve("errors.txt");
    Process process =
        new ProcessBuilder(line)
            .directory(folder.toFile())
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(errors.toFile())
            .start();
    assertThat(process.waitFor()).as(Files.readString(errors)).isZero();
    return Files.readAllLines(errors).stream()
        .filter(said -> !said.startsWith("Picked up "))
        .toList();
  }

  /** They read them as those of the main, which has no name in them. */
  @Test
  void executorsAreSentTheArgumentsOfTheCommandAlone() {
    RecordingCluster.ARGUMENTS.clear();
    String arguments = "generate --spark=local --model=digits --count=2 --seed=1 --out=drawn";
    assertThat(run(Ddpm.all(), arguments.split(" ")).code()).isZero();
    assertThat(RecordingCluster.ARGUMENTS)
        .containsExactly(
            List.of(
                "--spark=local",
                "--model=digits",
                "--count=2",
                "--seed=1",
                "--out=drawn",
                "--seed",
                "1"));
  }

  @Test
  void helpAndErrorsAgreeOnChannels() {
    assertThat(run(Ddpm.all(), "train", "--help").out().replaceAll("\\s+", " "))
        .contains("multiples of 8");
    for (String channels : List.of("12,8", "9,8", "0,8")) {
      assertError(
          run(Ddpm.all(), "train", "--data=x", "--out=" + folder, "--channels=" + channels),
          "--channels must be multiples of 8, got " + channels.substring(0, channels.indexOf(',')));
    }
  }
}

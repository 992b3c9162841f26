package io.github.ddpm.examples;

import com.google.common.base.Splitter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Command lines of a page are read as the commands read them, and not run. */
final class DocCommands {
  private static final String PACKAGE = "io.github.ddpm.examples.";
  private static final String USUAL = PACKAGE + "GenerateDigits";

  /** Profiles have a main of their own. */
  private static final Map<String, String> MAINS =
      Map.of("bench", PACKAGE + "bench.Benchmark", "soak", PACKAGE + "soak.Soak");

  private static final Pattern TOKEN = Pattern.compile("(?:\"[^\"]*\"|'[^']*'|[^\\s\"'])+");
  private static final Pattern SUBMIT = Pattern.compile("--class (\\S+) \\S+\\.jar(.*)");
  private static final Pattern DDPM = Pattern.compile("(?:\\S*/)?ddpm +(.*)");

  private DocCommands() {}

  /** Tells whether a line is a command that is looked at here. */
  static boolean isCommand(String line) {
    return line.matches("(mvn|\\./mvnw|sh|spark-submit) .*") || DDPM.matcher(line).matches();
  }

  /**
   * Checks a command line.
   *
   * @throws IllegalArgumentException if it can't be run as it stands there; the message says why
   */
  static void check(String line) throws IOException {
    Matcher ddpm = DDPM.matcher(line);
    if (line.startsWith("mvn ") || line.startsWith("./mvnw ")) {
      checkMaven(tokens(line));
    } else if (line.startsWith("sh ")) {
      checkScript(tokens(line));
    } else if (ddpm.matches()) {
      parse(new CommandLine(Ddpm.all()), tokens(ddpm.group(1)));
    } else {
      Matcher submit = SUBMIT.matcher(line);
      if (submit.find()) {
        checkMain(submit.group(1), submit.group(2));
      }
    }
  }

  private static void checkMaven(List<String> tokens) throws IOException {
    String main = "";
    String arguments = "";
    List<String> profiles = new ArrayList<>();
    for (int i = 1; i < tokens.size(); i++) {
      String token = tokens.get(i);
      String value = token.replaceFirst("^[^=]*=", "");
      if (token.startsWith("-Dexec.mainClass=")) {
        main = value;
      } else if (token.startsWith("-Dexec.args=")) {
        arguments = value;
      } else if (token.startsWith("-Dtest=")) {
        checkTest(value.replaceFirst("#.*", ""));
      } else if (token.startsWith("-P")) {
        profiles.addAll(Splitter.on(',').splitToList(token.substring(2)));
      } else if (token.equals("-pl")) {
        checkModules(tokens.get(++i));
      }
    }
    for (String profile : profiles) {
      checkProfile(profile);
    }
    if (tokens.contains("exec:java")) {
      String usual =
          profiles.stream().map(MAINS::get).filter(x -> x != null).findFirst().orElse(USUAL);
      checkMain(main.isEmpty() ? usual : main, arguments);
    }
  }

  private static void checkTest(String name) throws IOException {
    require(
        Sources.files().stream().anyMatch(file -> file.endsWith(name + ".java")),
        "there is no test " + name);
  }

  private static void checkModules(String modules) {
    for (String module : Splitter.on(',').split(modules)) {
      require(Files.exists(Page.ROOT.resolve(module).resolve("pom.xml")), "no module " + module);
    }
  }

  private static void checkProfile(String profile) throws IOException {
    boolean found = false;
    for (Path module : Sources.modules()) {
      found |= Files.readString(module.resolve("pom.xml")).contains("<id>" + profile + "</id>");
    }
    require(found, "there is no profile " + profile);
  }

  private static void checkScript(List<String> tokens) {
    Path script = Page.ROOT.resolve(tokens.get(1));
    require(Files.isRegularFile(script), "there is no script " + tokens.get(1));
    if (script.endsWith("on-spark.sh")) {
      parse(command(PACKAGE + tokens.get(2)), tokens.subList(3, tokens.size()));
    }
  }

  private static void checkMain(String main, String arguments) throws IOException {
    if (arguments.contains("…")) {
      // What goes there is said elsewhere.
      sourceOf(main);
    } else if (main.startsWith(PACKAGE + "bench.") || main.startsWith(PACKAGE + "soak.")) {
      checkNames(sourceOf(main), tokens(arguments));
    } else {
      parse(command(main), tokens(arguments));
    }
  }

  private static Path sourceOf(String main) throws IOException {
    return Sources.files().stream()
        .filter(file -> file.endsWith(main.replace('.', '/') + ".java"))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("there is no main " + main));
  }

  /** Commands of profiles are not compiled here: only the names of their options are looked at. */
  private static void checkNames(Path source, List<String> arguments) throws IOException {
    StringBuilder texts = new StringBuilder();
    try (Stream<Path> files = Files.list(source.getParent())) {
      for (Path file : files.toList()) {
        texts.append(Files.readString(file));
      }
    }
    for (String argument : arguments) {
      require(
          !argument.startsWith("--")
              || argument.equals("--help")
              || texts.indexOf('"' + argument + '"') >= 0,
          "there is no option " + argument);
    }
  }

  /** Checks arguments of the usual main, or of one of its profile. */
  static void checkArguments(String arguments) throws IOException {
    if (arguments.startsWith("--")) {
      parse(command(USUAL), tokens(arguments));
    } else {
      String name = tokens(arguments).get(0);
      require(
          Sources.java(file -> file.contains("/src/soak/")).has("\"" + name + "\""),
          "there is no soak test " + name);
    }
  }

  /** Returns what reads the arguments of a main of this module. */
  static CommandLine command(String main) {
    try {
      var constructor = Class.forName(main).getDeclaredConstructor();
      constructor.setAccessible(true);
      return Commands.line(constructor.newInstance());
    } catch (ReflectiveOperationException e) {
      throw new IllegalArgumentException("there is no main " + main, e);
    }
  }

  /** Reads arguments as a command does; some values are only looked at when it runs. */
  static void parse(CommandLine command, List<String> arguments) {
    try {
      command.setCaseInsensitiveEnumValuesAllowed(true).parseArgs(arguments.toArray(new String[0]));
    } catch (ParameterException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  /** Splits a line as a shell does. */
  static List<String> tokens(String line) {
    return TOKEN
        .matcher(line)
        .results()
        .map(token -> token.group().replaceAll("[\"']", ""))
        .takeWhile(token -> !Set.of("|", "&", "&&", ">", ";").contains(token))
        .toList();
  }

  /** Returns the names of all options of all commands. */
  static Set<String> options() throws IOException {
    Set<String> names = new HashSet<>();
    addOptions(Ddpm.all(), names);
    addOptions(CommandSpec.forAnnotatedObject(command(USUAL).getCommand()), names);
    addOptions(
        CommandSpec.forAnnotatedObject(command(PACKAGE + "TrainClassifier").getCommand()), names);
    Sources others =
        Sources.java(file -> file.contains("/src/soak/") || file.contains("/src/bench/"));
    names.addAll(others.find("\"(--[a-z-]+)\""));
    return names;
  }

  private static void addOptions(CommandSpec command, Set<String> names) {
    names.addAll(command.optionsMap().keySet());
    Map<String, CommandLine> below = new HashMap<>(command.subcommands());
    below.values().forEach(each -> addOptions(each.getCommandSpec(), names));
  }

  private static void require(boolean right, String problem) {
    if (!right) {
      throw new IllegalArgumentException(problem);
    }
  }
}

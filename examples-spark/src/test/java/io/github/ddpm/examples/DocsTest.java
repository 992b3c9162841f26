package io.github.ddpm.examples;

import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

/**
 * What the pages say is so: their code compiles, their commands are understood, their links lead
 * somewhere, and what they quote and list is in the sources.
 */
class DocsTest {
  /** Options of programs that are not ours. */
  private static final Set<String> OF_OTHERS =
      Set.of(
          "--add-opens",
          "--avx2",
          "--class",
          "--conf",
          "--cores",
          "--cpus",
          "--driver-java-options",
          "--enable-native-access",
          "--gpus",
          "--host",
          "--logdir",
          "--master",
          "--memory",
          "--port",
          "--read-only",
          "--sun-misc-unsafe-memory-access",
          "--tmpfs");

  private static Sources sources;
  private static Set<String> options;

  @BeforeAll
  static void read() throws IOException {
    sources = Sources.main();
    options = DocCommands.options();
  }

  static Stream<Page> pages() throws IOException {
    return Page.all().stream();
  }

  @Test
  void itsJavaCompiles(@TempDir Path folder) throws IOException {
    DocCode code = new DocCode();
    for (Page page : Page.all()) {
      page.blocks("java").forEach(block -> code.add(page, block));
    }
    assertThat(code.size()).isGreaterThan(10);
    assertThat(code.compile(folder)).isEmpty();
  }

  @ParameterizedTest
  @MethodSource("pages")
  void itsCommandsAreUnderstood(Page page) {
    List<String> problems = new ArrayList<>();
    for (String line : page.codeLines()) {
      if (DocCommands.isCommand(line)) {
        check(line, () -> DocCommands.check(line), problems);
      } else if (isOfEditImages(line)) {
        check(line, () -> DocCommands.check("ddpm edit " + line), problems);
      }
    }
    for (String span : page.spans()) {
      if (span.startsWith("mvn ")) {
        check(span, () -> DocCommands.check(span), problems);
      }
    }
    for (Page.Table table : page.tables()) {
      if (table.header().get(0).equals("`-dexec.args`")) {
        for (String cell : table.column(0)) {
          String arguments = Page.spans(cell).get(0);
          check(arguments, () -> DocCommands.checkArguments(arguments), problems);
        }
      }
    }
    assertThat(problems).isEmpty();
  }

  private interface Check {
    void run() throws IOException;
  }

  private static void check(String line, Check check, List<String> problems) {
    try {
      check.run();
    } catch (IOException | IllegalArgumentException e) {
      problems.add(line + ": " + e.getMessage());
    }
  }

  private static boolean isOfEditImages(String line) {
    return line.matches("(vary|invert|between|inpaint|denoise) --.*");
  }

  @ParameterizedTest
  @MethodSource("pages")
  void itsOptionsExist(Page page) {
    List<String> named =
        Stream.concat(page.spans().stream(), page.codeLines().stream())
            .flatMap(
                code -> Pattern.compile("(?<![\\w-])--[a-z][a-z0-9-]*").matcher(code).results())
            .map(MatchResult::group)
            .toList();
    assertThat(named)
        .filteredOn(option -> !options.contains(option) && !OF_OTHERS.contains(option))
        .isEmpty();
  }

  @ParameterizedTest
  @MethodSource("pages")
  void itsLinksLeadSomewhere(Page page) throws IOException {
    List<String> broken = new ArrayList<>();
    for (String link : page.links()) {
      if (!link.matches("https?:.*") && !leadsSomewhere(page, link)) {
        broken.add(link);
      }
    }
    assertThat(broken).isEmpty();
  }

  private static boolean leadsSomewhere(Page page, String link) throws IOException {
    String[] parts = link.split("#", 2);
    Path file = parts[0].isEmpty() ? page.file() : page.file().resolveSibling(parts[0]).normalize();
    return Files.exists(file)
        && (parts.length == 1 || Page.read(file).anchors().contains(parts[1]));
  }

  /** What is to be depended on is there, in the version of this build. */
  @ParameterizedTest
  @MethodSource("pages")
  void itsDependenciesAreThese(Page page) throws Exception {
    List<String> named =
        new ArrayList<>(page.find("(io\\.github\\.ddpm|org\\.tensorflow):[\\w-]+:[\\w.-]*\\w"));
    for (String block : page.blocks("xml")) {
      Element xml =
          DocumentBuilderFactory.newInstance()
              .newDocumentBuilder()
              .parse(new InputSource(new StringReader("<xml>" + block + "</xml>")))
              .getDocumentElement();
      NodeList dependencies = xml.getElementsByTagName("dependency");
      for (int i = 0; i < dependencies.getLength(); i++) {
        Element dependency = (Element) dependencies.item(i);
        named.add(
            Stream.of("groupId", "artifactId", "version")
                .map(dependency::getElementsByTagName)
                .map(found -> found.getLength() == 0 ? "" : found.item(0).getTextContent())
                .collect(joining(":")));
      }
    }
    String pom = Files.readString(Page.ROOT.resolve("pom.xml"));
    String own = first(pom, "<artifactId>ddpm-parent</artifactId>\\s*<version>([^<]*)");
    String tensorflow = first(pom, "<tensorflow.version>([^<]*)");
    List<String> allowed = new ArrayList<>();
    for (Path module : Sources.modules()) {
      String text = Files.readString(module.resolve("pom.xml"));
      // Its own is the first after that of its parent.
      String artifact =
          first(text.substring(Math.max(0, text.indexOf("</parent>"))), "<artifactId>([^<]*)");
      // Where a BOM says it, there is no version; where it is published, no snapshot.
      for (String version : List.of(own, own.replace("-SNAPSHOT", ""), "")) {
        allowed.add("io.github.ddpm:" + artifact + ":" + version);
      }
    }
    allowed.add("org.tensorflow:tensorflow-core-native:" + tensorflow);
    assertThat(named).isSubsetOf(allowed);
  }

  private static String first(String text, String pattern) {
    return Pattern.compile(pattern)
        .matcher(text)
        .results()
        .findFirst()
        .map(match -> match.group(1))
        .orElse("");
  }

  /** A bar in a cell, or a cell that is missing, moves all that follow. */
  @ParameterizedTest
  @MethodSource("pages")
  void itsTablesAreWhole(Page page) {
    for (Page.Table table : page.tables()) {
      assertThat(table.rows()).allSatisfy(row -> assertThat(row).hasSameSizeAs(table.header()));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"troubleshooting.md", "diffusers.md"})
  void itsMessagesAreOurs(String name) throws IOException {
    List<String> messages = new ArrayList<>();
    for (Page.Table table : Page.of(name).tables()) {
      for (int column = 0; column < table.header().size(); column++) {
        if (table.header().get(column).contains("message")) {
          table.column(column).forEach(cell -> messages.addAll(Page.spans(cell)));
        }
      }
    }
    assertThat(messages).hasSizeGreaterThan(30);
    assertThat(messages).filteredOn(message -> !sources.hasMessage(message)).isEmpty();
  }

  @Test
  void thePageOfDiffusersHasEachSettingThatIsRead() throws IOException {
    Sources reading =
        Sources.java(
            file ->
                file.matches(
                    ".*/tf/files/(UNetJson|SchedulerJson|SchedulerClass|PipelinePlans|BlockTypes)\\.java"));
    List<String> settings = reading.find("\"(_?[a-z]+(?:_[a-z0-9]+)+)\"");
    assertThat(settings)
        .contains("act_fn", "use_lu_lambdas", "_label_counts")
        .hasSizeGreaterThan(60);
    Page page = Page.of("diffusers.md");
    assertThat(settings).filteredOn(setting -> !page.text().contains(setting)).isEmpty();
    assertThat(page.find("`_?[a-z]+(_[a-z0-9]+)+`"))
        .filteredOn(span -> !sources.has(span.replace("`", "")))
        .isEmpty();
    assertThat(reading.find("(?m)^  [A-Z_]+\\(\"(\\w+)\", PipelinePlans"))
        .hasSize(11)
        .allMatch(kind -> page.text().contains("| `" + kind + "Scheduler` |"));
  }

  @Test
  void thePageOfDiffusersHasEachVariableOfAHub() throws IOException {
    Sources hub = Sources.java(file -> file.endsWith("/net/HubSettings.java"));
    assertThat(Page.of("diffusers.md").find("(?m)(?<=^\\| `)[A-Z_]+(?=` \\|)"))
        .containsExactlyInAnyOrderElementsOf(hub.find("get\\(variable, \"([A-Z_]+)\"\\)"));
  }

  @Test
  void theGuideHasEachSampler() throws IOException {
    List<String> named =
        Page.of("guide.md").tables().stream()
            .filter(table -> table.header().contains("`--sampler`"))
            .flatMap(table -> table.column(table.header().indexOf("`--sampler`")).stream())
            .flatMap(cell -> Page.spans(cell).stream())
            .toList();
    assertThat(named)
        .containsExactlyInAnyOrderElementsOf(
            Samplers.ALL.stream().map(Samplers.Named::option).toList());
  }

  @Test
  void thePageOfProductionHasEachProperty() throws IOException {
    Sources library = Sources.java(file -> file.contains("ddpm-tf/src/main/"));
    List<String> properties =
        library.find("\"(io\\.github\\.ddpm\\.(?:tf\\.)?[a-z]+)\"").stream()
            .filter(property -> !property.matches("io\\.github\\.ddpm\\.tf(\\.loaders)?"))
            .distinct()
            .toList();
    assertThat(properties).hasSizeGreaterThan(4);
    Page page = Page.of("production.md");
    assertThat(properties)
        .filteredOn(property -> !page.text().contains("| `" + property + "` |"))
        .isEmpty();
  }
}

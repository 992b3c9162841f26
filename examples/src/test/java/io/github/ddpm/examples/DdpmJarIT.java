package io.github.ddpm.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The jar and the launcher of the profile {@code cli}. */
@Timeout(300)
class DdpmJarIT {
  private static final Path JAR = Path.of("target", "ddpm.jar").toAbsolutePath();
  private static final Path LAUNCHER = Path.of("target", "ddpm").toAbsolutePath();

  @TempDir Path folder;

  private Path cache;
  private Path png;

  record Outcome(int code, String out, String err) {}

  @BeforeEach
  void nameFiles() {
    cache = folder.resolve("the cache");
    png = folder.resolve("x.png");
  }

  @Test
  void theJarDraws() throws Exception {
    assertDraws(java(), "-jar", JAR.toString());
    try (JarFile jar = new JarFile(JAR.toFile())) {
      assertThat(jar.getManifest().getMainAttributes().getValue("Enable-Native-Access"))
          .isEqualTo("ALL-UNNAMED");
    }
  }

  @Test
  void theJarSaysWhatItIs() throws Exception {
    Outcome version = run(java(), "-jar", JAR.toString(), "--version");
    assertThat(version.code()).as(version.err()).isZero();
    assertThat(version.err()).isEmpty();
    assertThat(version.out()).startsWith("ddpm ").contains("\nTensorFlow ", "\ninstructions ");
    Outcome help = run(java(), "-jar", JAR.toString(), "help");
    assertThat(help.code()).isZero();
    assertThat(help.err()).isEmpty();
    assertThat(help.out()).startsWith("Usage: ddpm");
  }

  @Test
  void theSecondStartTakesTheClassesOfTheFirst() throws Exception {
    Path link = Files.createSymbolicLink(folder.resolve("linked ddpm"), LAUNCHER);
    assertDraws(link.toString());
    Files.delete(link);
    assertThat(archives()).singleElement().asString().matches(".+\\.jsa\\.\\d+");
    assertDraws(LAUNCHER.toString());
    assertHasTheClasses();
  }

  @Test
  void twoThatStartAtOnceLeaveOneArchive() throws Exception {
    List<Process> both = List.of(start("a", drawing("a")), start("b", drawing("b")));
    for (Process each : both) {
      assertThat(each.waitFor()).isZero();
    }
    assertDraws(LAUNCHER.toString());
    assertHasTheClasses();
  }

  @Test
  void anArchiveThatIsNoneCostsOnlyTheTime() throws Exception {
    assertDraws(LAUNCHER.toString());
    assertDraws(LAUNCHER.toString());
    Files.writeString(archives().get(0), "none");
    assertDraws(LAUNCHER.toString());
  }

  @Test
  void aCacheThatCannotBeMadeCostsOnlyTheTime() throws Exception {
    Files.createFile(cache);
    assertDraws(LAUNCHER.toString());
  }

  /** So that a signal to it is one to Java. */
  @Test
  void theLauncherBecomesJava() throws Exception {
    Process process = start("a", LAUNCHER.toString(), "generate", "--sampler=ddpm", "--out=" + png);
    try {
      while (process.isAlive() && !process.info().command().orElse("").endsWith("/java")) {
        Thread.sleep(10);
      }
      assertThat(process.isAlive()).isTrue();
    } finally {
      process.destroy();
    }
    assertThat(process.waitFor()).isEqualTo(128 + 15);
  }

  @Test
  void theLauncherFindsTheJarBesideItWhateverItsNameIs() throws Exception {
    Outcome version =
        run("sh", "-c", "cd \"$0\" && sh ddpm --version", LAUNCHER.getParent().toString());
    assertThat(version.code()).as(version.err()).isZero();
    assertThat(version.out()).startsWith("ddpm ");
  }

  @Test
  void withoutJavaItSaysWhatIsMissing() throws Exception {
    ProcessBuilder builder = new ProcessBuilder(LAUNCHER.toString()).redirectErrorStream(true);
    builder.environment().put("JAVA_HOME", folder.toString());
    Process process = builder.start();
    assertThat(new String(process.getInputStream().readAllBytes(), UTF_8))
        .isEqualToIgnoringNewLines(
            "error: ddpm needs Java 17 or later, as JAVA_HOME or on the PATH; %s/bin/java is not there"
                .formatted(folder));
    assertThat(process.waitFor()).isEqualTo(2);
  }

  /** The file is the one archive of the cache, and Java takes classes from it. */
  private void assertHasTheClasses() throws Exception {
    assertThat(archives()).singleElement().asString().endsWith(".jsa");
    Path log = folder.resolve("classes");
    Outcome outcome =
        run(
            java(),
            "-XX:SharedArchiveFile=" + archives().get(0),
            "-Xlog:class+load:file=" + log,
            "-jar",
            JAR.toString(),
            "help");
    assertThat(outcome.code()).isZero();
    assertThat(log)
        .content()
        .contains("io.github.ddpm.examples.Ddpm source: shared objects file (top)");
  }

  private List<Path> archives() throws IOException {
    try (Stream<Path> files = Files.list(cache.resolve("ddpm"))) {
      return files.toList();
    }
  }

  private void assertDraws(String... command) throws Exception {
    Files.deleteIfExists(png);
    List<String> all = new ArrayList<>(List.of(command));
    all.addAll(List.of("generate", "--count=4", "--steps=2", "--out=" + png));
    Outcome outcome = run(all.toArray(new String[0]));
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out()).startsWith(png + ": 4 pictures, seed ").hasLineCount(1);
    assertThat(ImageIO.read(png.toFile()).getWidth()).isEqualTo(2 * 28 + 2);
  }

  private String[] drawing(String name) {
    return new String[] {
      LAUNCHER.toString(),
      "generate",
      "--count=4",
      "--steps=2",
      "--out=" + folder.resolve(name) + ".png"
    };
  }

  private Outcome run(String... command) throws Exception {
    int code = start("run", command).waitFor();
    // What the Java runtime says of its options is not ours.
    String err =
        String.join(
            "\n",
            Files.readAllLines(folder.resolve("run.err")).stream()
                .filter(line -> !line.startsWith("Picked up "))
                .toList());
    return new Outcome(code, Files.readString(folder.resolve("run.out")), err);
  }

  private Process start(String name, String... command) throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectOutput(folder.resolve(name + ".out").toFile())
            .redirectError(folder.resolve(name + ".err").toFile());
    builder.environment().put("XDG_CACHE_HOME", cache.toString());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    return builder.start();
  }

  private static String java() {
    return Path.of(System.getProperty("java.home"), "bin", "java").toString();
  }
}

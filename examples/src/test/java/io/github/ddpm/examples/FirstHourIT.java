package io.github.ddpm.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs the first hour again and writes what it printed: the profile {@code hour}. */
class FirstHourIT {
  private static final Path DOCS = Path.of("..", "docs").toAbsolutePath().normalize();
  private static final Path PAGE = DOCS.resolve("first-hour.md");
  private static final String PICTURE = "first-hour.png";

  @TempDir Path folder;

  @Test
  void isMadeAgain() throws Exception {
    assertThat(StopSignalsTest.ignoresCtrlC())
        .as("Ctrl-C is ignored by what a script starts in the background")
        .isFalse();
    Path home = folder.toRealPath();
    Path checkout = Files.createDirectory(home.resolve("ddpm"));
    Files.createDirectories(checkout.resolve("examples"));
    Files.createSymbolicLink(checkout.resolve("docs"), DOCS);
    Files.createSymbolicLink(
        checkout.resolve("examples/target"), Path.of("target").toAbsolutePath());
    Path hour = Files.createDirectory(checkout.resolve("first-hour"));
    String page;
    try (TranscriptShell shell = new TranscriptShell(home, "/home/you", hour, environment(home))) {
      page = Transcript.again(Files.readString(PAGE), shell);
    }
    Commands.replace(DOCS.resolve(PICTURE), Files.readAllBytes(hour.resolve(PICTURE)));
    Commands.replace(PAGE, page.getBytes(UTF_8));
  }

  /** Returns what a new user's environment has, with the hub's cache at home. */
  private static Map<String, String> environment(Path home) {
    Map<String, String> environment = new HashMap<>();
    String java = System.getProperty("java.home");
    environment.put("JAVA_HOME", java);
    environment.put(
        "PATH",
        String.join(
            File.pathSeparator,
            Path.of(java, "bin").toString(),
            System.getenv("PATH"),
            Path.of("target").toAbsolutePath().toString()));
    environment.put("HF_HOME", home.resolve(".cache/huggingface").toString());
    for (String variable :
        new String[] {"HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"}) {
      environment.put(variable, "");
    }
    return environment;
  }
}

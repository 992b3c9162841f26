package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.Images;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The README is short, and its class does what it says. That all pages are true is DocsTest's. */
class ReadmeTest {
  @TempDir Path folder;

  private String readme;

  @BeforeEach
  void read() throws IOException {
    readme = Files.readString(Path.of("../README.md"));
  }

  @Test
  void itIsShort() {
    assertThat(readme.lines()).hasSizeLessThanOrEqualTo(130);
  }

  /** As a user would run it: a file by itself. */
  @Test
  @Timeout(120)
  void itsClassDrawsSixteenSevens() throws Exception {
    Matcher type =
        Pattern.compile("(?ms)^```java\\n(import .*?public final class (\\w+).*?)^```$")
            .matcher(readme);
    assertThat(type.find()).isTrue();
    Path source =
        Files.writeString(folder.resolve(type.group(2) + ".java"), type.group(1)).getFileName();
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
            "-cp",
            System.getProperty("java.class.path"),
            source.toString());
    Process process =
        new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(printed).isZero();
    // Sixteen pictures of 28x28, four in a row.
    Images grid = Images.readPng(folder.resolve("sevens.png"));
    assertThat(grid.width()).isBetween(4 * 28, 5 * 28);
    assertThat(grid.height()).isEqualTo(grid.width());
    int white = 0;
    for (float pixel : grid.toArray()) {
      white += pixel > 0.5 ? 1 : 0;
    }
    assertThat(white).isBetween(grid.toArray().length / 50, grid.toArray().length / 4);
  }
}

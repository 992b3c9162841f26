package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.CommandsTest.Outcome;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Commands whose classes and resources are in a jar, as those of {@code ddpm.jar} are. */
@Timeout(120)
class PackedTest {
  private static final Path CLASSES = Path.of("target", "classes");

  @TempDir static Path folder;

  private static Path jar;

  @BeforeAll
  static void pack() throws IOException {
    jar = folder.resolve("examples.jar");
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(jar));
        Stream<Path> files = Files.walk(CLASSES)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        zip.putNextEntry(
            new ZipEntry(CLASSES.relativize(file).toString().replace(File.separatorChar, '/')));
        Files.copy(file, zip);
      }
    }
    CommandsTest.writeDigits(folder, "train", 20, 28);
    CommandsTest.writeDigits(folder, "t10k", 20, 28);
  }

  @Test
  void theClassifierIsFound() throws Exception {
    Outcome outcome =
        run("measure --model digits-1 --count 10 --asked 0 --data".split(" "), folder.toString());
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.out()).contains("| Fréchet distance | ");
  }

  @Test
  void theOtherModelIsFound() throws Exception {
    Outcome outcome =
        run(
            ("study sampling --quick --out " + folder.resolve("study") + " --data").split(" "),
            folder.toString());
    assertThat(outcome.code()).isEqualTo(2);
    assertThat(outcome.err())
        .as("once both models are open")
        .contains("error: the study needs 1000 training images, got 20");
  }

  private static Outcome run(String[] command, String data) throws Exception {
    String path =
        System.getProperty("java.class.path")
            .replace(CLASSES.toAbsolutePath().toString(), jar.toString());
    List<String> line =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dstdout.encoding=UTF-8",
                "-cp",
                path,
                Ddpm.class.getName()));
    line.addAll(List.of(command));
    line.add(data);
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    int code =
        new ProcessBuilder(line)
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start()
            .waitFor();
    return new Outcome(code, Files.readString(out), Files.readString(err));
  }
}

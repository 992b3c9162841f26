package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.measures.SavedModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a process of a command has on stderr where nothing is wrong: nothing, also of TensorFlow.
 */
@Timeout(120)
class QuietStartTest {
  @TempDir Path folder;

  @Test
  void drawingIsQuiet() throws Exception {
    String out = "--out=" + folder.resolve("x.png");
    assertThat(errors("generate", "--count=1", "--steps=1", out)).isEmpty();
    assertThat(folder.resolve("x.png")).isNotEmptyFile();
  }

  @Test
  void trainingIsQuiet() throws Exception {
    CommandsTest.writeDigits(folder, "train", 8, 8);
    Path out = folder.resolve("model");
    assertThat(
            errors(
                "train-digits",
                "--data=" + folder,
                "--out=" + out,
                "--channels=8,8",
                "--batch=4",
                "--epochs=1"))
        .isEmpty();
    assertThat(out.resolve("model_index.json")).isNotEmptyFile();
  }

  /** Which takes up to a second at the first class that has JavaCPP do so. */
  @Test
  void nobodyLooksForCuda() throws Exception {
    CommandsTest.writeDigits(folder, "train", 8, 8);
    List<String> errors =
        errors(
            List.of("-Dorg.bytedeco.javacpp.logger.debug=true"),
            "train-digits",
            "--data=" + folder,
            "--out=" + folder.resolve("model"),
            "--channels=8,8",
            "--batch=4",
            "--epochs=1");
    assertThat(errors)
        .anyMatch(line -> line.startsWith("Debug: Loading ") && line.contains("jnitensorflow"))
        .noneMatch(line -> line.contains("cudart"));
  }

  @Test
  void measuringByANetworkIsQuiet() throws Exception {
    CommandsTest.writeDigits(folder, "train", 8, 8);
    Path network = SavedModels.ofMeans(folder.resolve("network"), -1, new float[] {1});
    Path out = folder.resolve("model");
    assertThat(
            errors(
                "train-digits",
                "--data=" + folder,
                "--out=" + out,
                "--channels=8,8",
                "--batch=4",
                "--epochs=0.5",
                "--measure-every=1",
                "--features=" + network))
        .isEmpty();
    assertThat(folder.resolve("out")).content().contains("step 1: Fréchet distance ");
  }

  @Test
  void whatIsOursIsSaid() throws Exception {
    assertThat(errors("generate", "--count=0"))
        .containsExactly("error: --count must be at least 1, got 0");
  }

  /** Returns how the Java runtime is started so that it warns of nothing itself. */
  static List<String> java() {
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    if (Runtime.version().feature() >= 24) {
      // As the launcher has them.
      line.add("--enable-native-access=ALL-UNNAMED");
      line.add("--sun-misc-unsafe-memory-access=allow");
    }
    return line;
  }

  /** Runs a command in a process of its own; returns its lines on stderr. */
  private List<String> errors(String... arguments) throws Exception {
    return errors(List.of(), arguments);
  }

  private List<String> errors(List<String> options, String... arguments) throws Exception {
    List<String> line = java();
    line.addAll(options);
    line.addAll(List.of("-cp", System.getProperty("java.class.path"), Ddpm.class.getName()));
    line.addAll(List.of(arguments));
    Path err = folder.resolve("err");
    ProcessBuilder builder =
        new ProcessBuilder(line)
            .redirectOutput(folder.resolve("out").toFile())
            .redirectError(err.toFile());
    builder.start().waitFor();
    // What the Java runtime says of its options is not ours.
    return Files.readAllLines(err).stream().filter(text -> !text.startsWith("Picked up ")).toList();
  }
}

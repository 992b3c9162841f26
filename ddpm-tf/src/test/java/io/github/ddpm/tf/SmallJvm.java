package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A process of a program of the tests that has 256 MB of heap. */
public final class SmallJvm {
  private SmallJvm() {}

  /**
   * Runs a program, which is told of the folder and has to end well.
   *
   * @return the lines that it prints, which are left in the folder as {@code output}
   */
  public static List<String> run(Class<?> main, Path folder, String... options)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Xmx256m");
    command.addAll(List.of(options));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(main.getName(), folder.toString()));
    Path output = folder.resolve("output");
    int exitCode = new ProcessBuilder(command).redirectOutput(output.toFile()).start().waitFor();
    assertThat(exitCode).isZero();
    return Files.readAllLines(output);
  }
}

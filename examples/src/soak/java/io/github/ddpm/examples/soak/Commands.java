package io.github.ddpm.examples.soak;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.util.List;

/** Runs commands of the system. */
final class Commands {
  private Commands() {}

  /**
   * Runs one to its end.
   *
   * @return what it wrote
   * @throws IOException if it isn't there, or its exit code isn't 0; with what it wrote
   */
  static String run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
    int code = process.waitFor();
    if (code != 0) {
      throw new IOException(
          "%s ended with %d: %s".formatted(String.join(" ", List.of(command)), code, output));
    }
    return output;
  }
}

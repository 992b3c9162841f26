package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import org.tensorflow.TensorFlow;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} says: all that a report of a fault needs. */
final class Versions implements IVersionProvider {
  Versions() {}

  @Override
  public String[] getVersion() throws IOException {
    // Loads TensorFlow, as the library does.
    String instructions = TensorFlowRuntime.instructions();
    int threads = TensorFlowRuntime.threads();
    return new String[] {
      "ddpm " + library(),
      format("Java %s (%s)", System.getProperty("java.version"), System.getProperty("java.vendor")),
      "TensorFlow " + TensorFlow.version(),
      format("instructions %s, %d thread%s", instructions, threads, threads == 1 ? "" : "s")
    };
  }

  private static String library() throws IOException {
    Properties properties = new Properties();
    try (InputStream in =
        Versions.class.getResourceAsStream("/io/github/ddpm/tf/version.properties")) {
      properties.load(in);
    }
    return properties.getProperty("version");
  }
}

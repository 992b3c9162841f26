package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.tf.Version;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import org.tensorflow.TensorFlow;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} says: all that a report of a fault needs. */
final class Versions implements IVersionProvider {
  Versions() {}

  @Override
  public String[] getVersion() {
    // Loads TensorFlow, as the library does.
    String instructions = TensorFlowRuntime.instructions();
    int threads = TensorFlowRuntime.threads();
    return new String[] {
      "ddpm " + Version.NUMBER,
      format("Java %s (%s)", System.getProperty("java.version"), System.getProperty("java.vendor")),
      "TensorFlow " + TensorFlow.version(),
      format("instructions %s, %d thread%s", instructions, threads, threads == 1 ? "" : "s")
    };
  }
}

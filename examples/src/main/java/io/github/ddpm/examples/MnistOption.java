package io.github.ddpm.examples;

import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The commands that read MNIST have this in common: the option, and what they read. */
final class MnistOption {
  @Option(
      names = "--data",
      description = "folder with the four MNIST files; default: they are downloaded once")
  private Path data;

  /** Returns whether it is MNIST itself, not files that look like it. */
  boolean isMnist() {
    return data == null;
  }

  /** Returns the folder that was named. */
  Optional<Path> folder() {
    return Optional.ofNullable(data);
  }

  /** Reads the images to train on. */
  Dataset train() throws IOException {
    return data == null ? Downloads.announced(Mnist::train) : Mnist.train(data);
  }

  /** Reads the images to test with. */
  Dataset test() throws IOException {
    return data == null ? Downloads.announced(Mnist::test) : Mnist.test(data);
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import java.io.IOException;
import java.nio.file.Path;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import picocli.CommandLine.Option;

/** The commands that read MNIST have this in common: the option, and what they read. */
final class MnistOption {
  /** This logger is told before each file is downloaded. */
  private static final Logger DOWNLOADS = Logger.getLogger("io.github.ddpm.tf.net");

  @Option(
      names = "--data",
      description = "folder with the four MNIST files; default: they are downloaded once")
  private Path data;

  /** A source reads one of the sets. */
  private interface Source {
    Dataset read() throws IOException;
  }

  /** Returns whether it is MNIST itself, not files that look like it. */
  boolean isMnist() {
    return data == null;
  }

  /** Reads the images to train on. */
  Dataset train() throws IOException {
    return data == null ? announced(Mnist::train) : Mnist.train(data);
  }

  /** Reads the images to test with. */
  Dataset test() throws IOException {
    return data == null ? announced(Mnist::test) : Mnist.test(data);
  }

  /** Reads, and says on stderr, in a line each, what is downloaded for that. */
  private static Dataset announced(Source source) throws IOException {
    Handler lines = new ConsoleHandler();
    lines.setFormatter(
        new Formatter() {
          @Override
          public String format(LogRecord message) {
            return formatMessage(message) + System.lineSeparator();
          }
        });
    DOWNLOADS.setUseParentHandlers(false);
    DOWNLOADS.addHandler(lines);
    try {
      return source.read();
    } finally {
      DOWNLOADS.removeHandler(lines);
      DOWNLOADS.setUseParentHandlers(true);
    }
  }
}

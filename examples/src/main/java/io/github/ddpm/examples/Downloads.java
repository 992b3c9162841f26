package io.github.ddpm.examples;

import java.io.IOException;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** What may have to be downloaded. */
final class Downloads {
  /** This logger is told before each file is downloaded. */
  private static final Logger LOGGER = Logger.getLogger("io.github.ddpm.tf.net");

  private Downloads() {}

  /** Reads something, or sees to it that it is there. */
  interface Source<T> {
    T read() throws IOException;
  }

  /** Reads, and says on stderr, in a line each, what is downloaded for that. */
  static <T> T announced(Source<T> source) throws IOException {
    Handler lines = new ConsoleHandler();
    lines.setFormatter(
        new Formatter() {
          @Override
          public String format(LogRecord message) {
            return formatMessage(message) + System.lineSeparator();
          }
        });
    LOGGER.setUseParentHandlers(false);
    LOGGER.addHandler(lines);
    try {
      return source.read();
    } finally {
      LOGGER.removeHandler(lines);
      LOGGER.setUseParentHandlers(true);
    }
  }
}

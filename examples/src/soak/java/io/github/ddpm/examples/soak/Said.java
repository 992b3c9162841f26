package io.github.ddpm.examples.soak;

import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** Hears the library's warnings, in place of the console. */
final class Said extends Handler implements AutoCloseable {
  private static final Logger LIBRARY = Logger.getLogger("io.github.ddpm");

  private volatile boolean anything;

  Said() {
    LIBRARY.setUseParentHandlers(false);
    LIBRARY.addHandler(this);
  }

  /** Returns whether there was a warning. */
  boolean anything() {
    return anything;
  }

  @Override
  public void publish(LogRecord message) {
    anything |= message.getLevel().intValue() >= Level.WARNING.intValue();
  }

  @Override
  public void flush() {}

  @Override
  public void close() {
    LIBRARY.removeHandler(this);
    LIBRARY.setUseParentHandlers(true);
  }
}

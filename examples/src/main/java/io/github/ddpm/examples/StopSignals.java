package io.github.ddpm.examples;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jline.utils.Signals;

/**
 * While this is open, a signal that ends the process only asks its training to stop: SIGTERM, which
 * a container sends 10 seconds before it kills, Ctrl-C, and a terminal that closes. A second one
 * ends the process at once. Where the Java runtime leaves a signal to others, as with {@code -Xrs},
 * it does what it always did.
 *
 * <p>Whoever opens one closes it, in the thread that trains.
 */
final class StopSignals implements AutoCloseable {
  /** What a process that they end exits with, less 128. */
  private static final Map<String, Integer> NUMBERS = Map.of("HUP", 1, "INT", 2, "TERM", 15);

  /** A step that takes longer is given up: it must end, and be saved, within those 10 seconds. */
  private static final Duration PATIENCE = Duration.ofSeconds(3);

  private final Map<String, Object> previous = new LinkedHashMap<>();
  private final Thread trainer = Thread.currentThread();
  private boolean interruptible;
  private boolean closed;
  private volatile boolean received;

  StopSignals() {
    for (String name : NUMBERS.keySet()) {
      // Null if the signal can't be handled here.
      Object handler = Signals.register(name, () -> receive(name));
      if (handler != null) {
        previous.put(name, handler);
      }
    }
  }

  /** Tells whether a signal has come. */
  boolean received() {
    return received;
  }

  /**
   * Says whether the training thread takes steps, where it may be interrupted, or does something
   * that an interrupt would damage, such as saving. It is not interrupted when this returns.
   */
  synchronized void setInterruptible(boolean value) {
    interruptible = value;
    if (Thread.interrupted()) {
      received = true;
    }
    notifyAll();
  }

  /** Runs in a thread of its own. */
  private void receive(String name) {
    synchronized (this) {
      if (received) {
        Runtime.getRuntime().halt(128 + NUMBERS.get(name));
      }
      received = true;
    }
    System.out.println("stopping after this step; once more ends at once, without saving");
    long end = System.nanoTime() + PATIENCE.toNanos();
    synchronized (this) {
      try {
        for (long left = PATIENCE.toNanos();
            !closed && (left > 0 || !interruptible);
            left = end - System.nanoTime()) {
          // Once patience is over, until it may be interrupted.
          TimeUnit.NANOSECONDS.timedWait(this, left > 0 ? left : PATIENCE.toNanos());
        }
      } catch (InterruptedException e) {
        // Nobody knows this thread.
        throw new IllegalStateException(e);
      }
      if (!closed) {
        trainer.interrupt();
      }
    }
  }

  /** Puts back what the signals did before. */
  @Override
  public void close() {
    previous.forEach(Signals::unregister);
    synchronized (this) {
      closed = true;
      notifyAll();
    }
  }
}

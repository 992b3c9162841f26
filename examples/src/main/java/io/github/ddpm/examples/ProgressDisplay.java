package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.Images;
import io.github.ddpm.Sampler;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressState;
import picocli.CommandLine.Help.Ansi;

/**
 * Shows how far work has come: by a bar where there is a terminal to draw it on, else by a line
 * every 15 seconds and one at the end.
 */
final class ProgressDisplay implements AutoCloseable {
  /** This much time is between two lines. */
  static final Duration INTERVAL = Duration.ofSeconds(15);

  private final String task;
  private final PrintStream out;
  private final LongSupplier clock;
  private final Optional<ProgressBar> bar;
  private final long start;
  private long due;
  private boolean printed;

  /**
   * Opens a display.
   *
   * @param task what is done, named before the numbers
   * @param terminal whether {@code out} is one
   * @param out gets the bar or the lines
   * @param quiet time before the first line; work that is done by then gets none
   * @param clock gives nanoseconds, as {@link System#nanoTime} does
   */
  ProgressDisplay(
      String task, boolean terminal, PrintStream out, Duration quiet, LongSupplier clock) {
    this.task = task;
    this.out = out;
    this.clock = clock;
    bar = terminal ? Optional.of(bar(task, out)) : Optional.empty();
    start = clock.getAsLong();
    due = start + quiet.toNanos();
  }

  /** Opens the display of a command that has no other output: the first line comes at once. */
  static ProgressDisplay onOut(String task) {
    return new ProgressDisplay(
        task, Ansi.AUTO.enabled(), System.out, Duration.ZERO, System::nanoTime);
  }

  /**
   * Opens a display beside a command's output, which others may read: it is on stderr, and work
   * that is done before the first line is due prints none.
   */
  static ProgressDisplay onErr(String task) {
    return new ProgressDisplay(task, Ansi.AUTO.enabled(), System.err, INTERVAL, System::nanoTime);
  }

  /** Samples, and shows beside the output how many steps of single images are done. */
  static Images sample(Sampler sampler, int count) {
    return sample(sampler, count, rows -> "");
  }

  /**
   * Samples, and shows beside the output how many steps of single images are done.
   *
   * @param hint returns a line to print first, by the number of steps; nothing for none
   */
  static Images sample(Sampler sampler, int count, IntFunction<String> hint) {
    AtomicBoolean begun = new AtomicBoolean();
    try (ProgressDisplay display = onErr("Denoising")) {
      return sampler
          .listener(
              progress -> {
                if (!begun.getAndSet(true) && !hint.apply(progress.rows()).isEmpty()) {
                  display.clear();
                  display.out.println(hint.apply(progress.rows()));
                }
                // Large requests are worked off in several batches, one after the other.
                long before = progress.firstImage() * progress.rows();
                long batch = (progress.row() + 1L) * progress.x0().count();
                display.show(before + batch, (long) count * progress.rows());
                return true;
              })
          .sample(count);
    }
  }

  /**
   * Shows that so much is done. The time left is estimated from the time taken.
   *
   * @param done at least 1
   * @param total what there is to do, at least {@code done}
   */
  void show(long done, long total) {
    double left = (double) (clock.getAsLong() - start) / done * (total - done);
    show(done, total, "", Duration.ofNanos(Math.round(left)));
  }

  /**
   * Shows that so much is done.
   *
   * @param done at least 1
   * @param total what there is to do; 0 while that is not known
   * @param details what else there is to say; may be empty
   * @param left estimated time until all is done; not shown while {@code total} is not known
   */
  void show(long done, long total, String details, Duration left) {
    String text =
        format(
            "%d/%s  %s%s left",
            done,
            total == 0 ? "?" : total,
            details.isEmpty() ? "" : details + "  ",
            total == 0 ? "?" : clock(left));
    if (bar.isPresent()) {
      // The library takes a maximum below 0 for one that isn't known.
      bar.get().maxHint(total == 0 ? -1 : total).stepTo(done).setExtraMessage(text);
      return;
    }
    long now = clock.getAsLong();
    if (now - due >= 0 || (printed && done == total)) {
      out.println(task + " " + text);
      printed = true;
      due = now + INTERVAL.toNanos();
    }
  }

  /** Makes room for a line of somebody else: the bar is drawn again below it. */
  void clear() {
    if (bar.isPresent()) {
      out.print("\r\u001b[K");
      out.flush();
    }
  }

  @Override
  public void close() {
    if (bar.isPresent()) {
      bar.get().close();
      out.println();
    }
  }

  private static String clock(Duration time) {
    return format("%d:%02d", time.toMinutes(), time.toSecondsPart());
  }

  private static ProgressBar bar(String task, PrintStream out) {
    return new ProgressBarBuilder()
        .setTaskName(task)
        .setInitialMax(-1)
        .setConsumer(
            new ConsoleProgressBarConsumer(out) {
              // The library ends the line only if it drew before the work was done.
              @Override
              public void close() {}
            })
        .setRenderer(ProgressDisplay::render)
        .build();
  }

  /** Draws over the whole width. The library's own renderer writes in the default locale. */
  private static String render(ProgressState state, int width) {
    String before = state.getTaskName() + " [";
    String after = "] " + state.getExtraMessage();
    int cells = Math.max(0, width - before.length() - after.length());
    int full = (int) (state.getNormalizedProgress() * cells);
    return before + "=".repeat(full) + " ".repeat(cells - full) + after;
  }
}

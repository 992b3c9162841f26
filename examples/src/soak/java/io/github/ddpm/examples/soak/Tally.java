package io.github.ddpm.examples.soak;

import java.util.Map;
import java.util.TreeMap;

/** Counts what a test tried, and what of it was lost. Losses are told on stderr as they come. */
final class Tally {
  /** So many losses of a kind are told; more are only counted. */
  private static final int MOST_TOLD = 10;

  private final String test;
  private final Map<String, Integer> losses = new TreeMap<>();
  private long tried;
  private long lost;
  private boolean whole = true;

  Tally(String test) {
    this.test = test;
  }

  /** Begins one try more, which survives unless {@link #lose} is called before the next. */
  synchronized void begin() {
    tried++;
    whole = true;
  }

  /**
   * Counts a loss of this try.
   *
   * @param kind what was lost
   * @param how it was lost
   */
  synchronized void lose(String kind, String how) {
    if (whole) {
      lost++;
      whole = false;
    }
    tell(kind, "try " + tried + ": " + how);
  }

  /** Tells of a loss that {@link #addAll} counts. */
  synchronized void tell(String kind, String how) {
    if (losses.merge(kind, 1, Integer::sum) <= MOST_TOLD) {
      System.err.printf("%s: lost %s: %s%n", test, kind, how);
    }
  }

  /** Expects something of this try. */
  void expect(boolean condition, String kind, String otherwise) {
    if (!condition) {
      lose(kind, otherwise);
    }
  }

  /** Counts a whole try, of which other threads know nothing. */
  synchronized void add(boolean survived, String kind, String otherwise) {
    begin();
    expect(survived, kind, otherwise);
  }

  /** Counts many tries at once, whose losses were told by {@link #tell}. */
  synchronized void addAll(long tries, long lost) {
    this.tried += tries;
    this.lost += lost;
  }

  /**
   * Prints the line of figures.
   *
   * @return the exit code
   */
  synchronized int print() {
    StringBuilder kinds = new StringBuilder();
    losses.forEach(
        (kind, count) -> kinds.append(kinds.isEmpty() ? "" : ", ").append(kind + " " + count));
    System.out.printf(
        "%s: tried %d, survived %d, lost %d%s%n",
        test, tried, tried - lost, lost, kinds.isEmpty() ? "" : " (" + kinds + ")");
    return lost == 0 ? 0 : 1;
  }
}

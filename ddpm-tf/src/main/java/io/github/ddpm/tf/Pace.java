package io.github.ddpm.tf;

import java.time.Duration;

/** How fast the steps of a training go, and how many of them fit into a given time. */
final class Pace {
  /** Steps before a speed is believed: the first few build and tune the graph. */
  private static final int UNTIMED_STEPS = 3;

  /** Least steps that the total is estimated from when time is given instead. */
  private static final int TIMED_STEPS = 20;

  private final long begin = System.nanoTime();
  private long start;
  private long attempts;
  private long taken;
  private double secondsPerStep;

  /** Notes that a step begins, or some that are taken together. */
  void starts() {
    start = System.nanoTime();
  }

  /** Notes that they end. */
  void ends(int steps) {
    double seconds = (System.nanoTime() - start) / 1e9 / steps;
    attempts++;
    taken += steps;
    if (attempts <= UNTIMED_STEPS) {
      secondsPerStep = seconds;
    } else {
      // The mean of the timed ones at first, then a moving average.
      secondsPerStep +=
          (seconds - secondsPerStep) / Math.min(attempts - UNTIMED_STEPS, TIMED_STEPS);
    }
  }

  /** Tells whether steps have been timed. */
  boolean isTimed() {
    return attempts > UNTIMED_STEPS;
  }

  double secondsPerStep() {
    return secondsPerStep;
  }

  /** Returns the time that so many steps will take; zero for less than 1. */
  Duration left(long steps) {
    return Duration.ofMillis(Math.round(1000 * secondsPerStep * Math.max(0, steps)));
  }

  /**
   * Tells whether the number of steps should be fixed now: when the learning rate begins to depend
   * on it, because the longer timed, the better, but not when time is nearly up.
   *
   * @param budget seconds in all
   * @param warmupSteps during which the learning rate doesn't depend on the number of steps
   */
  boolean canTell(double budget, int warmupSteps) {
    return (attempts >= UNTIMED_STEPS + TIMED_STEPS && taken >= warmupSteps)
        || elapsed() >= budget / 4;
  }

  /** Returns the number of steps that fit into what is left of a number of seconds, at least 0. */
  long stepsLeft(double budget) {
    return Math.max(0, Math.round((budget - elapsed()) / secondsPerStep));
  }

  private double elapsed() {
    return (System.nanoTime() - begin) / 1e9;
  }
}

package io.github.ddpm.spark;

import com.google.common.base.Splitter;

/** What Spark says of tasks that failed. */
public final class SparkFailures {
  private static final String LAST = "most recent failure: ";

  private SparkFailures() {}

  /** Returns why a job failed, in a line: what a task threw, or what happened to it. */
  public static String reason(Throwable e) {
    Throwable cause = e;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    String message = cause.getMessage() == null ? cause.toString() : cause.getMessage();
    int last = message.indexOf(LAST);
    String reason = last < 0 ? message : message.substring(last + LAST.length());
    return Splitter.on('\n').split(reason).iterator().next();
  }
}

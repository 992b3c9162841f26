package io.github.ddpm.spark;

import com.google.common.base.Splitter;
import com.google.common.base.Throwables;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import org.apache.spark.api.java.JavaSparkContext;

/** What Spark says of tasks that failed. */
public final class SparkFailures {
  private static final String LAST = "most recent failure: ";

  private SparkFailures() {}

  /**
   * {@return why a job failed, in a line: what a task threw, or what happened to it}
   *
   * @param e what an action of Spark threw
   */
  public static String reason(Throwable e) {
    List<Throwable> chain = Throwables.getCausalChain(e);
    Throwable cause =
        chain.stream()
            .filter(SparkFailures::saysMore)
            .findFirst()
            .orElse(chain.get(chain.size() - 1));
    String message = cause.getMessage() == null ? cause.toString() : cause.getMessage();
    int last = message.indexOf(LAST);
    String reason = last < 0 ? message : message.substring(last + LAST.length());
    return Splitter.on('\n').split(reason).iterator().next();
  }

  /**
   * Ends what a job is doing, if it failed because this thread was interrupted, which it stays.
   *
   * @param group of the job
   * @param message of what to throw then
   * @return what to throw; nothing if there was no interrupt
   */
  static Optional<CancellationException> interrupted(
      Exception e, JavaSparkContext spark, String group, String message) {
    boolean interrupted =
        Throwables.getCausalChain(e).stream().anyMatch(InterruptedException.class::isInstance);
    if (!Thread.interrupted() && !interrupted) {
      return Optional.empty();
    }
    spark.cancelJobGroup(group);
    Thread.currentThread().interrupt();
    CancellationException canceled = new CancellationException(message);
    canceled.initCause(e);
    return Optional.of(canceled);
  }

  /** Tells whether something says more than what caused it: Spark says where, not why. */
  private static boolean saysMore(Throwable e) {
    return e.getMessage() != null
        && !e.getClass().getName().startsWith("org.apache.spark.")
        && (e.getCause() == null || !e.getMessage().equals(e.getCause().toString()));
  }
}

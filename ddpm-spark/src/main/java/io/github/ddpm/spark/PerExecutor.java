package io.github.ddpm.spark;

import java.lang.System.Logger.Level;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.Function0;
import org.apache.spark.util.TaskCompletionListener;

/**
 * What the tasks of an executor share, such as a model: opened by the first that asks for it, and
 * closed when another is asked for and nobody uses it any more. Executors end without notice, so
 * the last one is never closed.
 */
final class PerExecutor<T extends AutoCloseable> {
  private static final System.Logger LOG = System.getLogger(PerExecutor.class.getName());

  private static final String THREADS = "io.github.ddpm.tf.threads";

  private final Map<String, Shared<T>> all = new HashMap<>();

  private static final class Shared<T> {
    private int users;
    private T value;

    synchronized T open(Function0<T> opener) throws Exception {
      if (value == null) {
        value = opener.call();
      }
      return value;
    }
  }

  /**
   * Returns what the key stands for, to be used until the task ends that asks for it.
   *
   * @param opener opens it if nobody has
   */
  T get(String key, Function0<T> opener) throws Exception {
    Shared<T> shared = enter(key);
    TaskCompletionListener ended = task -> leave(shared);
    TaskContext.get().addTaskCompletionListener(ended);
    return shared.open(opener);
  }

  private synchronized Shared<T> enter(String key) {
    useOwnCores();
    for (String other : all.keySet().toArray(new String[0])) {
      Shared<T> unused = all.get(other);
      if (!other.equals(key) && unused.users == 0) {
        all.remove(other);
        close(unused);
      }
    }
    Shared<T> shared = all.computeIfAbsent(key, absent -> new Shared<>());
    shared.users++;
    return shared;
  }

  /** Whoever comes next can't help it if this fails. */
  private void close(Shared<T> unused) {
    try {
      if (unused.value != null) {
        unused.value.close();
      }
    } catch (Exception e) {
      LOG.log(Level.WARNING, "what tasks shared can't be closed", e);
    }
  }

  private synchronized void leave(Shared<T> shared) {
    shared.users--;
  }

  /** Several executors may be on one machine: each computes with the cores that Spark gave it. */
  private static void useOwnCores() {
    SparkEnv env = SparkEnv.get();
    int cores = env == null ? 0 : env.conf().getInt("spark.executor.cores", 0);
    if (cores > 0 && System.getProperty(THREADS) == null) {
      System.setProperty(THREADS, String.valueOf(cores));
    }
  }
}

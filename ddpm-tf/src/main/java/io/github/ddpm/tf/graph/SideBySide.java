package io.github.ddpm.tf.graph;

import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Work that is done at the same time on the threads of the common pool, this one among them. Unlike
 * that of a parallel stream, it is over when a method returns, also by an exception, so that memory
 * which it uses can be freed.
 */
public final class SideBySide {
  private SideBySide() {}

  /**
   * Applies a function to all of some parts.
   *
   * @param <T> type of a part
   * @param <R> type of what is made of one
   * @param parts each given to the function once
   * @param work called by several threads at once
   * @param undo is told of what was made if another part failed
   * @return what it made of each, in their order
   * @throws RuntimeException what the first part that failed has thrown, or an {@link Error}; what
   *     others threw is suppressed in it
   */
  public static <T, R> List<R> map(List<T> parts, Function<T, R> work, Consumer<R> undo) {
    if (parts.size() == 1) {
      return List.of(work.apply(parts.get(0)));
    }
    List<Outcome<R>> outcomes =
        parts.parallelStream().map(part -> Outcome.of(() -> work.apply(part))).toList();
    List<Throwable> problems =
        outcomes.stream().map(Outcome::problem).filter(problem -> problem != null).toList();
    if (problems.isEmpty()) {
      return outcomes.stream().map(Outcome::result).toList();
    }
    outcomes.stream().filter(made -> made.problem() == null).map(Outcome::result).forEach(undo);
    Throwable first = problems.get(0);
    problems.stream().skip(1).filter(other -> other != first).forEach(first::addSuppressed);
    if (first instanceof Error error) {
      throw error;
    }
    throw (RuntimeException) first;
  }

  /**
   * Has something done to all of some parts; as {@link #map}.
   *
   * @param <T> type of a part
   * @param parts each given to {@code work} once
   * @param work called by several threads at once
   */
  public static <T> void forEach(List<T> parts, Consumer<T> work) {
    map(
        parts,
        part -> {
          work.accept(part);
          return part;
        },
        part -> {});
  }

  /**
   * What came of a part.
   *
   * @param problem null if there was none
   */
  private record Outcome<R>(R result, Throwable problem) {
    static <R> Outcome<R> of(Supplier<R> work) {
      try {
        return new Outcome<>(work.get(), null);
      } catch (RuntimeException | Error e) {
        return new Outcome<>(null, e);
      }
    }
  }
}

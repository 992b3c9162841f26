package io.github.ddpm.examples.bench;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * A measurement of all contenders.
 *
 * @param higherIsBetter which contender is the best
 * @param figures of each contender that could be measured, round by round
 */
record Row(
    String title, String unit, boolean higherIsBetter, Map<Contender, List<Double>> figures) {

  void add(Contender contender, String figure) {
    figures.computeIfAbsent(contender, key -> new ArrayList<>()).add(Double.valueOf(figure));
  }

  OptionalDouble median(Contender contender) {
    return median(figures.getOrDefault(contender, List.of()));
  }

  /** Who has the best median. */
  Optional<Contender> best(Predicate<Contender> among) {
    Comparator<Contender> byMedian =
        Comparator.comparingDouble(contender -> median(contender).orElseThrow());
    return figures.keySet().stream()
        .filter(among)
        .max(higherIsBetter ? byMedian : byMedian.reversed());
  }

  /** The median of what each round says of the best of ours and the best of the peers. */
  OptionalDouble ratio(Predicate<Contender> ours, Predicate<Contender> peers) {
    Optional<Contender> our = best(ours);
    Optional<Contender> peer = best(peers);
    if (our.isEmpty() || peer.isEmpty()) {
      return OptionalDouble.empty();
    }
    List<Double> above = figures.get(our.get());
    List<Double> below = figures.get(peer.get());
    return median(
        IntStream.range(0, Math.min(above.size(), below.size()))
            .mapToObj(round -> above.get(round) / below.get(round))
            .toList());
  }

  private static OptionalDouble median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    int middle = sorted.size() / 2;
    if (sorted.isEmpty()) {
      return OptionalDouble.empty();
    }
    return OptionalDouble.of(
        sorted.size() % 2 == 1
            ? sorted.get(middle)
            : (sorted.get(middle - 1) + sorted.get(middle)) / 2);
  }
}

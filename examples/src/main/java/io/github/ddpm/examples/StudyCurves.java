package io.github.ddpm.examples;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The curves are what another study found of ways to sample with few steps. The page of {@link
 * SamplingStudy} shows those that are in its folder.
 *
 * @param title what is compared
 * @param page with more about it, in the same folder
 * @param images of each way and number of steps
 * @param precision of the network
 * @param floor Fréchet distance of as many test images
 * @param distances Fréchet distance by the number of steps, by the name of the way
 */
record StudyCurves(
    String title,
    String page,
    int images,
    String precision,
    double floor,
    Map<String, SortedMap<Integer, Double>> distances) {
  /** The other ways are compared with this one. */
  static final String USUAL = "DDIM";

  /** A distance is near another that is at most so many times less. */
  static final double NEAR = 1.05;

  private static final List<String> FILES = List.of("solvers.json", "few-steps.json");

  /**
   * A point is on one of the curves.
   *
   * @param name of the curve
   */
  record Point(String name, int steps, double distance) {}

  /** Returns what the other studies left in a folder. */
  static List<StudyCurves> in(Path folder) throws IOException {
    List<StudyCurves> all = new ArrayList<>();
    for (String name : FILES) {
      Path file = folder.resolve(name);
      if (Files.exists(file)) {
        all.add(StudyFiles.read(file, StudyCurves.class, "remove it, or run its study again"));
      }
    }
    return all;
  }

  /** Keeps them beside the study's page. */
  void write(Path folder) throws IOException {
    StudyFiles.write(folder.resolve(page.replaceFirst("\\.md$", ".json")), this);
  }

  /** Returns all numbers of steps. */
  SortedSet<Integer> steps() {
    SortedSet<Integer> steps = new TreeSet<>();
    distances.values().forEach(curve -> steps.addAll(curve.keySet()));
    return steps;
  }

  /** Returns the usual way with the most steps. */
  Point usual() {
    SortedMap<Integer, Double> curve = distances.get(USUAL);
    return new Point(USUAL, curve.lastKey(), curve.get(curve.lastKey()));
  }

  /** Returns the other way that is near the usual one with the fewest steps, if with fewer. */
  Optional<Point> shortcut() {
    Point usual = usual();
    return distances.entrySet().stream()
        .filter(curve -> !curve.getKey().equals(USUAL))
        .flatMap(
            curve ->
                curve.getValue().entrySet().stream()
                    .map(point -> new Point(curve.getKey(), point.getKey(), point.getValue())))
        .filter(point -> point.steps() < usual.steps())
        .filter(point -> point.distance() <= NEAR * usual.distance())
        .min(Comparator.comparingInt(Point::steps).thenComparingDouble(Point::distance));
  }
}

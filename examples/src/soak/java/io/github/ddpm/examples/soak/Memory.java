package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The memory of this process over time, as Linux counts it. */
final class Memory {
  private static final double KILOBYTES_PER_MEGABYTE = 1024;

  private final List<double[]> points = new ArrayList<>();

  /**
   * The options of a JVM whose memory is watched: the heap takes its whole size from the start, so
   * that what grows is native memory.
   */
  static List<String> jvm(String heap) {
    return List.of(
        "-Xms" + heap,
        "-Xmx" + heap,
        "-XX:+AlwaysPreTouch",
        "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
  }

  /** Notes what is taken now. */
  void note(double time) throws IOException {
    points.add(new double[] {time, status("RssAnon")});
  }

  /** Returns what was noted first, in MB. */
  double first() {
    return points.get(0)[1];
  }

  /** Returns what was noted last, in MB. */
  double last() {
    return points.get(points.size() - 1)[1];
  }

  /** Returns what is in use on the heap, in MB. */
  static double heap() {
    System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed() / 1e6;
  }

  /** Returns the most that this process took so far, with the files that it mapped, in MB. */
  static double peak() throws IOException {
    return status("VmHWM");
  }

  /** Returns the slope by least squares after the first third, in MB per unit of time. */
  double slope() {
    List<double[]> tail = points.subList(points.size() / 3, points.size());
    double meanTime = tail.stream().mapToDouble(point -> point[0]).average().orElse(0);
    double meanSize = tail.stream().mapToDouble(point -> point[1]).average().orElse(0);
    double products = 0;
    double squares = 0;
    for (double[] point : tail) {
      products += (point[0] - meanTime) * (point[1] - meanSize);
      squares += (point[0] - meanTime) * (point[0] - meanTime);
    }
    return squares == 0 ? 0 : products / squares;
  }

  private static double status(String key) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith(key + ":")) {
        return Long.parseLong(line.replaceAll("\\D", "")) / KILOBYTES_PER_MEGABYTE;
      }
    }
    throw new IOException("/proc/self/status has no " + key);
  }
}

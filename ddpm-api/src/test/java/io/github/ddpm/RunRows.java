package io.github.ddpm;

import java.util.List;
import java.util.function.IntToDoubleFunction;

/** Runs rows for one pixel, in double and without clipping. */
final class RunRows {
  private RunRows() {}

  /** A formula in place of a network. */
  @FunctionalInterface
  interface Network {
    double out(double timestep, double signal, double x);
  }

  /**
   * Returns x after each row.
   *
   * @param z the fresh noise of a row
   */
  static double[] run(List<Step> rows, double start, Network network, IntToDoubleFunction z) {
    double[] xs = new double[rows.size()];
    double x = start;
    double[] kept = new double[3];
    for (int i = 0; i < xs.length; i++) {
      Step row = rows.get(i);
      double out = network.out(row.timestep(), row.signal(), x);
      double x0 = row.x0FromX() * x + row.x0FromOut() * out;
      double keeps = row.keptFromX() * x + row.keptFromX0() * x0;
      x =
          row.fromX() * x
              + row.fromOut() * out
              + row.fromX0() * x0
              + row.fromPrevious() * kept[0]
              + row.fromOlder() * kept[1]
              + row.fromOldest() * kept[2]
              + row.fromNoise() * z.applyAsDouble(i);
      kept = new double[] {keeps, kept[0], kept[1]};
      xs[i] = x;
    }
    return xs;
  }
}

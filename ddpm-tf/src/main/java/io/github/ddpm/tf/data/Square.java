package io.github.ddpm.tf.data;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Makes a square of a picture whose rows come one by one: the shorter side is scaled to the
 * square's, and the middle is cut out of the longer. It holds only the rows that the next one of
 * the square is made of, already scaled.
 *
 * <p>The filter is a triangle that is as wide as what a new pixel stands for, but at least two
 * pixels: the filter that Pillow and torchvision call (antialiased) bilinear. Java2D's own one
 * looks at two pixels only, which leaves moiré when it shrinks.
 *
 * <p>Each color counts by its opacity, and is white where it has none.
 */
final class Square {
  /** Blue, green and red by their opacity, and opacity. */
  private static final int VALUES = 4;

  private static final int OPACITY = 3;

  private final int size;
  private final boolean alpha;
  private final Axis across;
  private final Axis down;
  private final float[][] row;
  private final int[] pixels;

  /** The last rows that came, scaled: [VALUES * size] each. */
  private final Deque<float[]> scaled = new ArrayDeque<>();

  /** The number of the first of those. */
  private int first;

  private int next;
  private int made;

  /**
   * Makes one of nothing yet.
   *
   * @param alpha whether the picture has any; else its rows are opaque
   */
  Square(int width, int height, int size, boolean alpha) {
    double scale = Math.min(width, height) / (double) size;
    this.size = size;
    this.alpha = alpha;
    this.across = new Axis(width, size, scale);
    this.down = new Axis(height, size, scale);
    this.row = new float[VALUES][width];
    this.pixels = new int[size * size];
  }

  /** Returns the bytes that one takes, at most. */
  static double bytes(int width, int height, int size) {
    double side = Math.min(width, height);
    // A row; twice the weights, and the scaled rows; the square.
    return VALUES * Float.BYTES * ((double) width + 2 * side + 4.0 * size)
        + 2 * Double.BYTES * (2 * side + 4.0 * size)
        + Integer.BYTES * (double) size * size;
  }

  /**
   * Adds the next row.
   *
   * @param argb its pixels, at least as many as the picture is wide
   */
  void add(int... argb) {
    if (made < size && next >= down.from(made)) {
      scaled.add(scale(argb));
    } else {
      first = next + 1;
    }
    next++;
    while (made < size && down.to(made) <= next) {
      make();
    }
  }

  /** Returns the pixels of the square, once all rows have been added. */
  int[] pixels() {
    return pixels;
  }

  private float[] scale(int... argb) {
    int from = across.from(0);
    int to = across.to(size - 1);
    for (int x = from; x < to; x++) {
      float opacity = (argb[x] >>> 24) / 255f;
      for (int i = 0; i < OPACITY; i++) {
        row[i][x] = ((argb[x] >> (8 * i)) & 0xff) * opacity;
      }
      row[OPACITY][x] = opacity;
    }
    float[] result = new float[VALUES * size];
    for (int x = 0; x < size; x++) {
      double[] weights = across.weights(x);
      for (int i = 0; i < (alpha ? VALUES : OPACITY); i++) {
        double value = 0;
        for (int k = 0; k < weights.length; k++) {
          value += weights[k] * row[i][across.from(x) + k];
        }
        result[i * size + x] = (float) (value / across.sum(x));
      }
    }
    return result;
  }

  /** Makes the next row of the square. */
  private void make() {
    for (; first < down.from(made); first++) {
      scaled.remove();
    }
    double[] values = new double[VALUES * size];
    int k = 0;
    for (float[] each : scaled) {
      if (k < down.weights(made).length) {
        double weight = down.weights(made)[k];
        for (int i = 0; i < values.length; i++) {
          values[i] += weight * each[i];
        }
      }
      k++;
    }
    for (int x = 0; x < size; x++) {
      float opacity = alpha ? (float) (values[OPACITY * size + x] / down.sum(made)) : 1;
      int argb = Math.round(255 * opacity) << 24;
      for (int i = 0; i < OPACITY; i++) {
        float color = (float) (values[i * size + x] / down.sum(made));
        argb |= Math.round(color / opacity) << (8 * i);
      }
      pixels[made * size + x] = argb >>> 24 == 0 ? 0xffffff : argb;
    }
    made++;
  }

  /** Which old pixels a new one is made of, and how much each of them counts. */
  private static final class Axis {
    private final int[] from;
    private final double[][] weights;
    private final double[] sums;

    /**
     * Computes them.
     *
     * @param length of the old line
     * @param size of the new one, its middle
     * @param scale old pixels a new one
     */
    Axis(int length, int size, double scale) {
      from = new int[size];
      weights = new double[size][];
      sums = new double[size];
      double radius = Math.max(1, scale);
      // Whole new pixels are cut off, so that nothing is blurred where nothing is scaled.
      double start = scale * Math.floor((length / scale - size) / 2);
      for (int i = 0; i < size; i++) {
        double center = start + scale * (i + 0.5);
        from[i] = Math.max(0, (int) Math.floor(center - radius));
        weights[i] = new double[Math.min(length, (int) Math.ceil(center + radius)) - from[i]];
        for (int k = 0; k < weights[i].length; k++) {
          weights[i][k] = Math.max(0, 1 - Math.abs(from[i] + k + 0.5 - center) / radius);
          sums[i] += weights[i][k];
        }
      }
    }

    int from(int i) {
      return from[i];
    }

    int to(int i) {
      return from[i] + weights[i].length;
    }

    double[] weights(int i) {
      return weights[i];
    }

    double sum(int i) {
      return sums[i];
    }
  }
}

package io.github.ddpm;

import java.util.Arrays;

/** What becomes of the network's output before the next x is made of it, image by image. */
final class Estimates {
  private Estimates() {}

  /** Moves outputs away from those without a label. */
  static float[] guided(Guidance guidance, float[] labeled, float[] unlabeled, int count) {
    float[] out = new float[labeled.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = (float) (unlabeled[i] + guidance.weight() * (labeled[i] - unlabeled[i]));
    }
    if (guidance.rescale() > 0) {
      int size = out.length / count;
      for (int from = 0; from < out.length; from += size) {
        double guided = deviation(out, from, size);
        // What is the same everywhere has nothing to rescale.
        double ratio = guided > 0 ? deviation(labeled, from, size) / guided : 1;
        double factor = guidance.rescale() * ratio + 1 - guidance.rescale();
        for (int i = from; i < from + size; i++) {
          out[i] = (float) (factor * out[i]);
        }
      }
    }
    return out;
  }

  private static double deviation(float[] values, int from, int size) {
    double mean = 0;
    for (int i = from; i < from + size; i++) {
      mean += values[i] / (double) size;
    }
    double squares = 0;
    for (int i = from; i < from + size; i++) {
      squares += (values[i] - mean) * (values[i] - mean);
    }
    return Math.sqrt(squares / size);
  }

  /** Estimates the images, and clips them or brings them below their threshold. */
  static float[] ofImages(DenoiseRequest request, Step step, float[] x, float[] out) {
    float[] x0 = new float[x.length];
    int size = x.length / request.count();
    double clip = request.clip();
    double[] raw = new double[size];
    for (int from = 0; from < x.length; from += size) {
      for (int i = 0; i < size; i++) {
        raw[i] = step.x0FromX() * x[from + i] + step.x0FromOut() * out[from + i];
      }
      double limit = clip;
      double divisor = 1;
      if (request.thresholdRatio() > 0) {
        limit = Math.min(clip, Math.max(1, quantile(raw, request.thresholdRatio())));
        divisor = limit;
      }
      for (int i = 0; i < size; i++) {
        x0[from + i] = (float) (Math.max(-limit, Math.min(limit, raw[i])) / divisor);
      }
    }
    return x0;
  }

  /** Gives noise the standard deviations that were learned, on the way from 1 to e to the range. */
  static float[] spread(float[] z, float[] variance, double range) {
    float[] spread = new float[z.length];
    for (int i = 0; i < z.length; i++) {
      spread[i] = (float) (Math.exp(range * variance[i]) * z[i]);
    }
    return spread;
  }

  /** Returns what a share of the absolute values is at most at, between two values linearly. */
  private static double quantile(double[] values, double ratio) {
    double[] sorted = Arrays.stream(values).map(Math::abs).sorted().toArray();
    double place = ratio * (sorted.length - 1);
    int below = (int) place;
    int above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  }
}

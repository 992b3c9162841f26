package com.example;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** A project whose only dependency is ddpm-tf. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var sum = tf.math.add(tf.constant(2f), tf.constant(3f));
      try (var result = session.runner().fetch(sum).run()) {
        check(((TFloat32) result.get(0)).getFloat() == 5f, "TensorFlow can't add");
      }
    }

    Images images = Sampler.ddim(0.0).steps(3).with(new Black()).seed(1).sample(2);
    for (float value : images.toArray()) {
      check(value == -1f, "the model says black, got " + images);
    }

    draws(16, Sampler.ddim(0.0).sample(16));
    draws(4, Sampler.ddpm().sample(4));
    draws(4, Sampler.dpmSolver().sample(4));
    draws(9, Sampler.ddim(0.5).steps(20).labels(7).guidance(2).seed(1).sample(9));
  }

  /** Digits are neither noise nor blank: most pixels are black, some are white. */
  private static void draws(int count, Images images) {
    check(images.count() == count, "asked for " + count + ", got " + images);
    check(images.height() == 28 && images.width() == 28, "digits are 28x28, got " + images);
    for (int k = 0; k < count; k++) {
      float[] pixels = images.slice(k, k + 1).toArray();
      int black = 0;
      int white = 0;
      for (float pixel : pixels) {
        black += pixel < -0.8 ? 1 : 0;
        white += pixel > 0.5 ? 1 : 0;
      }
      check(
          black > pixels.length / 2 && white > pixels.length / 150,
          "image " + k + " has " + black + " black and " + white + " white pixels");
    }
  }

  private static void check(boolean condition, String message) {
    if (!condition) {
      throw new AssertionError(message);
    }
  }

  /** Sees a black image in any noise. */
  private static final class Black implements Predictor {
    @Override
    public ModelInfo info() {
      return new ModelInfo(4, 4, 1, 0, false, BetaSchedule.linear(), PredictionType.SAMPLE);
    }

    @Override
    public float[] predict(float[] x, double timestep, int... labels) {
      float[] black = new float[x.length];
      java.util.Arrays.fill(black, -1f);
      return black;
    }

    @Override
    public void close() {}
  }
}

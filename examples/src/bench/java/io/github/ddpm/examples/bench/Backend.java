package io.github.ddpm.examples.bench;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What a contender can do. What it can't throws {@link UnsupportedOperationException} with the
 * reason.
 */
interface Backend {
  /** Program and version. */
  String version();

  /**
   * The network with the benchmark's weights.
   *
   * @param files as {@link BenchmarkFiles} unpacks them
   */
  Predictor predictor(Path files) throws IOException;

  /**
   * Training of the network.
   *
   * @param files as {@link BenchmarkFiles} unpacks them
   */
  Training training(Path files) throws IOException;

  /**
   * The loss of the benchmark's weights: the mean squared error of the noise that the network finds
   * in noisy images.
   *
   * @param images [n, 28, 28, 1]
   * @param noise likewise
   * @param timesteps [n]
   */
  default double loss(Path files, float[] images, float[] noise, int... timesteps)
      throws IOException {
    try (Predictor predictor = predictor(files)) {
      ModelInfo info = predictor.info();
      double sum = 0;
      for (int image = 0; image < timesteps.length; image++) {
        int begin = image * info.imageSize();
        double alphaBar = info.schedule().alphaBar(timesteps[image]);
        float[] x = new float[info.imageSize()];
        for (int i = 0; i < x.length; i++) {
          x[i] =
              (float)
                  (Math.sqrt(alphaBar) * images[begin + i]
                      + Math.sqrt(1 - alphaBar) * noise[begin + i]);
        }
        float[] out = predictor.predict(x, timesteps[image]);
        float[] target = Arrays.copyOfRange(noise, begin, begin + out.length);
        for (int i = 0; i < out.length; i++) {
          sum += (out[i] - target[i]) * (out[i] - target[i]);
        }
      }
      return sum / noise.length;
    }
  }

  /** Training that has begun. */
  interface Training extends AutoCloseable {
    /**
     * Draws timesteps and noise, and takes one step by AdamW with clipped gradients and a moving
     * average of the weights.
     *
     * @param images [n, 28, 28, 1]
     * @return the loss
     */
    double step(float[] images);

    @Override
    void close();
  }
}

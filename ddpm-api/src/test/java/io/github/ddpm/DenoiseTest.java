package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The default of {@link Predictor#denoise}, which others are held to, against the formula of {@link
 * Step}.
 */
class DenoiseTest {
  private static final int ROWS = 6;

  private final FormulaPredictor model = FormulaPredictor.withLabels();
  private final int size = model.info().imageSize();

  @ParameterizedTest
  @ValueSource(doubles = {1, 2.5, 0})
  void everyWeightDoesWhatStepSays(double guidance) {
    Random random = new Random(3);
    List<Step> rows = IntStream.range(0, ROWS).mapToObj(row -> randomRow(random)).toList();
    List<Progress> told = new ArrayList<>();
    DenoiseRequest request =
        new DenoiseRequest(rows, 1, 11, 5, List.of(3, 8), guidance, 0.4, told::add);
    Images images = model.denoise(request);

    double[] x = doubles(GaussianNoise.INITIAL);
    List<double[]> kept =
        new ArrayList<>(List.of(new double[size], new double[size], new double[size]));
    for (int row = 0; row < ROWS; row++) {
      Step step = rows.get(row);
      float[] labeled = model.predict(floats(x), step.timestep(), 8);
      float[] unlabeled = model.predict(floats(x), step.timestep(), 10);
      double[] z = doubles(1 + row);
      double[] estimate = new double[size];
      double[] next = new double[size];
      double[] keeps = new double[size];
      for (int i = 0; i < size; i++) {
        double out = guidance * labeled[i] + (1 - guidance) * unlabeled[i];
        double unclipped = step.x0FromX() * x[i] + step.x0FromOut() * out;
        estimate[i] = unclipped > 0.4 ? 0.4 : unclipped < -0.4 ? -0.4 : unclipped;
        next[i] = step.fromX() * x[i] + step.fromOut() * out + step.fromNoise() * z[i];
        next[i] += step.fromX0() * estimate[i];
        next[i] += step.fromPrevious() * kept.get(row + 2)[i];
        next[i] += step.fromOlder() * kept.get(row + 1)[i];
        next[i] += step.fromOldest() * kept.get(row)[i];
        keeps[i] = step.keptFromX() * x[i] + step.keptFromX0() * estimate[i];
      }
      kept.add(keeps);
      x = next;
      assertThat(told.get(row).x0().toArray()).containsExactly(floats(estimate), within(1e-5f));
    }
    assertThat(images.toArray()).containsExactly(floats(x), within(1e-5f));
  }

  private static Step randomRow(Random random) {
    double[] w = random.doubles(10, -0.7, 0.7).toArray();
    double fresh = random.nextDouble() * 0.7;
    double timestep = random.nextDouble() * 999;
    return new Step(
        timestep, 0.6, 0.8, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], fresh, w[8], w[9]);
  }

  private double[] doubles(int stream) {
    float[] noise = new float[size];
    GaussianNoise.fill(noise, 0, size, 11, 5, stream);
    return IntStream.range(0, size).mapToDouble(i -> noise[i]).toArray();
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }
}

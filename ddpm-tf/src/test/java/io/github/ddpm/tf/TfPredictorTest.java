package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.PredictorContract;
import io.github.ddpm.Sampler;
import java.util.Map;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

/** TensorFlow's predictor keeps the contract, with labels and without. */
class TfPredictorTest {
  @Nested
  class WithLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(
          UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withClasses(10), Precision.FLOAT32);
    }
  }

  @Nested
  class WithoutLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(UNetConfig.small(4, 8, 3).withBlockOutChannels(8, 8), Precision.FLOAT32);
    }
  }

  @Test
  void bfloat16PredictsAndSamplesWhatFloat32DoesUpToItsRounding() {
    UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16);
    try (Predictor exact = random(config, Precision.FLOAT32);
        Predictor rounded = random(config, Precision.BFLOAT16)) {
      float[] x = new float[2 * 64];
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) Math.sin(i);
      }
      float[] out = exact.predict(x, 500);
      assertThat(rounded.predict(x, 500)).isNotEqualTo(out).containsExactly(out, within(0.03f));
      Sampler sampler = Sampler.ddim(0).steps(5).seed(1);
      float[] images = sampler.with(exact).sample(3).toArray();
      assertThat(sampler.with(rounded).sample(3).toArray()).containsExactly(images, within(0.1f));
    }
  }

  @Test
  void weightsThatAreFedAreAsGoodAsConstants() {
    UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withClasses(3);
    ModelInfo info = config.info(BetaSchedule.cosine(), PredictionType.V_PREDICTION);
    Parameters parameters = Parameters.of(config);
    Map<String, Weight> weights = parameters.unpack(parameters.initial(7));
    Sampler sampler = Sampler.ddim(0.5).steps(4).labels(2, 0).guidance(1.5).seed(1);
    try (Predictor constants = predictor(config, info, weights, Long.MAX_VALUE);
        Predictor half = predictor(config, info, weights, parameters.size() / 2);
        Predictor fed = predictor(config, info, weights, 0)) {
      float[] images = sampler.with(constants).sample(3).toArray();
      assertThat(sampler.with(half).sample(3).toArray()).containsExactly(images, within(1e-4f));
      assertThat(sampler.with(fed).sample(3).toArray()).containsExactly(images, within(1e-4f));
    }
  }

  private static Predictor predictor(
      UNetConfig config, ModelInfo info, Map<String, Weight> weights, long maxConstants) {
    return new TfPredictor(config, info, Sampler.ddim(0), weights, Precision.FLOAT32, maxConstants);
  }

  /** A network of random weights, as training starts from. */
  private static Predictor random(UNetConfig config, Precision precision) {
    ModelInfo info = config.info(BetaSchedule.cosine(), PredictionType.V_PREDICTION);
    Parameters parameters = Parameters.of(config);
    return new TfPredictor(
        config, info, Sampler.ddim(0), parameters.unpack(parameters.initial(7)), precision);
  }
}

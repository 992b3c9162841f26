package io.github.ddpm.tf;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.PredictorContract;
import org.junit.jupiter.api.Nested;

/** TensorFlow's predictor keeps the contract, with labels and without. */
class TfPredictorTest {
  @Nested
  class WithLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withClasses(10));
    }
  }

  @Nested
  class WithoutLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(UNetConfig.small(4, 8, 3).withBlockOutChannels(8, 8));
    }
  }

  /** A network of random weights, as training starts from. */
  private static Predictor random(UNetConfig config) {
    ModelInfo info = config.info(BetaSchedule.cosine(), PredictionType.V_PREDICTION);
    Parameters parameters = Parameters.of(config);
    return new TfPredictor(config, info, parameters.unpack(parameters.initial(7)));
  }
}

package io.github.ddpm;

import org.junit.jupiter.api.Nested;

/** The contract with a model in plain Java, whose {@code denoise} is the interface's own. */
class FormulaPredictorTest {
  @Nested
  class WithLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return FormulaPredictor.withLabels();
    }
  }

  @Nested
  class KnowingItsLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return new FormulaPredictor(
          FormulaPredictor.withLabels().info().withLabelCounts(ModelInfoTest.DIGITS));
    }
  }

  @Nested
  class KnowingItsLabelsAlone extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return new FormulaPredictor(
          FormulaPredictor.needingLabels().info().withLabelCounts(ModelInfoTest.DIGITS));
    }
  }

  @Nested
  class NeedingLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return FormulaPredictor.needingLabels();
    }
  }

  @Nested
  class WithAVariance extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return new FormulaPredictor(FormulaPredictor.withLabels().info()) {
        @Override
        public float[] predictVariance(float[] x, double timestep, int... labels) {
          float[] variance = predict(x, timestep, labels);
          for (int i = 0; i < variance.length; i++) {
            variance[i] = Math.abs(variance[i]);
          }
          return variance;
        }
      };
    }

    @Override
    protected boolean learnsVariance() {
      return true;
    }
  }

  @Nested
  class WithACondition extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return FormulaPredictor.withACondition();
    }
  }

  @Nested
  class WithoutLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return FormulaPredictor.withoutLabels();
    }
  }
}

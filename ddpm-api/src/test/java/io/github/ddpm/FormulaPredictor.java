package io.github.ddpm;

import static com.google.common.base.Preconditions.checkState;

/**
 * A model that is a formula: the best predictor for pixels that are N(m, 0.25), where m depends on
 * the label, on the pixel's position and on its condition.
 */
class FormulaPredictor implements Predictor {
  private static final double VARIANCE = 0.25;

  private final ModelInfo info;
  private volatile boolean closed;

  FormulaPredictor(ModelInfo info) {
    this.info = info;
  }

  /** 10 classes and a null label, 3x2 gray. */
  static FormulaPredictor withLabels() {
    return new FormulaPredictor(
        new ModelInfo(3, 2, 1, 10, true, BetaSchedule.cosine(), PredictionType.V_PREDICTION));
  }

  /** 10 classes and no null label, 2x2 RGB. */
  static FormulaPredictor needingLabels() {
    return new FormulaPredictor(
        new ModelInfo(2, 2, 3, 10, false, BetaSchedule.linear(), PredictionType.SAMPLE));
  }

  /** No labels, 3x3 gray. */
  static FormulaPredictor withoutLabels() {
    return new FormulaPredictor(
        new ModelInfo(3, 3, 1, 0, false, BetaSchedule.linear(), PredictionType.EPSILON));
  }

  /** 10 classes and a null label, 3x2 RGB conditioned on 2 channels. */
  static FormulaPredictor withACondition() {
    return new FormulaPredictor(
        new ModelInfo(3, 2, 3, 10, true, BetaSchedule.cosine(), PredictionType.V_PREDICTION)
            .withConditionChannels(2));
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public float[] predict(float[] x, double timestep, int... labels) {
    checkState(!closed, "the model is closed");
    int count = info.checkInput(x, timestep, labels);
    int size = info.imageSize();
    double alphaBar = info.schedule().alphaBar(timestep);
    double signal = Math.sqrt(alphaBar);
    double noise = Math.sqrt(1 - alphaBar);
    double fromNoise = info.predictionType().fromNoise(signal, noise);
    double fromX0 = info.predictionType().fromX0(signal, noise);
    int channels = info.channels();
    int inChannels = channels + info.conditionChannels();
    float[] out = new float[count * size];
    for (int i = 0; i < out.length; i++) {
      int pixel = i / channels * inChannels;
      double mean = Math.sin(i % size + (labels.length == 0 ? 0 : 3 * labels[i / size])) / 2;
      for (int k = channels; k < inChannels; k++) {
        mean += 0.2 * k * x[pixel + k];
      }
      double surprise =
          (x[pixel + i % channels] - signal * mean) / (alphaBar * VARIANCE + 1 - alphaBar);
      double image = mean + signal * VARIANCE * surprise;
      out[i] = (float) (fromNoise * noise * surprise + fromX0 * image);
    }
    return out;
  }

  @Override
  public void close() {
    closed = true;
  }
}

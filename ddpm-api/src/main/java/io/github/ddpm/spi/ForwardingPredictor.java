package io.github.ddpm.spi;

import static java.util.Objects.requireNonNull;

import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;

/**
 * A model that hands all calls to another one, but that closing it does nothing: whoever opened the
 * other one closes that. Extend it to change one of them.
 */
public class ForwardingPredictor implements Predictor {
  private final Predictor model;

  /**
   * Makes a predictor that hands its calls to this one.
   *
   * @param model who answers the calls; not null
   */
  public ForwardingPredictor(Predictor model) {
    this.model = requireNonNull(model, "model");
  }

  @Override
  public ModelInfo info() {
    return model.info();
  }

  @Override
  public float[] predict(float[] x, double timestep, int... labels) {
    return model.predict(x, timestep, labels);
  }

  @Override
  public float[] predictVariance(float[] x, double timestep, int... labels) {
    return model.predictVariance(x, timestep, labels);
  }

  @Override
  public Images denoise(DenoiseRequest request) {
    return model.denoise(request);
  }

  @Override
  public Sampler sampler() {
    return model.sampler().with(this);
  }

  @Override
  public void close() {}
}

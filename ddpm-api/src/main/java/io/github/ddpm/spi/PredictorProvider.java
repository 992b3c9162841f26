package io.github.ddpm.spi;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Runs models: what stands behind {@link Predictor#load}, {@link Predictor#fromHub} and {@link
 * Predictor#pretrained}. The {@link java.util.ServiceLoader} finds it, so a jar that has one names
 * it in {@code META-INF/services} and, if it is a module, in its {@code provides}.
 */
public interface PredictorProvider {
  /**
   * Does what {@link Predictor#load(Path, Precision)} says.
   *
   * @param folder a model in the layout of diffusers
   * @param precision null for the one that models run fastest in on this machine
   * @return the model, which the caller closes
   * @throws IOException as that method does
   */
  Predictor load(Path folder, Precision precision) throws IOException;

  /**
   * Does what {@link Predictor#load(Path, BetaSchedule, PredictionType, Precision)} says.
   *
   * @param folder a network that was saved alone
   * @param schedule the noise that it was trained with
   * @param type what it predicts
   * @param precision null for the one that models run fastest in on this machine
   * @return the model, which the caller closes
   * @throws IOException as that method does
   */
  Predictor load(Path folder, BetaSchedule schedule, PredictionType type, Precision precision)
      throws IOException;

  /**
   * Does what {@link Predictor#fromHub(String, String, Precision)} says.
   *
   * @param name {@code owner/name} on the hub
   * @param revision a branch, a tag or a commit
   * @param precision null for the one that models run fastest in on this machine
   * @return the model, which the caller closes
   * @throws IOException as that method does
   */
  Predictor fromHub(String name, String revision, Precision precision) throws IOException;

  /**
   * Does what {@link Predictor#pretrained(String, Precision)} says.
   *
   * @param name one of the models that come with the library, such as {@code digits}
   * @param precision null for the one that models run fastest in on this machine
   * @return the model, which is shared, so that closing it does nothing
   */
  Predictor pretrained(String name, Precision precision);
}

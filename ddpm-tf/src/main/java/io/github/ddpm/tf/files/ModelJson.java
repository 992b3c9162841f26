package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.graph.UNetConfig;
import java.util.Optional;

/** What a model is beside its weights, as one object that has the files of its folder. */
public final class ModelJson {
  private static final String NETWORK = "unet";
  private static final String SCHEDULER = "scheduler";
  private static final String INDEX = "model_index";

  private ModelJson() {}

  /** Writes a model. */
  public static ObjectNode write(ModelConfig model) {
    ObjectNode json = Json.object();
    json.set(NETWORK, UNetJson.write(model, ModelFolder.DIFFUSERS_VERSION));
    json.set(SCHEDULER, SchedulerJson.write(model, ModelFolder.DIFFUSERS_VERSION));
    json.set(INDEX, SchedulerJson.writeIndex(model.pipeline(), ModelFolder.DIFFUSERS_VERSION));
    return json;
  }

  /**
   * Reads a model.
   *
   * @throws IllegalArgumentException if it isn't one
   */
  public static ModelConfig read(JsonNode json) {
    UNetConfig network = UNetJson.read(json.path(NETWORK));
    JsonNode scheduler = json.path(SCHEDULER);
    PipelineScheduler pipeline =
        SchedulerJson.pipeline(scheduler, Optional.of(SchedulerJson.index(json.path(INDEX))));
    ModelInfo info =
        UNetJson.withClasses(json.path(NETWORK), SchedulerJson.info(scheduler, network));
    return new ModelConfig(network, info, pipeline);
  }
}

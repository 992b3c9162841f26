package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A model on disk, in the layout of diffusers: {@code model_index.json}, {@code unet/config.json},
 * {@code unet/diffusion_pytorch_model.safetensors} and {@code scheduler/scheduler_config.json}.
 * What is read may do without the first, and may have the others side by side, without sub-folders,
 * as the first models published have.
 *
 * <p>Whoever reads one closes it when its weights have been read.
 *
 * @param config what the files say
 * @param weights where its weights are
 * @param files that it was read from
 */
public record ModelFolder(ModelConfig config, WeightFiles weights, Snapshot files)
    implements Closeable {
  static final String DIFFUSERS_VERSION = "0.35.0";
  private static final String UNET = "unet";
  private static final String SCHEDULER = "scheduler";
  private static final String INDEX = "model_index.json";

  /** Where a training's checkpoint has the moving average of the weights of its network. */
  private static final String EMA = "unet_ema";

  private static final String ONE_OF_SEVERAL =
      "a checkpoint has several networks; give the folder of one, such as unet_ema";

  private static final String UNET_CONFIG = "config.json";
  private static final String SCHEDULER_CONFIG = "scheduler_config.json";

  /**
   * Parts of models that draw latents, or what a text says: their U-Net alone makes no pictures.
   */
  private static final List<String> LATENT =
      List.of("vqvae", "vae", "movq", "text_encoder", "prior", "transformer");

  /** The files of a model, by their names in its folder. */
  public static final List<String> FILES =
      List.of(
          INDEX,
          UNET + "/" + UNET_CONFIG,
          UNET + "/" + WeightFiles.NAME,
          SCHEDULER + "/" + SCHEDULER_CONFIG);

  /**
   * Reads a model; its weights are read as they are asked for.
   *
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong with it
   */
  public static ModelFolder read(Path folder) throws IOException {
    return newest(folder, ModelFolder::config);
  }

  /**
   * Reads a network whose schedule and prediction type are known; what is said of them in its
   * folder, or in the folder that has it as {@code unet/}, is not read. It is sampled as models
   * that are trained here.
   *
   * @throws IOException if something of the network is missing or wrong; the message names the file
   *     and what is wrong with it
   * @throws IllegalArgumentException if the type doesn't go with the schedule
   */
  public static ModelFolder read(Path folder, BetaSchedule schedule, PredictionType type)
      throws IOException {
    // Of any picture, so that the message blames no file.
    ModelInfo sampled = new ModelInfo(1, 1, 1, 0, false, schedule, type);
    return newest(folder, files -> config(files, sampled.schedule(), sampled.predictionType()));
  }

  private static ModelFolder newest(Path folder, Configs configs) throws IOException {
    while (true) {
      ModelFolder model = read(Snapshot.ofModel(folder), configs);
      if (!model.files.isOutdated()) {
        return model;
      }
      model.close();
    }
  }

  /**
   * Reads a model of files that are open.
   *
   * @param files are closed with the model, or if it can't be read
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong with it
   */
  public static ModelFolder read(Snapshot files) throws IOException {
    return read(files, ModelFolder::config);
  }

  private static ModelFolder read(Snapshot files, Configs configs) throws IOException {
    boolean done = false;
    try {
      checkOfPixels(files);
      ModelConfig config = configs.read(files);
      WeightFiles weights = WeightFiles.find(files, unet(files));
      done = true;
      return new ModelFolder(config, weights, files);
    } catch (NoSuchFileException e) {
      throw new NoSuchFileException(
          e.getFile(),
          null,
          "not a model folder: this file is missing" + advice(files, e.getFile()));
    } finally {
      if (!done) {
        files.close();
      }
    }
  }

  private static void checkOfPixels(Listing files) throws IOException {
    for (String name : LATENT) {
      if (files.hasFolder(name)) {
        throw new IOException(
            files.path(name)
                + ": not supported: a model of pixels has a unet and a scheduler and no more");
      }
    }
  }

  /**
   * Chooses the files that {@link #read(Path)} would read of those that there are. A scheduler may
   * be missing, as its network may have been saved alone.
   *
   * @return their names, that of the weights last, which may be an index of further files: {@link
   *     WeightFiles#listedIn}
   * @throws IOException if it is a model of another kind, or has no network
   */
  public static List<String> choose(Listing files) throws IOException {
    checkOfPixels(files);
    String network = unet(files);
    String config = network + UNET_CONFIG;
    if (!files.has(config)) {
      throw new IOException(files.path(config) + ": not a model folder: this file is missing");
    }
    String scheduler = part(files, SCHEDULER, SCHEDULER_CONFIG) + SCHEDULER_CONFIG;
    List<String> names = new ArrayList<>();
    Stream.of(INDEX, scheduler).filter(files::has).forEach(names::add);
    names.addAll(List.of(config, WeightFiles.name(files, network)));
    return names;
  }

  /** Says what to do where a network is alone, or one of several. */
  private static String advice(Snapshot files, String missing) {
    if (missing.endsWith(SCHEDULER_CONFIG)) {
      return "; Predictor.load, Trainer.fineTune and ModelFiles.convert take a schedule and a type in place of it";
    }
    return files.hasFolder(EMA) ? "; " + ONE_OF_SEVERAL : "";
  }

  /** Reads what a whole model is. */
  private static ModelConfig config(Snapshot files) throws IOException {
    String scheduler = part(files, SCHEDULER, SCHEDULER_CONFIG) + SCHEDULER_CONFIG;
    Optional<SchedulerJson.Index> index =
        files.has(INDEX)
            ? Optional.of(parse(files, INDEX, Json.read(files, INDEX), SchedulerJson::index))
            : Optional.empty();
    UNetConfig network = network(files);
    JsonNode json = Json.read(files, scheduler);
    PipelineScheduler pipeline =
        parse(files, scheduler, json, config -> SchedulerJson.pipeline(config, index));
    ModelInfo info = parse(files, scheduler, json, config -> SchedulerJson.info(config, network));
    return new ModelConfig(network, withClasses(files, info), pipeline);
  }

  /** Reads what a network is of which the rest is known. */
  private static ModelConfig config(Snapshot files, BetaSchedule schedule, PredictionType type)
      throws IOException {
    if (files.hasFolder(UNET) && files.hasFolder(EMA)) {
      throw new IOException(files.path(EMA).getParent() + ": " + ONE_OF_SEVERAL);
    }
    UNetConfig network = network(files);
    ModelInfo info = parseNetwork(files, json -> network.info(schedule, type));
    return new ModelConfig(network, withClasses(files, info), PipelineScheduler.DEFAULT);
  }

  private static UNetConfig network(Snapshot files) throws IOException {
    return parseNetwork(files, UNetJson::read);
  }

  private static ModelInfo withClasses(Snapshot files, ModelInfo info) throws IOException {
    return parseNetwork(files, json -> UNetJson.withClasses(json, info));
  }

  private static <T> T parseNetwork(Snapshot files, Reader<T> reader) throws IOException {
    String file = unet(files) + UNET_CONFIG;
    return parse(files, file, Json.read(files, file), reader);
  }

  /** Returns the folder of the network, with a slash; nothing for the model's own. */
  private static String unet(Listing files) {
    return part(files, UNET, UNET_CONFIG);
  }

  /**
   * Returns the sub-folder of that name, with a slash, or nothing, for the folder itself, where
   * diffusers would look next.
   */
  private static String part(Listing files, String name, String file) {
    return files.hasFolder(name) || !files.has(file) ? name + "/" : "";
  }

  /**
   * Writes a model, creating the folder if need be; other files in the folder stay.
   *
   * @param weights by name, in PyTorch's order of axes
   * @param type of the weights in the file
   * @throws IOException if it can't be written; what was there before stays
   */
  public static void write(Path folder, ModelConfig model, Map<String, Weight> weights, DType type)
      throws IOException {
    try (SaveFolder saves = SaveFolder.take(folder)) {
      write(saves, model, weights, type);
    }
  }

  /**
   * Writes a model to a folder that is ours.
   *
   * @throws IOException if it can't be written; what was there before stays
   */
  public static void write(
      SaveFolder saves, ModelConfig model, Map<String, Weight> weights, DType type)
      throws IOException {
    saves.save(parts(model, weights, type), bytes(weights, type), 0);
  }

  /** Returns how many bytes some weights take in a file, about. */
  public static long bytes(Map<String, Weight> weights, DType type) {
    return weights.values().stream()
        .mapToLong(weight -> weight.values().remaining() * (long) type.bytes())
        .sum();
  }

  /** Returns what writes each file and folder of a model. */
  public static Map<String, SaveFolder.Content> parts(
      ModelConfig model, Map<String, Weight> weights, DType type) {
    Map<String, SaveFolder.Content> parts = new LinkedHashMap<>();
    parts.put(
        UNET,
        part -> {
          Files.createDirectory(part);
          Json.write(part.resolve(UNET_CONFIG), UNetJson.write(model, DIFFUSERS_VERSION));
          SafeTensors.write(part.resolve(WeightFiles.NAME), weights, type);
        });
    parts.put(
        SCHEDULER,
        part -> {
          Files.createDirectory(part);
          Json.write(part.resolve(SCHEDULER_CONFIG), SchedulerJson.write(model, DIFFUSERS_VERSION));
        });
    parts.put(
        INDEX,
        part -> Json.write(part, SchedulerJson.writeIndex(model.pipeline(), DIFFUSERS_VERSION)));
    return parts;
  }

  /** Reads what is in a file, which a message about it names. */
  private static <T> T parse(Snapshot files, String name, JsonNode json, Reader<T> reader)
      throws IOException {
    try {
      return reader.read(json);
    } catch (IllegalArgumentException e) {
      throw new IOException(files.path(name) + ": " + e.getMessage(), e);
    }
  }

  @Override
  public void close() throws IOException {
    files.close();
  }

  /** Reads the configuration of a model in one of the ways that there are. */
  private interface Configs {
    ModelConfig read(Snapshot files) throws IOException;
  }

  private interface Reader<T> {
    T read(JsonNode json);
  }
}

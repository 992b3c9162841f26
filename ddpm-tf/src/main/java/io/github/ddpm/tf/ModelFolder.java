package io.github.ddpm.tf;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.UUID;
import org.tensorflow.ndarray.Shape;

/**
 * A model on disk, in the layout of diffusers: {@code model_index.json}, {@code unet/config.json},
 * {@code unet/diffusion_pytorch_model.safetensors} and {@code scheduler/scheduler_config.json}.
 *
 * @param weights by name, in PyTorch's order of axes
 */
record ModelFolder(
    UNetConfig config,
    BetaSchedule schedule,
    PredictionType predictionType,
    Map<String, Weight> weights) {
  private static final String DIFFUSERS_VERSION = "0.35.0";
  private static final String UNET = "unet";
  private static final String SCHEDULER = "scheduler";
  private static final String INDEX = "model_index.json";
  private static final String UNET_CONFIG = "config.json";
  private static final String SCHEDULER_CONFIG = "scheduler_config.json";
  private static final String WEIGHTS = "diffusion_pytorch_model.safetensors";

  static final ObjectMapper JSON = new ObjectMapper();

  /**
   * Reads a model.
   *
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong with it
   */
  static ModelFolder read(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new NoSuchFileException(
          folder.toString(), null, "a model is a folder, and this is none");
    }
    Path unet = folder.resolve(UNET);
    Path scheduler = folder.resolve(SCHEDULER).resolve(SCHEDULER_CONFIG);
    try {
      UNetConfig config = parse(unet.resolve(UNET_CONFIG), DiffusersConfig::unet);
      BetaSchedule schedule = parse(scheduler, DiffusersConfig::schedule);
      PredictionType type = parse(scheduler, DiffusersConfig::predictionType);
      Map<String, Weight> weights = readWeights(unet.resolve(WEIGHTS), Parameters.of(config));
      return new ModelFolder(config, schedule, type, weights);
    } catch (NoSuchFileException e) {
      throw new NoSuchFileException(e.getFile(), null, "not a model folder: this file is missing");
    }
  }

  /**
   * Reads the weights of a network.
   *
   * @throws IOException if one is missing, too many or of the wrong shape, or the file isn't valid
   */
  static Map<String, Weight> readWeights(Path file, Parameters parameters) throws IOException {
    Map<String, Weight> weights = SafeTensors.read(file);
    for (Map.Entry<String, Shape> entry : parameters.shapes().entrySet()) {
      Weight weight = weights.get(entry.getKey());
      if (weight == null) {
        throw new IOException(file + ": weight " + entry.getKey() + " is missing");
      }
      Shape shape = Weight.inPyTorch(entry.getValue());
      if (!weight.shape().equals(shape)) {
        throw new IOException(
            file
                + ": weight "
                + entry.getKey()
                + " must have shape "
                + shape
                + ", got "
                + weight.shape());
      }
    }
    for (String name : weights.keySet()) {
      if (!parameters.shapes().containsKey(name)) {
        throw new IOException(file + ": weight " + name + " is not part of the network");
      }
    }
    return weights;
  }

  /**
   * Writes the model, creating the folder if need be. Each part replaces what was there only when
   * it is complete; other files in the folder stay.
   */
  void write(Path folder) throws IOException {
    Files.createDirectories(folder);
    replaceFolder(
        folder.resolve(UNET),
        part -> {
          writeJson(part.resolve(UNET_CONFIG), DiffusersConfig.ofUnet(config, DIFFUSERS_VERSION));
          SafeTensors.write(part.resolve(WEIGHTS), weights);
        });
    replaceFolder(
        folder.resolve(SCHEDULER),
        part ->
            writeJson(
                part.resolve(SCHEDULER_CONFIG),
                DiffusersConfig.ofScheduler(schedule, predictionType, DIFFUSERS_VERSION)));
    ObjectNode index = JSON.createObjectNode();
    index.put("_class_name", "DDPMPipeline").put("_diffusers_version", DIFFUSERS_VERSION);
    index.putArray(SCHEDULER).add("diffusers").add("DDPMScheduler");
    index.putArray(UNET).add("diffusers").add("UNet2DModel");
    Path temporary = folder.resolve("." + INDEX + "." + UUID.randomUUID());
    try {
      writeJson(temporary, index);
      Files.move(temporary, folder.resolve(INDEX), StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /** Fills a new folder, then puts it in the place of another. */
  static void replaceFolder(Path folder, Content content) throws IOException {
    Path parent = folder.toAbsolutePath().getParent();
    // Not Files.createTempDirectory, whose folders only their owner may read.
    String name = "." + folder.getFileName() + "." + UUID.randomUUID();
    Path complete = Files.createDirectory(parent.resolve(name));
    Path old = parent.resolve(name + ".old");
    try {
      content.write(complete);
      if (Files.exists(folder)) {
        Files.move(folder, old);
      }
      try {
        Files.move(complete, folder);
      } catch (IOException e) {
        if (Files.exists(old)) {
          Files.move(old, folder);
        }
        throw e;
      }
    } finally {
      delete(complete);
    }
    delete(old);
  }

  static JsonNode readJson(Path file) throws IOException {
    try {
      JsonNode json = JSON.readTree(file.toFile());
      if (!json.isObject()) {
        throw new IOException(file + ": must be a JSON object, got " + json.getNodeType());
      }
      return json;
    } catch (JsonProcessingException e) {
      throw new IOException(file + ": not JSON: " + e.getOriginalMessage(), e);
    }
  }

  static void writeJson(Path file, JsonNode json) throws IOException {
    JSON.writerWithDefaultPrettyPrinter().writeValue(file.toFile(), json);
  }

  private static <T> T parse(Path file, Reader<T> reader) throws IOException {
    if (!Files.exists(file)) {
      throw new NoSuchFileException(file.toString());
    }
    JsonNode json = readJson(file);
    try {
      return reader.read(json);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }

  private static void delete(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, IOException problem)
              throws IOException {
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /** Writes the files of a folder. */
  interface Content {
    void write(Path folder) throws IOException;
  }

  private interface Reader<T> {
    T read(JsonNode json);
  }
}

package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * A model on disk, in the layout of diffusers: {@code model_index.json}, {@code unet/config.json},
 * {@code unet/diffusion_pytorch_model.safetensors} and {@code scheduler/scheduler_config.json}.
 * What is read may do without the first, and may have the others side by side, without sub-folders,
 * as the first models published have.
 *
 * @param config what the files say
 * @param weights where its weights are
 */
public record ModelFolder(ModelConfig config, WeightFiles weights) {
  private static final String DIFFUSERS_VERSION = "0.35.0";
  private static final String UNET = "unet";
  private static final String SCHEDULER = "scheduler";
  private static final String INDEX = "model_index.json";
  private static final String UNET_CONFIG = "config.json";
  private static final String SCHEDULER_CONFIG = "scheduler_config.json";

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
    if (!Files.isDirectory(folder)) {
      throw new NoSuchFileException(
          folder.toString(), null, "a model is a folder, and this is none");
    }
    Path unet = part(folder, UNET, UNET_CONFIG);
    Path schedulerFile = part(folder, SCHEDULER, SCHEDULER_CONFIG).resolve(SCHEDULER_CONFIG);
    Path indexFile = folder.resolve(INDEX);
    try {
      Optional<SchedulerJson.Index> index =
          Files.exists(indexFile)
              ? Optional.of(parse(indexFile, SchedulerJson::index))
              : Optional.empty();
      UNetConfig network = parse(unet.resolve(UNET_CONFIG), UNetJson::read);
      PipelineScheduler pipeline =
          parse(schedulerFile, json -> SchedulerJson.pipeline(json, index));
      ModelInfo info = parse(schedulerFile, json -> SchedulerJson.info(json, network));
      return new ModelFolder(new ModelConfig(network, info, pipeline), WeightFiles.find(unet));
    } catch (NoSuchFileException e) {
      throw new NoSuchFileException(e.getFile(), null, "not a model folder: this file is missing");
    }
  }

  /**
   * Returns the sub-folder of that name, or, where diffusers would look next, the folder itself.
   */
  private static Path part(Path folder, String name, String file) {
    Path part = folder.resolve(name);
    return Files.isDirectory(part) || !Files.exists(folder.resolve(file)) ? part : folder;
  }

  /**
   * Writes a model, creating the folder if need be. Everything is written beside what was there
   * before, and only then put in its place; other files in the folder stay.
   *
   * @param weights by name, in PyTorch's order of axes
   * @param type of the weights in the file
   * @param more what fills further sub-folders, by name
   * @throws IOException if it can't be written; what was there before stays
   */
  public static void write(
      Path folder,
      ModelConfig model,
      Map<String, Weight> weights,
      DType type,
      Map<String, Content> more)
      throws IOException {
    Map<String, Content> parts = new LinkedHashMap<>(more);
    parts.put(
        UNET,
        part -> {
          Files.createDirectory(part);
          Json.write(part.resolve(UNET_CONFIG), UNetJson.write(model.network(), DIFFUSERS_VERSION));
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
    Files.createDirectories(folder);
    // Not Files.createTempDirectory, whose folders only their owner may read.
    Path staging = Files.createDirectory(folder.resolve("." + UUID.randomUUID()));
    try {
      for (Map.Entry<String, Content> part : parts.entrySet()) {
        part.getValue().write(staging.resolve(part.getKey()));
      }
      replace(folder, staging, List.copyOf(parts.keySet()));
    } finally {
      delete(staging);
    }
  }

  /** Swaps complete parts for the old ones; all of them, or, if one can't be moved, none. */
  private static void replace(Path folder, Path staging, List<String> parts) throws IOException {
    Path old = Files.createDirectory(staging.resolve("old"));
    int done = 0;
    try {
      for (; done < parts.size(); done++) {
        Path part = folder.resolve(parts.get(done));
        if (Files.exists(part)) {
          Files.move(part, old.resolve(parts.get(done)));
        }
        Files.move(staging.resolve(parts.get(done)), part);
      }
    } catch (IOException e) {
      for (int i = done; i >= 0; i--) {
        Path part = folder.resolve(parts.get(i));
        if (i < done) {
          Files.move(part, staging.resolve(parts.get(i)));
        }
        if (Files.exists(old.resolve(parts.get(i)))) {
          Files.move(old.resolve(parts.get(i)), part);
        }
      }
      throw e;
    }
  }

  private static <T> T parse(Path file, Reader<T> reader) throws IOException {
    if (!Files.exists(file)) {
      throw new NoSuchFileException(file.toString());
    }
    JsonNode json = Json.read(file);
    try {
      return reader.read(json);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }

  /** Deletes a folder with all that is in it, if it is there. */
  public static void delete(Path folder) throws IOException {
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

  /** Writes a file or a folder that isn't there yet. */
  public interface Content {
    /** Writes it to that place. */
    void write(Path part) throws IOException;
  }

  private interface Reader<T> {
    T read(JsonNode json);
  }
}

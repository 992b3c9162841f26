package io.github.ddpm.tf;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.ddpm.ModelInfo;
import java.io.CharConversionException;
import java.io.IOException;
import java.io.UncheckedIOException;
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
import java.util.function.Supplier;

/**
 * A model on disk, in the layout of diffusers: {@code model_index.json}, {@code unet/config.json},
 * {@code unet/diffusion_pytorch_model.safetensors} and {@code scheduler/scheduler_config.json}.
 * What is read may do without the first, and may have the others side by side, without sub-folders,
 * as the first models published have.
 *
 * @param config its network
 * @param info what sampling has to know of it
 * @param pipeline how it is sampled
 * @param weights by name, in PyTorch's order of axes; those of a model that was read are read one
 *     by one as they are asked for, which may throw {@link UncheckedIOException}
 */
record ModelFolder(
    UNetConfig config, ModelInfo info, PipelineScheduler pipeline, Map<String, Weight> weights) {
  private static final String DIFFUSERS_VERSION = "0.35.0";
  private static final String UNET = "unet";
  private static final String SCHEDULER = "scheduler";
  private static final String INDEX = "model_index.json";
  private static final String UNET_CONFIG = "config.json";
  private static final String SCHEDULER_CONFIG = "scheduler_config.json";

  /** Far more than a configuration needs, and little enough to be held as a tree. */
  private static final long MAX_JSON = 4_000_000;

  /** The files of a model, by their names in its folder. */
  static final List<String> FILES =
      List.of(
          INDEX,
          UNET + "/" + UNET_CONFIG,
          UNET + "/" + WeightFiles.NAME,
          SCHEDULER + "/" + SCHEDULER_CONFIG);

  static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .build();

  /**
   * Reads a model.
   *
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong with it
   */
  static ModelFolder read(Path folder) throws IOException {
    return read(folder, Scratch::new);
  }

  /**
   * Reads a model.
   *
   * @param scratch where each weight is read to when it is asked for
   */
  static ModelFolder read(Path folder, Supplier<Scratch> scratch) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new NoSuchFileException(
          folder.toString(), null, "a model is a folder, and this is none");
    }
    Path unet = part(folder, UNET, UNET_CONFIG);
    Path schedulerFile = part(folder, SCHEDULER, SCHEDULER_CONFIG).resolve(SCHEDULER_CONFIG);
    Path indexFile = folder.resolve(INDEX);
    try {
      Optional<DiffusersConfig.Index> index =
          Files.exists(indexFile)
              ? Optional.of(parse(indexFile, DiffusersConfig::index))
              : Optional.empty();
      UNetConfig config = parse(unet.resolve(UNET_CONFIG), DiffusersConfig::unet);
      PipelineScheduler pipeline =
          parse(schedulerFile, json -> DiffusersConfig.pipeline(json, index));
      ModelInfo info = parse(schedulerFile, json -> DiffusersConfig.info(json, config));
      return new ModelFolder(config, info, pipeline, WeightFiles.find(unet, config, scratch));
    } catch (NoSuchFileException e) {
      throw new NoSuchFileException(e.getFile(), null, "not a model folder: this file is missing");
    }
  }

  /**
   * Reads the weights of a network.
   *
   * @return each is read when it is asked for, which may throw {@link UncheckedIOException}
   * @throws IOException if one is missing, too many or of the wrong shape, or the file isn't valid
   */
  static Map<String, Weight> readWeights(Path file, Parameters parameters) throws IOException {
    return WeightFiles.check(file, SafeTensors.list(file), parameters, Scratch::new);
  }

  /** The sub-folder of that name, or, where diffusers would look next, the folder itself. */
  private static Path part(Path folder, String name, String file) {
    Path part = folder.resolve(name);
    return Files.isDirectory(part) || !Files.exists(folder.resolve(file)) ? part : folder;
  }

  /**
   * Writes the model, creating the folder if need be. Everything is written beside what was there
   * before, and only then put in its place; other files in the folder stay.
   *
   * @throws IOException if it can't be written; what was there before stays
   */
  void write(Path folder) throws IOException {
    write(folder, DType.F32, Map.of());
  }

  /**
   * Writes the model with further sub-folders.
   *
   * @param type of the weights in the file
   * @param more what fills each of them, by name
   */
  void write(Path folder, DType type, Map<String, Content> more) throws IOException {
    Map<String, Content> parts = new LinkedHashMap<>(more);
    parts.put(
        UNET,
        part -> {
          Files.createDirectory(part);
          writeJson(part.resolve(UNET_CONFIG), DiffusersConfig.ofUnet(config, DIFFUSERS_VERSION));
          SafeTensors.write(part.resolve(WeightFiles.NAME), weights, type);
        });
    parts.put(
        SCHEDULER,
        part -> {
          Files.createDirectory(part);
          writeJson(
              part.resolve(SCHEDULER_CONFIG),
              DiffusersConfig.ofScheduler(info, pipeline, DIFFUSERS_VERSION));
        });
    parts.put(INDEX, part -> writeJson(part, DiffusersConfig.ofIndex(pipeline, DIFFUSERS_VERSION)));
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

  static JsonNode readJson(Path file) throws IOException {
    if (Files.size(file) > MAX_JSON) {
      throw new IOException(
          file + ": must have at most " + MAX_JSON + " bytes, got " + Files.size(file));
    }
    try {
      JsonNode json = JSON.readTree(file.toFile());
      if (!json.isObject()) {
        throw new IOException(file + ": must be a JSON object, got " + json.getNodeType());
      }
      return json;
    } catch (JsonProcessingException e) {
      throw new IOException(file + ": not JSON: " + e.getOriginalMessage(), e);
    } catch (CharConversionException e) {
      throw new IOException(file + ": not JSON: " + e.getMessage(), e);
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

  static void delete(Path folder) throws IOException {
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
  interface Content {
    void write(Path part) throws IOException;
  }

  private interface Reader<T> {
    T read(JsonNode json);
  }
}

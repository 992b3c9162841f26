package io.github.ddpm.tf;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.common.base.Joiner;
import com.google.common.collect.Maps;
import io.github.ddpm.tf.SafeTensors.Stored;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.tensorflow.ndarray.Shape;

/**
 * The files in which diffusers keeps the weights of a network: {@code
 * diffusion_pytorch_model.safetensors}, or several that {@code
 * diffusion_pytorch_model.safetensors.index.json} lists, or a variant of either, such as {@code
 * diffusion_pytorch_model.fp16.safetensors}.
 */
final class WeightFiles {
  static final String NAME = "diffusion_pytorch_model.safetensors";

  private static final String STEM = "diffusion_pytorch_model.";
  private static final String EXTENSION = ".safetensors";
  private static final String INDEX = NAME + ".index.";

  /** What the parts of an attention block are called, before diffusers 0.15 and since. */
  private static final Map<String, String> RENAMED =
      Map.of(
          ".query.", ".to_q.", ".key.", ".to_k.", ".value.", ".to_v.", ".proj_attn.", ".to_out.0.");

  private WeightFiles() {}

  /**
   * Finds the weights of a network, also under the names that parts of attention blocks once had.
   *
   * @param folder the network's, with {@code config.json} in it
   * @param scratch where each weight is read to
   * @return the weights by name, each of which is read when it is asked for, which may throw {@link
   *     UncheckedIOException}
   * @throws IOException if they are not there or not those of the network; the message names the
   *     file and what is wrong
   */
  static Map<String, Weight> find(Path folder, UNetConfig config, Supplier<Scratch> scratch)
      throws IOException {
    Path file = choose(folder);
    Map<String, Stored> arrays =
        renamed(file, file.toString().endsWith(EXTENSION) ? SafeTensors.list(file) : shards(file));
    // Before the graph is built, which takes as long as the configuration says.
    if (config.resnets() > arrays.size()) {
      throw new IOException(
          file
              + ": the network of config.json has "
              + config.resnets()
              + " residual blocks, but here are only "
              + arrays.size()
              + " weights");
    }
    return check(file, arrays, Parameters.of(config), scratch);
  }

  private static Map<String, Stored> renamed(Path file, Map<String, Stored> arrays)
      throws IOException {
    Map<String, Stored> renamed = new LinkedHashMap<>();
    for (Map.Entry<String, Stored> entry : arrays.entrySet()) {
      String name = entry.getKey();
      if (name.contains("attentions.")) {
        for (Map.Entry<String, String> part : RENAMED.entrySet()) {
          name = name.replace(part.getKey(), part.getValue());
        }
      }
      if (renamed.put(name, entry.getValue()) != null) {
        throw new IOException(file + ": weight " + name + " is there twice, under an old name too");
      }
    }
    return renamed;
  }

  /**
   * Checks that these are the weights of a network.
   *
   * @param file named in messages
   * @param scratch where each weight is read to
   * @return the weights by name, each of which is read when it is asked for, which may throw {@link
   *     UncheckedIOException}
   * @throws IOException if one is missing, too many or of the wrong shape
   */
  static Map<String, Weight> check(
      Path file, Map<String, Stored> arrays, Parameters parameters, Supplier<Scratch> scratch)
      throws IOException {
    for (Map.Entry<String, Shape> entry : parameters.shapes().entrySet()) {
      Stored array = arrays.get(entry.getKey());
      if (array == null) {
        throw new IOException(file + ": weight " + entry.getKey() + " is missing");
      }
      Shape shape = Weight.inPyTorch(entry.getValue());
      if (!array.shape().equals(shape)) {
        throw new IOException(
            array.file()
                + ": weight "
                + entry.getKey()
                + " must have shape "
                + shape
                + ", got "
                + array.shape());
      }
    }
    for (Map.Entry<String, Stored> entry : arrays.entrySet()) {
      if (!parameters.shapes().containsKey(entry.getKey())) {
        throw new IOException(
            entry.getValue().file() + ": weight " + entry.getKey() + " is not part of the network");
      }
    }
    return Maps.transformValues(
        arrays,
        array -> {
          try {
            return array.read(scratch.get());
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }

  /** The one file to read: weights, or the index of several files of weights. */
  private static Path choose(Path folder) throws IOException {
    for (String name : List.of(NAME, INDEX + "json")) {
      if (Files.exists(folder.resolve(name))) {
        return folder.resolve(name);
      }
    }
    List<Path> variants;
    List<Path> pickles;
    try (Stream<Path> paths = Files.list(folder)) {
      List<Path> files = paths.filter(path -> name(path).startsWith(STEM)).sorted().toList();
      variants =
          files.stream()
              .filter(
                  path ->
                      name(path).matches("diffusion_pytorch_model\\.\\w+\\.safetensors")
                          || (name(path).startsWith(INDEX) && name(path).endsWith(".json")))
              .toList();
      pickles = files.stream().filter(path -> name(path).endsWith(".bin")).toList();
    }
    if (variants.size() == 1) {
      return variants.get(0);
    }
    if (!variants.isEmpty()) {
      throw new IOException(
          folder
              + ": there must be "
              + NAME
              + " or one variant of it, got "
              + Joiner.on(", ").join(variants.stream().map(WeightFiles::name).toList())
              + "; leave one");
    }
    if (!pickles.isEmpty()) {
      throw new IOException(
          pickles.get(0)
              + ": pickles are not read, because reading one can run any code; have diffusers save the model again with"
              + " save_pretrained(folder, safe_serialization=True)");
    }
    throw new IOException(folder.resolve(NAME) + ": this file is missing");
  }

  private static Map<String, Stored> shards(Path index) throws IOException {
    JsonNode places = ModelFolder.readJson(index).path("weight_map");
    if (!places.isObject() || places.isEmpty()) {
      throw new IOException(index + ": needs a weight_map that names files");
    }
    Map<String, Map<String, Stored>> files = new TreeMap<>();
    Map<String, Stored> arrays = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> place : places.properties()) {
      String file = place.getValue().asText();
      // Only files beside the index: a name from a file must not lead elsewhere.
      if (!file.matches("[\\w.-]+") || !file.endsWith(EXTENSION)) {
        throw new IOException(
            index + ": weight_map must name .safetensors files beside it, got " + file);
      }
      if (!files.containsKey(file)) {
        if (!Files.isRegularFile(index.resolveSibling(file))) {
          throw new IOException(index.resolveSibling(file) + ": this file is missing");
        }
        files.put(file, SafeTensors.list(index.resolveSibling(file)));
      }
      Stored array = files.get(file).remove(place.getKey());
      if (array == null) {
        throw new IOException(
            index.resolveSibling(file) + ": weight " + place.getKey() + " is missing");
      }
      arrays.put(place.getKey(), array);
    }
    for (Map<String, Stored> rest : files.values()) {
      for (Stored array : rest.values()) {
        throw new IOException(
            array.file() + ": weight " + array.name() + " is not in the weight_map of " + index);
      }
    }
    return arrays;
  }

  private static String name(Path path) {
    return path.getFileName().toString();
  }
}

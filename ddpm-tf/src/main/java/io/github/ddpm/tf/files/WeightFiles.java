package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.common.base.Joiner;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.files.SafeTensors.Stored;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.tensorflow.ndarray.Shape;

/**
 * The files in which diffusers keeps the weights of a network: {@code
 * diffusion_pytorch_model.safetensors}, or several that {@code
 * diffusion_pytorch_model.safetensors.index.json} lists, or a variant of either, such as {@code
 * diffusion_pytorch_model.fp16.safetensors}.
 */
public final class WeightFiles {
  static final String NAME = "diffusion_pytorch_model.safetensors";

  private static final String STEM = "diffusion_pytorch_model.";
  private static final String EXTENSION = ".safetensors";
  private static final String INDEX = NAME + ".index.";

  /** What the parts of an attention block are called, before diffusers 0.15 and since. */
  private static final Map<String, String> RENAMED =
      Map.of(
          ".query.", ".to_q.", ".key.", ".to_k.", ".value.", ".to_v.", ".proj_attn.", ".to_out.0.");

  /** What messages name. */
  private final Path file;

  private final Map<String, Stored> arrays;

  private WeightFiles(Path file, Map<String, Stored> arrays) {
    this.file = file;
    this.arrays = arrays;
  }

  /**
   * Finds the weights of a network, also under the names that parts of attention blocks once had.
   *
   * @param folder the network's, with {@code config.json} in it
   * @throws IOException if they are not there; the message names the file and what is wrong
   */
  static WeightFiles find(Path folder) throws IOException {
    Path file = choose(folder);
    return new WeightFiles(
        file,
        renamed(file, file.toString().endsWith(EXTENSION) ? SafeTensors.list(file) : shards(file)));
  }

  /**
   * Returns the weights of a file.
   *
   * @throws IOException if it isn't valid
   */
  public static WeightFiles of(Path file) throws IOException {
    return new WeightFiles(file, SafeTensors.list(file));
  }

  /** Returns the weights for a network to ask for, each of which is read when it is. */
  public WeightSource source() {
    return new Source();
  }

  /** Counts the numbers of all weights. */
  public double numbers() {
    return arrays.values().stream().mapToDouble(array -> (double) array.shape().size()).sum();
  }

  /** Returns the file, for messages. */
  @Override
  public String toString() {
    return file.toString();
  }

  /** Reads all weights one by one; each is gone when the next comes. */
  public void forEach(Consumer<Weight> consumer) throws IOException {
    Scratch scratch = new Scratch();
    for (Stored array : arrays.values()) {
      consumer.accept(array.read(scratch));
    }
  }

  /**
   * Checks that a weight is there, without reading it.
   *
   * @param shape in TensorFlow's order of axes
   * @throws IOException if there is none of that name and shape
   */
  public void check(String name, Shape shape) throws IOException {
    find(name, shape);
  }

  private Stored find(String name, Shape shape) throws IOException {
    Stored array = arrays.get(name);
    if (array == null) {
      throw new IOException(file + ": weight " + name + " is missing");
    }
    Shape expected = Weight.inPyTorch(shape);
    if (!array.shape().equals(expected)) {
      throw new IOException(
          array.file()
              + ": weight "
              + name
              + " must have shape "
              + expected
              + ", got "
              + Excerpt.of(array.shape()));
    }
    return array;
  }

  private final class Source implements WeightSource {
    private final Set<String> left = new LinkedHashSet<>(arrays.keySet());
    private final Scratch stored = new Scratch();
    private final Scratch turned = new Scratch();

    @Override
    public Weight get(String name, Shape shape) throws IOException {
      left.remove(name);
      Stored array = find(name, shape);
      Weight weight = array.read(stored);
      checkFinite(array, weight.values());
      return weight.toTensorFlow(turned::floats);
    }

    @Override
    public void checkNothingLeft() throws IOException {
      for (String name : left) {
        throw new IOException(
            arrays.get(name).file()
                + ": weight "
                + Excerpt.of(name)
                + " is not part of the network");
      }
    }
  }

  private static void checkFinite(Stored array, FloatBuffer values) throws IOException {
    for (int i = 0; i < values.limit(); i++) {
      if (!Float.isFinite(values.get(i))) {
        throw new IOException(
            array.file()
                + ": weight "
                + Excerpt.of(array.name())
                + " must hold finite numbers, got "
                + values.get(i)
                + " at "
                + i);
      }
    }
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
        throw new IOException(
            file + ": weight " + Excerpt.of(name) + " is there twice, under an old name too");
      }
    }
    return renamed;
  }

  /** Chooses the one file to read: weights, or the index of several files of weights. */
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
              + Excerpt.of(Joiner.on(", ").join(variants.stream().map(WeightFiles::name).toList()))
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
    JsonNode places = Json.read(index).path("weight_map");
    if (!places.isObject() || places.isEmpty()) {
      throw new IOException(index + ": needs a weight_map that names files");
    }
    Map<String, Map<String, Stored>> files = new TreeMap<>();
    Map<String, Stored> arrays = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> place : places.properties()) {
      String file = place.getValue().asText();
      // Only files beside the index: a name from a file must not lead elsewhere.
      if (!file.matches("[\\w.-]{1,200}") || !file.endsWith(EXTENSION)) {
        throw new IOException(
            index + ": weight_map must name .safetensors files beside it, got " + Excerpt.of(file));
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
            index.resolveSibling(file) + ": weight " + Excerpt.of(place.getKey()) + " is missing");
      }
      arrays.put(place.getKey(), array);
    }
    for (Map<String, Stored> rest : files.values()) {
      for (Stored array : rest.values()) {
        throw new IOException(
            array.file()
                + ": weight "
                + Excerpt.of(array.name())
                + " is not in the weight_map of "
                + index);
      }
    }
    return arrays;
  }

  private static String name(Path path) {
    return path.getFileName().toString();
  }
}

package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.tensorflow.ndarray.Shape;

/**
 * The files in which diffusers keeps the weights of a network: {@code
 * diffusion_pytorch_model.safetensors}, or several that {@code
 * diffusion_pytorch_model.safetensors.index.json} lists, or a variant of either, such as {@code
 * diffusion_pytorch_model.fp16.safetensors}. If there is none, the same with {@code bin} for {@code
 * safetensors}.
 */
public final class WeightFiles {
  static final String NAME = "diffusion_pytorch_model.safetensors";

  private static final String STEM = "diffusion_pytorch_model.";
  private static final String INDEX = ".index";
  private static final String JSON = ".json";

  /** What the names of all weights begin with where a network was saved inside of another. */
  private static final List<String> WRAPPERS = List.of("_orig_mod.", "module.");

  /** What the parts of an attention block are called, before diffusers 0.15 and since. */
  private static final Map<String, String> RENAMED =
      Map.of(
          ".query.", ".to_q.", ".key.", ".to_k.", ".value.", ".to_v.", ".proj_attn.", ".to_out.0.");

  /** What messages name. */
  private final Path file;

  private final Map<String, StoredArray> arrays;

  private WeightFiles(Path file, Map<String, StoredArray> arrays) {
    this.file = file;
    this.arrays = arrays;
  }

  /**
   * Finds the weights of a network, also under the names that parts of attention blocks once had.
   *
   * @param files which must stay open while weights are read
   * @param folder the network's, with a slash at its end, or empty
   * @throws IOException if they are not there; the message names the file and what is wrong
   */
  static WeightFiles find(Snapshot files, String folder) throws IOException {
    String name = name(files, folder);
    ArrayFormat format = format(name);
    Path file = files.path(name);
    return new WeightFiles(
        file,
        renamed(
            file,
            isIndex(name) ? shards(files, folder, name, format) : format.list(files.file(name))));
  }

  /**
   * Returns the name of the file that has the weights of a network, or lists those that do.
   *
   * @param folder the network's, with a slash at its end, or empty
   * @throws IOException if there is none, or more than one to choose from
   */
  static String name(Listing files, String folder) throws IOException {
    for (ArrayFormat format : ArrayFormat.values()) {
      Optional<String> name = choose(files, folder, format);
      if (name.isPresent()) {
        return name.get();
      }
    }
    throw new IOException(files.path(folder + NAME) + ": this file is missing");
  }

  /** Tells whether a file of weights only lists those that have them. */
  public static boolean isIndex(String name) {
    return name.endsWith(JSON);
  }

  /** Returns the format of a file of weights, or of those that it lists. */
  private static ArrayFormat format(String name) {
    String file = name.substring(name.lastIndexOf('/') + 1);
    return Stream.of(ArrayFormat.values())
        .filter(
            format ->
                isIndex(file)
                    ? file.startsWith(STEM + format.extension() + INDEX)
                    : file.endsWith("." + format.extension()))
        .findFirst()
        .orElseThrow();
  }

  /**
   * Returns the names of the files that an index lists, each once, without the folder that they and
   * it are in.
   *
   * @param name of the index, wherever it is
   * @throws IOException if it is no index, or names something that isn't beside it
   */
  public static Set<String> listedIn(Path index, String name) throws IOException {
    return new TreeSet<>(places(index, Json.read(index), format(name)).values());
  }

  /**
   * Returns the weights of a file.
   *
   * @param files which must stay open while weights are read
   * @throws IOException if it isn't valid
   */
  public static WeightFiles of(Snapshot files, String name) throws IOException {
    return new WeightFiles(files.path(name), SafeTensors.list(files.file(name)));
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
    for (StoredArray array : arrays.values()) {
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

  private StoredArray find(String name, Shape shape) throws IOException {
    StoredArray array = arrays.get(name);
    if (array == null) {
      throw new IOException(file + ": weight " + name + " is missing");
    }
    Shape expected = Weight.inPyTorch(shape);
    if (!array.shape().equals(expected)) {
      throw new IOException(
          array.file().path()
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
      StoredArray array = find(name, shape);
      Weight weight = array.read(stored);
      checkFinite(array, weight.values());
      return weight.toTensorFlow(turned::floats);
    }

    @Override
    public void checkNothingLeft() throws IOException {
      for (String name : left) {
        throw new IOException(
            arrays.get(name).file().path()
                + ": weight "
                + Excerpt.of(name)
                + " is not part of the network");
      }
    }
  }

  private static void checkFinite(StoredArray array, FloatBuffer values) throws IOException {
    for (int i = 0; i < values.limit(); i++) {
      if (!Float.isFinite(values.get(i))) {
        throw new IOException(
            array.file().path()
                + ": weight "
                + Excerpt.of(array.name())
                + " must hold finite numbers, got "
                + values.get(i)
                + " at "
                + i);
      }
    }
  }

  private static Map<String, StoredArray> renamed(Path file, Map<String, StoredArray> arrays)
      throws IOException {
    Map<String, StoredArray> renamed = new LinkedHashMap<>();
    String prefix =
        WRAPPERS.stream()
            .filter(each -> arrays.keySet().stream().allMatch(name -> name.startsWith(each)))
            .findFirst()
            .orElse("");
    for (Map.Entry<String, StoredArray> entry : arrays.entrySet()) {
      String name = entry.getKey().substring(prefix.length());
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

  /**
   * Chooses the one file to read: weights, or the index of several files of weights.
   *
   * @return empty if there is none of that format
   */
  private static Optional<String> choose(Listing files, String folder, ArrayFormat format)
      throws IOException {
    String name = STEM + format.extension();
    String index = name + INDEX;
    for (String whole : List.of(folder + name, folder + index + JSON)) {
      if (files.has(whole)) {
        return Optional.of(whole);
      }
    }
    List<String> variants =
        files.names(folder).stream()
            .map(file -> file.substring(folder.length()))
            .filter(
                file ->
                    file.matches("diffusion_pytorch_model\\.\\w+\\." + format.extension())
                        || (file.startsWith(index + ".") && file.endsWith(JSON)))
            .toList();
    if (variants.size() > 1) {
      throw new IOException(
          files.path(folder)
              + ": there must be "
              + name
              + " or one variant of it, got "
              + Excerpt.of(String.join(", ", variants))
              + "; leave one");
    }
    return variants.stream().findFirst().map(variant -> folder + variant);
  }

  private static Map<String, StoredArray> shards(
      Snapshot files, String folder, String index, ArrayFormat format) throws IOException {
    Path indexFile = files.path(index);
    Map<String, Map<String, StoredArray>> shards = new TreeMap<>();
    Map<String, StoredArray> arrays = new LinkedHashMap<>();
    for (Map.Entry<String, String> place :
        places(indexFile, Json.read(files, index), format).entrySet()) {
      String name = place.getValue();
      Path file = files.path(folder + name);
      if (!shards.containsKey(name)) {
        if (!files.has(folder + name)) {
          throw new IOException(file + ": this file is missing");
        }
        shards.put(name, format.list(files.file(folder + name)));
      }
      StoredArray array = shards.get(name).remove(place.getKey());
      if (array == null) {
        throw new IOException(file + ": weight " + Excerpt.of(place.getKey()) + " is missing");
      }
      arrays.put(place.getKey(), array);
    }
    for (Map<String, StoredArray> rest : shards.values()) {
      for (StoredArray array : rest.values()) {
        throw new IOException(
            array.file().path()
                + ": weight "
                + Excerpt.of(array.name())
                + " is not in the weight_map of "
                + indexFile);
      }
    }
    return arrays;
  }

  /** Returns the name of the file that has each weight, by the names of the weights. */
  private static Map<String, String> places(Path index, JsonNode json, ArrayFormat format)
      throws IOException {
    JsonNode map = json.path("weight_map");
    if (!map.isObject() || map.isEmpty()) {
      throw new IOException(index + ": needs a weight_map that names files");
    }
    Map<String, String> places = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> place : map.properties()) {
      String name = place.getValue().asText();
      // Only files beside the index: a name from a file must not lead elsewhere.
      if (!name.matches("[\\w.-]{1,200}") || !name.endsWith("." + format.extension())) {
        throw new IOException(
            index
                + ": weight_map must name ."
                + format.extension()
                + " files beside it, got "
                + Excerpt.of(name));
      }
      places.put(place.getKey(), name);
    }
    return places;
  }
}

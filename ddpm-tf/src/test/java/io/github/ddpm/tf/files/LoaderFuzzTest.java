package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Damaged files give the documented exception or load: no other exception, no error, no endless
 * work. What is tried is the same in each run.
 */
@Timeout(120)
class LoaderFuzzTest {
  /** Values that a number, a word or a list in a file may turn into. */
  private static final List<String> VALUES =
      List.of(
          "0",
          "1",
          "-1",
          "2",
          "7",
          "1.5",
          "-0.0",
          "1e-320",
          "1e308",
          "1e999",
          "1e999999999",
          "-1e999",
          "2.7",
          "4611686018427387904",
          "\"1\"",
          "\"\\u0000\\u001b[2J\\n\\u202e\"",
          "\"" + "long ".repeat(100) + "\"",
          "[".repeat(500) + "]".repeat(500),
          "[" + "{},".repeat(300) + "0]",
          "65536",
          "2147483647",
          "2147483648",
          "-9223372036854775808",
          "9223372036854775807",
          "99999999999999999999999",
          "null",
          "true",
          "\"\"",
          "\"x\"",
          "\"../x\"",
          "\"F16\"",
          "\"I8\"",
          "[]",
          "{}",
          "[0]",
          "[8, 8, 8]",
          "[[[]]]",
          "{\"a\": 1}");

  /** Parts of pickles that do what a file of tensors doesn't, or only once. */
  private static final List<String> OPERATIONS =
      List.of(
          "(",
          "}",
          ")",
          "t",
          "u",
          "R",
          "b",
          "Q",
          ".",
          "N",
          "]",
          "0",
          "q\0",
          "h\0",
          "j\0\0\0\200",
          "r\377\377\377\377",
          "J\377\377\377\377",
          "J\377\377\377\177",
          "\212\10\0\0\0\0\0\0\0\100",
          "\212\10\0\0\0\0\0\0\0\200",
          "\213\377\377\377\177",
          "X\377\377\377\377",
          "\225\377\377\377\377\377\377\377\377",
          "cos\nsystem\n",
          "ccollections\nOrderedDict\n)R",
          "\202\1",
          "\227");

  private static final List<Class<?>> DOCUMENTED =
      List.of(IOException.class, NoSuchFileException.class, IllegalArgumentException.class);

  /** What a key may turn into. */
  private static final List<String> KEYS =
      List.of("", "\0", "a\u001b[2J\r\nb", "\u202e", "k".repeat(5000), "conv_in.weight");

  private final Random random = new Random(5);

  @TempDir Path folder;

  @Test
  void damagedHeadersOfWeights() throws IOException {
    byte[] whole = Files.readAllBytes(weights("unet-padding0"));
    byte[] small = small();
    Path file = folder.resolve("x.safetensors");
    int loaded = 0;
    for (int i = 0; i < 4000; i++) {
      byte[] bytes = i % 8 == 0 ? whole : small;
      Files.write(file, i % 2 == 0 ? flipped(bytes, 8 + headerLength(bytes)) : edited(bytes));
      try {
        long numbers = 0;
        for (Weight weight : SafeTensors.read(file).values()) {
          numbers += weight.values().remaining();
        }
        assertThat(numbers).isLessThan(Files.size(file));
        loaded++;
      } catch (IOException e) {
        assertThat(e).as("attempt %s", i).hasMessageContaining(file.toString());
        assertShown(e, file);
      }
    }
    assertThat(loaded).as("some damage is none").isBetween(1, 3000);
  }

  @Test
  void damagedPickles() throws IOException {
    Path file = folder.resolve("x.pt");
    byte[] whole = Files.readAllBytes(Fixtures.path("golden/pytorch/views-2.pt"));
    StoredZip.Entry pickle;
    try (OpenFile open = OpenFile.of(Files.write(file, whole))) {
      pickle = StoredZip.list(open).get("views-2/data.pkl");
    }
    int begin = (int) pickle.begin();
    int end = (int) pickle.end();
    int loaded = 0;
    for (int i = 0; i < 4000; i++) {
      byte[] bytes = whole.clone();
      switch (random.nextInt(4)) {
        case 0 -> flip(bytes, 0, begin);
        case 1 -> flip(bytes, begin, end);
        case 2 -> {
          String part = OPERATIONS.get(random.nextInt(OPERATIONS.size()));
          byte[] operations = part.getBytes(StandardCharsets.ISO_8859_1);
          int at = begin + random.nextInt(end - begin - operations.length);
          System.arraycopy(operations, 0, bytes, at, operations.length);
        }
        default -> flip(bytes, bytes.length - 800, bytes.length);
      }
      Files.write(file, bytes);
      try {
        for (Weight weight : ArrayFormat.read(file).values()) {
          assertThat(weight.values().remaining()).isLessThan(bytes.length);
        }
        loaded++;
      } catch (IOException e) {
        assertThat(e).as("attempt %s", i).hasMessageContaining(file.toString());
        assertShown(e, file);
      }
    }
    assertThat(loaded).as("some damage is none").isBetween(1, 3000);
  }

  @Test
  void filesCutShortAndFilesWithMore() throws IOException {
    byte[] bytes = small();
    Path file = folder.resolve("x.safetensors");
    for (int length = 0; length < bytes.length + 100; length++) {
      Files.write(file, Arrays.copyOf(bytes, length));
      try {
        assertThat(SafeTensors.read(file)).isNotEmpty();
        assertThat(length).isEqualTo(bytes.length);
      } catch (IOException e) {
        assertThat(e).hasMessageContaining(file.toString());
        assertShown(e, file);
      }
    }
  }

  /** Without the graph, so that there is time for many. */
  @Test
  void damagedConfigurations() throws IOException {
    Path model = Fixtures.path("golden/unet-scale-shift");
    ObjectNode unet = json(model.resolve("unet/config.json"));
    ObjectNode scheduler = json(model.resolve("scheduler/scheduler_config.json"));
    ObjectNode index = json(model.resolve("model_index.json"));
    UNetConfig network = UNetJson.read(unet);
    for (int i = 0; i < 6000; i++) {
      try {
        UNetJson.read(edited(unet));
      } catch (IllegalArgumentException e) {
        assertShown(e, Path.of(""));
      }
      try {
        SchedulerJson.pipeline(edited(scheduler), Optional.empty());
        SchedulerJson.info(edited(scheduler), network);
      } catch (IllegalArgumentException e) {
        assertShown(e, Path.of(""));
      }
      try {
        SchedulerJson.pipeline(scheduler, Optional.of(SchedulerJson.index(edited(index))));
      } catch (IllegalArgumentException e) {
        assertShown(e, Path.of(""));
      }
    }
  }

  @Test
  void damagedFolders() throws IOException {
    for (String name : List.of("unet-padding0", "folder-sharded")) {
      Path copy = copy(Fixtures.path("golden/" + name), folder.resolve(name));
      List<Path> files;
      try (Stream<Path> paths = Files.walk(copy)) {
        files = paths.filter(Files::isRegularFile).sorted().toList();
      }
      int refused = 0;
      for (int i = 0; i < 80; i++) {
        Path file = files.get(i % files.size());
        byte[] bytes = Files.readAllBytes(file);
        boolean isJson = file.toString().endsWith(".json");
        int header = isJson ? bytes.length : 8 + headerLength(bytes);
        Files.write(
            file,
            switch (random.nextInt(3)) {
              case 0 -> flipped(bytes, header);
              case 1 -> Arrays.copyOf(bytes, random.nextInt(header));
              default ->
                  isJson
                      ? edited(json(file)).toString().getBytes(StandardCharsets.UTF_8)
                      : edited(bytes);
            });
        try {
          check(ModelFolder.read(copy));
        } catch (IOException e) {
          refused++;
          assertThat(e).as("attempt %s on %s", i, file).hasMessageContaining(copy.toString());
          assertShown(e, copy);
        }
        Files.write(file, bytes);
      }
      assertThat(refused).as(name).isBetween(30, 79);
      assertThat(Fixtures.weights(ModelFolder.read(copy))).as("restored").isNotEmpty();
    }
  }

  /**
   * The message can be shown: it has our own words, two excerpts of a file at most, and nothing
   * that a terminal would do something for.
   */
  private static void assertShown(Exception e, Path file) {
    String message = e.getMessage().replace(file.toString(), "");
    assertThat(message).doesNotContainPattern("[\\p{Cc}\\p{Cf}]").doesNotContain("Exception");
    assertThat(message.length()).as(message).isLessThan(700);
    assertThat(e.getClass()).isIn(DOCUMENTED);
  }

  /** Asks for all weights as they are asked for when a network is built. */
  private static void check(ModelFolder saved) throws IOException {
    WeightSource weights = saved.weights().source();
    UNetConfig network = saved.config().network();
    UNetConfig.Picture picture = network.picture();
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Shape images = Shape.of(-1, picture.height(), picture.width(), picture.inChannels());
      new UNet(
              tf,
              network,
              (name, shape) -> {
                weights.getUnchecked(name, shape);
                return tf.placeholder(TFloat32.class, Placeholder.shape(shape));
              })
          .forward(
              tf.placeholder(TFloat32.class, Placeholder.shape(images)),
              tf.constant(new float[] {0}),
              network.labels().embeddings() == 0
                  ? Optional.empty()
                  : Optional.of(tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)))));
      weights.checkNothingLeft();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  /** A few bytes changed. */
  private byte[] flipped(byte[] bytes, int before) {
    byte[] copy = bytes.clone();
    flip(copy, 0, before);
    return copy;
  }

  private void flip(byte[] bytes, int from, int to) {
    for (int i = random.nextInt(4); i >= 0; i--) {
      bytes[from + random.nextInt(to - from)] = (byte) random.nextInt(256);
    }
  }

  /** The header of a safetensors file with a value changed or removed. */
  private byte[] edited(byte[] bytes) throws IOException {
    int length = headerLength(bytes);
    String header = new String(bytes, 8, length, StandardCharsets.UTF_8);
    ObjectNode json = (ObjectNode) Json.MAPPER.readTree(header);
    byte[] changed = edited(json).toString().getBytes(StandardCharsets.UTF_8);
    byte[] result = new byte[8 + changed.length + bytes.length - 8 - length];
    for (int i = 0; i < 8; i++) {
      result[i] = (byte) ((long) changed.length >>> (8 * i));
    }
    System.arraycopy(changed, 0, result, 8, changed.length);
    System.arraycopy(bytes, 8 + length, result, 8 + changed.length, bytes.length - 8 - length);
    return result;
  }

  private ObjectNode edited(ObjectNode json) throws IOException {
    ObjectNode copy = json.deepCopy();
    for (int i = random.nextInt(2); i >= 0; i--) {
      edit(copy);
    }
    return copy;
  }

  /** Somewhere in the tree, more often near its leaves. */
  private void edit(JsonNode node) throws IOException {
    List<JsonNode> inner = new ArrayList<>();
    node.forEach(child -> inner.add(child));
    JsonNode chosen = inner.isEmpty() ? node : inner.get(random.nextInt(inner.size()));
    if (chosen.isContainerNode() && !chosen.isEmpty() && random.nextInt(4) > 0) {
      edit(chosen);
      return;
    }
    JsonNode value = Json.MAPPER.readTree(VALUES.get(random.nextInt(VALUES.size())));
    if (node instanceof ObjectNode object && !object.isEmpty()) {
      List<String> names = new ArrayList<>();
      object.fieldNames().forEachRemaining(names::add);
      String name = names.get(random.nextInt(names.size()));
      int what = random.nextInt(8);
      if (what == 0) {
        object.remove(name);
      } else if (what == 1) {
        object.set(KEYS.get(random.nextInt(KEYS.size())), object.remove(name));
      } else {
        object.set(name, value);
      }
    } else if (node instanceof ArrayNode array) {
      if (array.isEmpty() || random.nextInt(6) == 0) {
        array.add(value);
      } else {
        array.set(random.nextInt(array.size()), value);
      }
    }
  }

  /** A file of three small arrays. */
  private byte[] small() throws IOException {
    Path file = folder.resolve("small.safetensors");
    Map<String, Weight> all = SafeTensors.read(weights("unet-padding0"));
    Map<String, Weight> some = new LinkedHashMap<>();
    for (String name : List.of("conv_in.bias", "conv_in.weight", "conv_norm_out.weight")) {
      some.put(name, all.get(name));
    }
    SafeTensors.write(file, some, DType.F16);
    byte[] bytes = Files.readAllBytes(file);
    Files.delete(file);
    return bytes;
  }

  private static int headerLength(byte[] bytes) {
    return Byte.toUnsignedInt(bytes[0]) + 256 * Byte.toUnsignedInt(bytes[1]);
  }

  private static Path weights(String name) {
    return Fixtures.path("golden/" + name + "/unet/diffusion_pytorch_model.safetensors");
  }

  private static ObjectNode json(Path file) throws IOException {
    return (ObjectNode) Json.read(file);
  }

  private static Path copy(Path from, Path to) throws IOException {
    try (Stream<Path> paths = Files.walk(from)) {
      for (Path path : paths.filter(Files::isRegularFile).toList()) {
        if (!path.endsWith("expected.safetensors")) {
          Path target = to.resolve(from.relativize(path));
          Files.createDirectories(target.getParent());
          Files.copy(path, target);
        }
      }
    }
    return to;
  }
}

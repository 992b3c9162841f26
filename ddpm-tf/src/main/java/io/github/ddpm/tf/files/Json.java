package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.StreamSupport;

/** JSON files of one object, and what their keys hold. */
public final class Json {
  /** The keys that each file of diffusers begins with. */
  static final String CLASS_NAME = "_class_name";

  static final String VERSION = "_diffusers_version";

  /** Far more than a configuration needs, and little enough to be held as a tree. */
  private static final long MAX_BYTES = 4_000_000;

  /** What a byte of JSON takes as a tree at most: empty objects in a list take half of it. */
  private static final int TREE = 64;

  /** Reads and writes JSON, and takes nothing for granted. */
  public static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /**
   * Reads what Python's json module has written: it has names for numbers that are not finite, and
   * of equal keys it takes the last.
   */
  private static final ObjectMapper PYTHON =
      JsonMapper.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private Json() {}

  /**
   * Reads a file.
   *
   * @throws IOException if it is too large or no JSON object; the message names it
   */
  public static JsonNode read(Path file) throws IOException {
    try (OpenFile open = OpenFile.of(file)) {
      return read(open);
    }
  }

  /**
   * Reads a file of a folder.
   *
   * @throws IOException if it isn't there, is too large or no JSON object; the message names it
   */
  public static JsonNode read(Snapshot files, String name) throws IOException {
    return read(files.file(name));
  }

  /**
   * Reads a file that is open.
   *
   * @throws IOException if it is too large or no JSON object; the message names it
   */
  private static JsonNode read(OpenFile file) throws IOException {
    if (file.size() > MAX_BYTES) {
      throw new IOException(
          file.path() + ": must have at most " + MAX_BYTES + " bytes, got " + file.size());
    }
    checkTree(file.path(), file.size());
    byte[] bytes = file.read(0, ByteBuffer.allocate((int) file.size())).array();
    try {
      return parse(PYTHON, bytes);
    } catch (IllegalArgumentException e) {
      throw new IOException(file.path() + ": " + e.getMessage(), e);
    }
  }

  /**
   * Parses an object that this library wrote.
   *
   * @throws IllegalArgumentException if it is none; the message says "not JSON" and why, or what it
   *     must be
   */
  public static JsonNode parse(byte... json) {
    return parse(MAPPER, json);
  }

  /**
   * Parses an object.
   *
   * @throws IllegalArgumentException if it is none; the message says "not JSON" and why, or what it
   *     must be
   */
  static JsonNode parse(ObjectMapper mapper, byte... json) {
    JsonNode tree;
    try {
      tree = mapper.readTree(json);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("not JSON: " + Excerpt.of(e.getOriginalMessage()), e);
    } catch (IOException e) {
      // Of bytes alone: they are no text.
      throw new IllegalArgumentException("not JSON: " + Excerpt.of(e.getMessage()), e);
    }
    checkArgument(tree.isObject(), "must be a JSON object, got %s", tree.getNodeType());
    return tree;
  }

  /** Checks that so many bytes of JSON fit into memory as a tree. */
  static void checkTree(Path file, long bytes) throws IOException {
    Heap.check(file, TREE * (double) bytes);
  }

  /** Writes a file. */
  public static void write(Path file, JsonNode json) throws IOException {
    Files.write(file, MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(json));
  }

  /** Makes an object without keys. */
  public static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  /** Returns the list of a key, which must be there. */
  static List<JsonNode> list(JsonNode json, String key) {
    checkArgument(
        json.path(key).isArray(), "%s must be a list, got %s", key, Excerpt.of(json.get(key)));
    return StreamSupport.stream(json.get(key).spliterator(), false).toList();
  }

  /** Returns the whole numbers in the list of a key, which must be there. */
  public static List<Long> wholeNumbers(JsonNode json, String key) {
    return list(json, key).stream().map(number -> wholeNumber(number, key)).toList();
  }

  private static long wholeNumber(JsonNode number, String key) {
    checkArgument(
        number.isIntegralNumber() && number.canConvertToLong(),
        "%s must be whole numbers, got %s",
        key,
        Excerpt.of(number));
    return number.longValue();
  }

  /**
   * Returns the word of a key, which is one of ours or fit for a message; {@code absent} if it
   * isn't there or is null.
   */
  static String text(JsonNode json, String key, String absent) {
    return value(json, key, JsonNode::isTextual, "a word")
        .map(JsonNode::textValue)
        .map(Excerpt::of)
        .orElse(absent);
  }

  /** Returns the number of a key; {@code absent} if it isn't there or is null. */
  static double number(JsonNode json, String key, double absent) {
    return value(json, key, Json::isFinite, "a number that is finite")
        .map(JsonNode::doubleValue)
        .orElse(absent);
  }

  /** Tells whether this is a number, and within what a double holds. */
  public static boolean isFinite(JsonNode json) {
    return json.isNumber() && Double.isFinite(json.doubleValue());
  }

  /** Returns the truth value of a key; {@code absent} if it isn't there or is null. */
  static boolean bool(JsonNode json, String key, boolean absent) {
    return value(json, key, JsonNode::isBoolean, "true or false")
        .map(JsonNode::booleanValue)
        .orElse(absent);
  }

  /** Returns the whole number of a key; {@code absent} if it isn't there or is null. */
  static int integer(JsonNode json, String key, int absent) {
    return value(json, key, JsonNode::isInt, "a whole number")
        .map(JsonNode::intValue)
        .orElse(absent);
  }

  private static Optional<JsonNode> value(
      JsonNode json, String key, Predicate<JsonNode> allowed, String what) {
    Optional<JsonNode> value = Optional.ofNullable(json.get(key)).filter(node -> !node.isNull());
    value.ifPresent(
        node ->
            checkArgument(
                allowed.test(node), "%s must be %s, got %s", key, what, Excerpt.of(node)));
    return value;
  }
}

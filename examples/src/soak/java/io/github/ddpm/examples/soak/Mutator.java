package io.github.ddpm.examples.soak;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.Iterables;
import com.google.common.primitives.Bytes;
import com.google.common.primitives.Ints;
import com.google.common.primitives.Longs;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Turns files into hostile ones, the same for the same number. */
final class Mutator {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Sizes, offsets and counts at which something may break. */
  private static final long[] NUMBERS = {
    -1,
    0,
    1,
    2,
    255,
    256,
    4096,
    8192,
    11585,
    65535,
    65536,
    1 << 24,
    1 << 30,
    Integer.MAX_VALUE,
    Integer.MIN_VALUE,
    1L << 31,
    1L << 32,
    1L << 62,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };

  /** What a value of JSON may turn into. */
  private static final List<String> VALUES =
      List.of(
          "0",
          "-1",
          "1",
          "3",
          "8",
          "2.7",
          "1e999",
          "-1e999",
          "1e-999",
          "1e308",
          "8192",
          "60000",
          "16777216",
          "2147483647",
          "4611686018427387904",
          "99999999999999999999999",
          "null",
          "true",
          "\"\"",
          "\"8\"",
          "\"NaN\"",
          "\"Infinity\"",
          "\"../../x\"",
          "\"/etc/passwd\"",
          "\"F64\"",
          "\"a\\u0000b\\u001b[2J\\n\"",
          "[]",
          "{}",
          "[null]",
          "[\"x\"]",
          "[8,8,8,8,8,8,8]",
          "[0,0]",
          "[-1]",
          "[1e999]",
          "[0,9223372036854775807]",
          "{\"a\":{\"b\":[]}}");

  /** What may come into a pickle: a character is a byte. */
  private static final List<String> OPERATIONS =
      List.of(
          "(",
          "}",
          ")",
          "]",
          "t",
          "u",
          "s",
          "R",
          "b",
          "Q",
          ".",
          "N",
          "0",
          "1",
          "2",
          "o",
          "\201",
          "\205",
          "\223",
          "\224",
          "\227",
          "q\0",
          "h\0",
          "h\1",
          "\202\1",
          "cos\nsystem\n",
          "cbuiltins\neval\n",
          "ctorch._utils\n_rebuild_tensor_v2\n",
          "ccollections\nOrderedDict\n)R",
          "ctorch\nFloatStorage\n",
          "ctorch\nDoubleStorage\n",
          "r\377\377\377\377",
          "j\0\0\0\200",
          "J\377\377\377\377",
          "J\377\377\377\177",
          "X\377\377\377\177",
          "\213\377\377\377\177",
          "\212\10\0\0\0\0\0\0\0\100",
          "\212\10\377\377\377\377\377\377\377\377",
          "\225\377\377\377\377\377\377\377\377");

  private final Random random;

  Mutator(long seed) {
    random = new Random(seed);
  }

  /** Returns whether something happens that happens once in so many times. */
  boolean oneIn(int times) {
    return random.nextInt(times) == 0;
  }

  /** Returns one of the sizes that may break something. */
  long number() {
    return NUMBERS[random.nextInt(NUMBERS.length)];
  }

  /** Returns an index below that. */
  int below(int end) {
    return random.nextInt(end);
  }

  /** Changes, cuts, repeats or overwrites bytes, mostly near the start. */
  byte[] bytes(byte... whole) {
    byte[] bytes = whole.clone();
    int near = oneIn(2) ? bytes.length : Math.min(bytes.length, 64);
    int place = random.nextInt(near);
    switch (random.nextInt(6)) {
      case 0 -> {
        return Arrays.copyOf(bytes, random.nextInt(bytes.length));
      }
      case 1 -> {
        byte[] more = Arrays.copyOfRange(bytes, place, place + random.nextInt(near - place) + 1);
        return Bytes.concat(
            Arrays.copyOf(bytes, place), more, Arrays.copyOfRange(bytes, place, bytes.length));
      }
      case 2 -> overwrite(bytes, place, Ints.toByteArray((int) number()));
      case 3 -> {
        byte[] number = Longs.toByteArray(number());
        Bytes.reverse(number);
        overwrite(bytes, place, number);
      }
      default -> {
        for (int i = random.nextInt(4); i >= 0; i--) {
          bytes[random.nextInt(near)] = (byte) random.nextInt(256);
        }
      }
    }
    return bytes;
  }

  /** Changes a pickle: its bytes, or what it does, once or very often. */
  byte[] pickle(byte... whole) {
    if (oneIn(3)) {
      return bytes(whole);
    }
    byte[] pickle = whole;
    for (int i = random.nextInt(3); i >= 0; i--) {
      String operation = OPERATIONS.get(random.nextInt(OPERATIONS.size()));
      int times = oneIn(200) ? random.nextInt(1_000_000) : 1;
      byte[] more = operation.repeat(times).getBytes(ISO_8859_1);
      int place = 2 + random.nextInt(pickle.length - 2);
      int rest = oneIn(2) ? place : Math.min(pickle.length, place + more.length);
      pickle =
          Bytes.concat(
              Arrays.copyOf(pickle, place), more, Arrays.copyOfRange(pickle, rest, pickle.length));
    }
    return pickle;
  }

  private static void overwrite(byte[] bytes, int place, byte... with) {
    System.arraycopy(with, 0, bytes, place, Math.min(with.length, bytes.length - place));
  }

  /** Changes JSON: its values, its names, or its text. */
  byte[] json(byte... text) throws IOException {
    if (oneIn(5)) {
      return bytes(text);
    }
    if (oneIn(200)) {
      int depth = random.nextInt(100_000);
      return ("{\"a\":" + "[".repeat(depth) + "]".repeat(depth) + "}").getBytes(UTF_8);
    }
    JsonNode json = JSON.readTree(text);
    for (int i = random.nextInt(3); i >= 0; i--) {
      edit(json);
    }
    // A number beyond double is text to the writer, so that it stays one here.
    return JSON.writeValueAsString(json).replace("\"@", "").replace("@\"", "").getBytes(UTF_8);
  }

  private void edit(JsonNode node) throws IOException {
    if (!node.isContainerNode() || node.isEmpty()) {
      return;
    }
    JsonNode inner = Iterables.get(node, random.nextInt(node.size()));
    if (inner.isContainerNode() && !inner.isEmpty() && !oneIn(4)) {
      edit(inner);
      return;
    }
    if (node instanceof ObjectNode object) {
      String name = ImmutableList.copyOf(object.fieldNames()).get(random.nextInt(object.size()));
      switch (random.nextInt(8)) {
        case 0 -> object.remove(name);
        case 1 -> object.set(name + "x", object.remove(name));
        case 2 -> object.put(name, "x".repeat(random.nextInt(100_000)));
        default -> object.set(name, value());
      }
    } else if (node instanceof ArrayNode array) {
      if (oneIn(6)) {
        for (int i = random.nextInt(1000); i >= 0; i--) {
          array.add(inner.deepCopy());
        }
      } else {
        array.set(random.nextInt(array.size()), value());
      }
    }
  }

  private JsonNode value() throws IOException {
    String value = VALUES.get(random.nextInt(VALUES.size()));
    return value.contains("999")
        ? JSON.getNodeFactory().textNode("@" + value + "@")
        : JSON.readTree(value);
  }
}

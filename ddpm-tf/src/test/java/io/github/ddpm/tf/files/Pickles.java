package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.joining;

import com.google.common.primitives.Bytes;
import com.google.common.primitives.Ints;
import com.google.common.primitives.Longs;
import java.util.Arrays;

/** Parts of pickles as Python writes them, a character a byte. */
final class Pickles {
  private Pickles() {}

  /** A pickle of a dict. */
  static String dict(String... keysAndValues) {
    return "\200\2}(" + String.join("", keysAndValues) + "u.";
  }

  /** A row of a storage of two floats, {@code 0}. */
  static String row() {
    return tensor(number(2), number(0), tuple(2), tuple(1));
  }

  /** A tensor of a storage of floats, {@code 0}. */
  static String tensor(String numbers, String offset, String sizes, String strides) {
    return rebuild(storage("torch\nFloatStorage", "0", numbers) + offset + sizes + strides);
  }

  /** A tensor of what it is told to be rebuilt of. */
  static String rebuild(String arguments) {
    return "ctorch._utils\n_rebuild_tensor_v2\n("
        + arguments
        + "\211ccollections\nOrderedDict\n)RtR";
  }

  static String storage(String type, String key, String numbers) {
    return "(" + text("storage") + "c" + type + "\n" + text(key) + text("cpu") + numbers + "tQ";
  }

  static String tuple(long... numbers) {
    return "(" + Arrays.stream(numbers).mapToObj(Pickles::number).collect(joining()) + "t";
  }

  static String number(long number) {
    return "\212\10" + littleEndian(Longs.toByteArray(number));
  }

  static String text(String text) {
    byte[] bytes = text.getBytes(UTF_8);
    return "X" + littleEndian(Ints.toByteArray(bytes.length)) + new String(bytes, ISO_8859_1);
  }

  private static String littleEndian(byte... bigEndian) {
    Bytes.reverse(bigEndian);
    return new String(bigEndian, ISO_8859_1);
  }
}

package io.github.ddpm.tf.files;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.Enums;
import com.google.common.base.Joiner;
import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.ndarray.Shape;

/**
 * The safetensors file format, version 0: eight bytes with the length of a JSON header
 * (little-endian), the header, then the arrays.
 *
 * <p>Nothing in a header is believed before it has been checked against the file's size.
 */
public final class SafeTensors {
  /** Far more than the thousands of arrays of the largest network need. */
  private static final long MAX_HEADER = 4_000_000;

  /** What is written at once. */
  private static final int CHUNK_BYTES = 1 << 20;

  private static final int LENGTH_BYTES = Long.BYTES;
  private static final String METADATA = "__metadata__";

  private SafeTensors() {}

  /**
   * Reads the header of a file.
   *
   * @return the arrays by name, in the header's order
   * @throws IOException if the file isn't valid; the message names the file, the array and what is
   *     wrong
   */
  static Map<String, StoredArray> list(OpenFile file) throws IOException {
    long dataStart = LENGTH_BYTES + headerLength(file);
    long size = file.size();
    JsonNode header = header(file, dataStart);
    Map<String, StoredArray> arrays = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : header.properties()) {
      if (!entry.getKey().equals(METADATA)) {
        arrays.put(entry.getKey(), stored(file, entry.getKey(), entry.getValue(), dataStart, size));
      }
    }
    checkGapless(file, arrays, dataStart, size);
    return arrays;
  }

  /**
   * Reads a file.
   *
   * @return the arrays by name, in the header's order
   * @throws IOException if the file isn't valid; the message names the file, the array and what is
   *     wrong
   */
  public static Map<String, Weight> read(Path file) throws IOException {
    try (OpenFile open = OpenFile.of(file)) {
      return StoredArray.readAll(open, list(open));
    }
  }

  /**
   * Writes a new file. The arrays keep the order of the map.
   *
   * @throws IOException if it can't be written, or the type can't hold a number
   */
  public static void write(Path file, Map<String, Weight> weights, DType type) throws IOException {
    if (type == DType.F16) {
      for (Map.Entry<String, Weight> entry : weights.entrySet()) {
        checkHalf(file, entry.getKey(), entry.getValue().values());
      }
    }
    ObjectNode header = Json.object();
    // What PyTorch's loaders look for to know whose tensors these are.
    header.putObject(METADATA).put("format", "pt");
    long offset = 0;
    for (Map.Entry<String, Weight> entry : weights.entrySet()) {
      ObjectNode description = header.putObject(entry.getKey()).put("dtype", type.name());
      ArrayNode shape = description.putArray("shape");
      for (long size : entry.getValue().shape().asArray()) {
        shape.add(size);
      }
      long end = offset + (long) entry.getValue().values().remaining() * type.bytes();
      description.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    byte[] json = Json.MAPPER.writeValueAsBytes(header);
    int padded = (json.length + 7) / 8 * 8;
    ByteBuffer start = littleEndian(LENGTH_BYTES + padded).putLong(padded).put(json);
    while (start.hasRemaining()) {
      start.put((byte) ' ');
    }
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      writeFully(channel, start.flip());
      ByteBuffer chunk = littleEndian(CHUNK_BYTES);
      for (Map.Entry<String, Weight> entry : weights.entrySet()) {
        FloatBuffer values = entry.getValue().values().duplicate();
        int end = values.limit();
        while (values.position() < end) {
          values.limit(Math.min(end, values.position() + CHUNK_BYTES / type.bytes()));
          type.write(values, chunk.clear());
          writeFully(channel, chunk.flip());
        }
      }
    }
  }

  private static void checkHalf(Path file, String name, FloatBuffer values) throws IOException {
    for (int i = 0; i < values.limit(); i++) {
      float value = values.get(i);
      if (Math.abs(value) > DType.MAX_HALF) {
        throw new IOException(
            file
                + ": array "
                + Excerpt.of(name)
                + " holds "
                + value
                + ", but float16 ends at "
                + DType.MAX_HALF
                + "; store it in float32");
      }
    }
  }

  private static long headerLength(OpenFile file) throws IOException {
    if (file.size() < LENGTH_BYTES) {
      throw invalid(file, "a safetensors file has at least 8 bytes, got " + file.size());
    }
    long length = file.read(0, littleEndian(LENGTH_BYTES)).getLong();
    long most = Math.min(MAX_HEADER, file.size() - LENGTH_BYTES);
    if (length < 2 || length > most) {
      String other = otherThanSafetensors(file);
      throw invalid(
          file,
          other.isEmpty()
              ? "the header's length must be in [2, "
                  + most
                  + "], got "
                  + Long.toUnsignedString(length)
              : other);
    }
    return length;
  }

  /** Says what a file is that has another content than its name says; "" if that isn't known. */
  private static String otherThanSafetensors(OpenFile file) throws IOException {
    FileStart start = FileStart.of(file);
    if (start.isZip()) {
      return "this is a pickle of PyTorch, not safetensors; let its name end with .bin, and it is"
          + " read if it holds tensors alone";
    }
    if (start.isPickle()) {
      return "this is a pickle of PyTorch, not safetensors; have diffusers save the model again with"
          + " save_pretrained(folder, safe_serialization=True)";
    }
    return start.describe("safetensors");
  }

  private static JsonNode header(OpenFile file, long end) throws IOException {
    Json.checkTree(file.path(), end - LENGTH_BYTES);
    byte[] json = file.read(LENGTH_BYTES, littleEndian((int) (end - LENGTH_BYTES))).array();
    try {
      return Json.parse(Json.MAPPER, json);
    } catch (IllegalArgumentException e) {
      throw invalid(file, "the header: " + e.getMessage());
    }
  }

  private static StoredArray stored(
      OpenFile file, String name, JsonNode description, long dataStart, long fileSize)
      throws IOException {
    String where = StoredArray.where(file, name);
    JsonNode sizes = description.path("shape");
    JsonNode offsets = description.path("data_offsets");
    if (!sizes.isArray() || !offsets.isArray() || offsets.size() != 2) {
      throw new IOException(
          where + ": needs a shape and two data_offsets, got " + Excerpt.of(description));
    }
    String typeName = Excerpt.of(description.path("dtype").asText());
    DType type = Enums.getIfPresent(DType.class, typeName).orNull();
    if (type == null) {
      throw new IOException(
          where + ": dtype must be " + Joiner.on(", ").join(DType.values()) + ", got " + typeName);
    }
    long begin = wholeNumber(where, offsets.get(0));
    long end = wholeNumber(where, offsets.get(1));
    if (begin > end || end > fileSize - dataStart) {
      throw new IOException(
          where
              + ": data_offsets must be within the file's "
              + (fileSize - dataStart)
              + " bytes, got "
              + Excerpt.of(offsets));
    }
    long[] shape = new long[sizes.size()];
    long bytes = type.bytes();
    for (int i = 0; i < shape.length; i++) {
      shape[i] = wholeNumber(where, sizes.get(i));
      try {
        bytes = Math.multiplyExact(bytes, shape[i]);
      } catch (ArithmeticException e) {
        throw new IOException(where + ": shape is too large: " + Excerpt.of(sizes), e);
      }
    }
    if (bytes != end - begin) {
      throw new IOException(
          where
              + ": shape "
              + Excerpt.of(sizes)
              + " needs "
              + bytes
              + " bytes, got "
              + (end - begin));
    }
    if (bytes / type.bytes() > StoredArray.MAX_COUNT) {
      throw new IOException(
          where
              + ": an array has at most "
              + StoredArray.MAX_COUNT
              + " numbers, got "
              + bytes / type.bytes());
    }
    return StoredArray.rowMajor(file, name, type, Shape.of(shape), dataStart + begin);
  }

  /** Each byte belongs to one array, else a small file could fill a large memory. */
  private static void checkGapless(
      OpenFile file, Map<String, StoredArray> arrays, long dataStart, long fileSize)
      throws IOException {
    List<StoredArray> inOrder = new ArrayList<>(arrays.values());
    inOrder.sort(
        Comparator.comparingLong(StoredArray::begin).thenComparingLong(StoredArray::bytes));
    long end = dataStart;
    for (StoredArray array : inOrder) {
      if (array.begin() != end) {
        throw invalid(
            file,
            "array "
                + Excerpt.of(array.name())
                + " must begin where the one before ends, at "
                + (end - dataStart)
                + ", got "
                + (array.begin() - dataStart));
      }
      end += array.bytes();
    }
    if (end != fileSize) {
      throw invalid(
          file,
          "the arrays must fill the file's "
              + (fileSize - dataStart)
              + " bytes, got "
              + (end - dataStart));
    }
  }

  private static long wholeNumber(String where, JsonNode number) throws IOException {
    if (!number.isIntegralNumber() || !number.canConvertToLong() || number.longValue() < 0) {
      throw new IOException(
          where + ": sizes and offsets must be whole numbers, got " + Excerpt.of(number));
    }
    return number.longValue();
  }

  private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  private static ByteBuffer littleEndian(int length) {
    return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static IOException invalid(OpenFile file, String problem) {
    return new IOException(file.path() + ": " + problem);
  }
}

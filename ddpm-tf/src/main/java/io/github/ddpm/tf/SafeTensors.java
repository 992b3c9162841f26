package io.github.ddpm.tf;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.Enums;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.ndarray.buffer.layout.DataLayouts;

/**
 * The safetensors file format, version 0: eight bytes with the length of a JSON header
 * (little-endian), the header, then the arrays. Float32 and float16 are read and written; in memory
 * all is float32.
 *
 * <p>Nothing in a header is believed before it has been checked against the file's size.
 */
public final class SafeTensors {
  /** The format's own limit on the header. */
  private static final long MAX_HEADER = 100_000_000;

  /** What is at least this large rounds to infinity. */
  private static final float FLOAT16_OVERFLOW = 65520;

  private static final int LENGTH_BYTES = Long.BYTES;
  private static final String METADATA = "__metadata__";
  private static final ObjectMapper JSON = ModelFolder.JSON;

  /** What the numbers in a file are; the names are the format's. */
  public enum Type {
    /** Float32. */
    F32(Float.BYTES),
    /** Float16. */
    F16(Short.BYTES);

    private final int bytes;

    Type(int bytes) {
      this.bytes = bytes;
    }
  }

  private SafeTensors() {}

  /**
   * Reads a file.
   *
   * @return the arrays by name, in the header's order
   * @throws IOException if the file isn't valid; the message names the file, the array and what is
   *     wrong
   */
  public static Map<String, Weight> read(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file)) {
      long dataStart = LENGTH_BYTES + headerLength(file, channel);
      long dataSize = channel.size() - dataStart;
      JsonNode header = header(file, channel, dataStart);
      Map<String, Weight> weights = new LinkedHashMap<>();
      for (Map.Entry<String, JsonNode> entry : header.properties()) {
        if (!entry.getKey().equals(METADATA)) {
          weights.put(
              entry.getKey(),
              weight(
                  file + ": array " + entry.getKey(),
                  channel,
                  entry.getValue(),
                  dataStart,
                  dataSize));
        }
      }
      return weights;
    }
  }

  /** {@link #write(Path, Map, Type)} in float32. */
  static void write(Path file, Map<String, Weight> weights) throws IOException {
    write(file, weights, Type.F32);
  }

  /**
   * Writes a new file. The arrays keep the order of the map.
   *
   * @param file must not exist
   * @param type what to round the numbers to, to the nearest and halves to even
   * @throws IOException if it can't be written, or a number is too large for the type
   */
  public static void write(Path file, Map<String, Weight> weights, Type type) throws IOException {
    ObjectNode header = JSON.createObjectNode();
    // What PyTorch's loaders look for to know whose tensors these are.
    header.putObject(METADATA).put("format", "pt");
    long offset = 0;
    for (Map.Entry<String, Weight> entry : weights.entrySet()) {
      ObjectNode description = header.putObject(entry.getKey()).put("dtype", type.name());
      ArrayNode shape = description.putArray("shape");
      for (long size : entry.getValue().shape().asArray()) {
        shape.add(size);
      }
      long end = offset + (long) entry.getValue().values().remaining() * type.bytes;
      description.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    byte[] json = JSON.writeValueAsBytes(header);
    int padded = (json.length + 7) / 8 * 8;
    ByteBuffer start = littleEndian(LENGTH_BYTES + padded).putLong(padded).put(json);
    while (start.hasRemaining()) {
      start.put((byte) ' ');
    }
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      writeFully(channel, start.flip());
      for (Map.Entry<String, Weight> entry : weights.entrySet()) {
        String where = file + ": array " + entry.getKey();
        writeFully(channel, encode(where, entry.getValue().values(), type));
      }
    }
  }

  private static long headerLength(Path file, FileChannel channel) throws IOException {
    if (channel.size() < LENGTH_BYTES) {
      throw invalid(file, "a safetensors file has at least 8 bytes, got " + channel.size());
    }
    long length = readFully(channel, 0, LENGTH_BYTES).getLong();
    long most = Math.min(MAX_HEADER, channel.size() - LENGTH_BYTES);
    if (length < 2 || length > most) {
      throw invalid(
          file,
          "the header's length must be in [2, " + most + "], got " + Long.toUnsignedString(length));
    }
    return length;
  }

  private static JsonNode header(Path file, FileChannel channel, long end) throws IOException {
    byte[] json = readFully(channel, LENGTH_BYTES, (int) (end - LENGTH_BYTES)).array();
    try {
      JsonNode header = JSON.readTree(json);
      if (!header.isObject()) {
        throw invalid(file, "the header must be a JSON object, got " + header.getNodeType());
      }
      return header;
    } catch (JsonProcessingException e) {
      throw invalid(file, "the header is not JSON: " + e.getOriginalMessage());
    }
  }

  private static Weight weight(
      String where, FileChannel channel, JsonNode description, long dataStart, long dataSize)
      throws IOException {
    JsonNode sizes = description.path("shape");
    JsonNode offsets = description.path("data_offsets");
    if (!sizes.isArray() || !offsets.isArray() || offsets.size() != 2) {
      throw new IOException(where + ": needs a shape and two data_offsets, got " + description);
    }
    Type type =
        Enums.getIfPresent(Type.class, description.path("dtype").asText())
            .toJavaUtil()
            .orElseThrow(
                () ->
                    new IOException(
                        where
                            + ": dtype must be F32 or F16, got "
                            + description.path("dtype").asText()));
    long begin = wholeNumber(where, offsets.get(0));
    long end = wholeNumber(where, offsets.get(1));
    if (begin > end || end > dataSize) {
      throw new IOException(
          where
              + ": data_offsets must be within the file's "
              + dataSize
              + " bytes, got "
              + offsets);
    }
    long[] shape = new long[sizes.size()];
    long bytes = type.bytes;
    for (int i = 0; i < shape.length; i++) {
      shape[i] = wholeNumber(where, sizes.get(i));
      try {
        bytes = Math.multiplyExact(bytes, shape[i]);
      } catch (ArithmeticException e) {
        throw new IOException(where + ": shape is too large: " + sizes, e);
      }
    }
    if (bytes != end - begin) {
      throw new IOException(
          where + ": shape " + sizes + " needs " + bytes + " bytes, got " + (end - begin));
    }
    if (bytes > Integer.MAX_VALUE) {
      throw new IOException(where + ": an array has at most 2 GiB, got " + bytes + " bytes");
    }
    return new Weight(
        Shape.of(shape), decode(readFully(channel, dataStart + begin, (int) bytes), type));
  }

  private static FloatBuffer decode(ByteBuffer bytes, Type type) {
    return switch (type) {
      case F32 -> bytes.asFloatBuffer();
      case F16 -> {
        short[] halves = new short[bytes.remaining() / Short.BYTES];
        bytes.asShortBuffer().get(halves);
        float[] values = new float[halves.length];
        DataLayouts.FLOAT16.applyTo(DataBuffers.of(halves)).read(values);
        yield FloatBuffer.wrap(values);
      }
    };
  }

  private static ByteBuffer encode(String where, FloatBuffer values, Type type) throws IOException {
    ByteBuffer bytes = littleEndian(values.remaining() * type.bytes);
    switch (type) {
      case F32 -> bytes.asFloatBuffer().put(values.duplicate());
      case F16 -> {
        float[] floats = new float[values.remaining()];
        values.duplicate().get(floats);
        for (float value : floats) {
          if (!(Math.abs(value) < FLOAT16_OVERFLOW)) {
            throw new IOException(where + ": " + value + " does not fit into float16");
          }
        }
        short[] halves = new short[floats.length];
        DataLayouts.FLOAT16.applyTo(DataBuffers.of(halves)).write(floats);
        bytes.asShortBuffer().put(halves);
      }
    }
    return bytes;
  }

  private static long wholeNumber(String where, JsonNode number) throws IOException {
    if (!number.isIntegralNumber() || !number.canConvertToLong() || number.longValue() < 0) {
      throw new IOException(where + ": sizes and offsets must be whole numbers, got " + number);
    }
    return number.longValue();
  }

  private static ByteBuffer readFully(FileChannel channel, long position, int length)
      throws IOException {
    ByteBuffer buffer = littleEndian(length);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, position + buffer.position()) < 0) {
        throw new IOException("the file was cut short while it was read");
      }
    }
    return buffer.flip();
  }

  private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  private static ByteBuffer littleEndian(int length) {
    return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static IOException invalid(Path file, String problem) {
    return new IOException(file + ": " + problem);
  }
}

package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.ndarray.Shape;

class SafeTensorsTest {
  private static final String GOOD =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";

  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource
  void whatIsWrittenIsRead(DType type) throws IOException {
    Map<String, Weight> weights = new LinkedHashMap<>();
    weights.put("b", new Weight(Shape.of(2, 1), FloatBuffer.wrap(new float[] {1.5f, -2})));
    weights.put("a", new Weight(Shape.scalar(), FloatBuffer.wrap(new float[] {7})));
    Path file = folder.resolve("x.safetensors");
    SafeTensors.write(file, weights, type);
    assertThat(SafeTensors.read(file)).isEqualTo(weights);
    byte[] bytes = Files.readAllBytes(file);
    assertThat((bytes.length - 3 * type.bytes()) % 8).as("arrays are aligned").isZero();
  }

  @Test
  void float16RoundsToTheNearestAndTiesToEven() throws IOException {
    // Of the numbers that float16 has, 1 + 1/1024 follows 1, and the smallest is 2^-24.
    float[] values = {
      1, -2, 0.1f, 1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65504, 0x1p-24f, 0x1p-25f, 0x1.8p-25f
    };
    float[] rounded = {1, -2, 0x1.998p-4f, 1, 1 + 0x1p-9f, 65504, 0x1p-24f, 0, 0x1p-24f};
    Path file = folder.resolve("x.safetensors");
    SafeTensors.write(
        file, Map.of("a", new Weight(Shape.of(9), FloatBuffer.wrap(values))), DType.F16);
    assertThat(SafeTensors.read(file).get("a"))
        .isEqualTo(new Weight(Shape.of(9), FloatBuffer.wrap(rounded)));
  }

  @Test
  void float16ByHandIsRead() throws IOException {
    String header = "{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
    // 0x3c00 is 1 and 0xc000 is -2; the file helper writes floats, of which these are the bytes.
    Path file = file(header, Float.intBitsToFloat(0xc0003c00));
    assertThat(SafeTensors.read(file).get("a"))
        .isEqualTo(new Weight(Shape.of(2), FloatBuffer.wrap(new float[] {1, -2})));
  }

  /** To Jackson four bytes of which some are 0 are UTF-32. */
  @Test
  void aHeaderThatIsNoTextIsRefused() throws IOException {
    Path file = folder.resolve("x.safetensors");
    Files.write(file, new byte[] {8, 0, 0, 0, 0, 0, 0, 0, '{', 0, 0, 0, 2, 'e', 's', 'a'});
    assertThatThrownBy(() -> SafeTensors.read(file))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith(file + ": ")
        .hasMessageContaining("the header: not JSON: Invalid UTF-32 character");
  }

  @Test
  void aFileByHandIsRead() throws IOException {
    Weight weight = SafeTensors.read(file(GOOD, 1, 2)).get("a");
    assertThat(weight.values().get(0)).isEqualTo(1);
    assertThat(weight.values().get(1)).isEqualTo(2);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "no json | not JSON",
        "[1] | must be a JSON object",
        "{\"a\":5} | needs a shape",
        "{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}} | dtype must be F64, F32, F16, BF16, got I64",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}} | within the file's 8 bytes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}} | within the file's 8 bytes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}} | whole numbers",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}} | whole numbers",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}} | needs 12 bytes",
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}} | needs 4 bytes, got 8",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} | must fill the file's 8 bytes, got 4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}} | where the one before ends, at 0, got 4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}} | array b must begin where",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}} | too large",
      })
  void aDamagedHeaderIsRefused(String header, String problem) throws IOException {
    Path file = file(header, 1, 2);
    assertThatThrownBy(() -> SafeTensors.read(file))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(problem);
  }

  @ParameterizedTest
  @CsvSource({"-1, 18446744073709551615", "1000, 1000", "0, 0", "9223372036854775807, 92233"})
  void aLengthThatIsNotThatOfTheHeaderIsRefused(long length, String shown) throws IOException {
    Path file = file(GOOD, 1, 2);
    byte[] bytes = Files.readAllBytes(file);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    Files.write(file, bytes);
    assertThatThrownBy(() -> SafeTensors.read(file))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("header's length must be in")
        .hasMessageContaining(shown);
  }

  @Test
  void aFileCutShortIsRefusedWhereverItIsCut() throws IOException {
    Path whole = file(GOOD, 1, 2);
    byte[] bytes = Files.readAllBytes(whole);
    for (int length = 0; length < bytes.length; length++) {
      Path cut = folder.resolve("cut");
      Files.write(cut, Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> SafeTensors.read(cut)).isInstanceOf(IOException.class);
    }
  }

  private Path file(String header, float... values) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length);
    bytes.write(length.array());
    bytes.write(json);
    for (float value : values) {
      bytes.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array());
    }
    return Files.write(folder.resolve("x.safetensors"), bytes.toByteArray());
  }
}

package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class DTypeTest {
  /** Every half by the definition: sign, five bits of exponent with bias 15, ten of fraction. */
  @Test
  void everyHalfIsReadByItsDefinition() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      int exponent = bits >> 10 & 31;
      double fraction = (bits & 1023) / 1024.0;
      double size =
          exponent == 0 ? fraction * 0x1p-14 : (1 + fraction) * Math.pow(2, exponent - 15);
      if (exponent == 31) {
        size = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
      }
      assertThat(read(DType.F16, bits))
          .as("%04x", bits)
          .isEqualTo(Float.valueOf((float) (bits < 1 << 15 ? size : -size)));
    }
  }

  /** All that a type can hold comes back, and what lies between two neighbors is rounded. */
  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void everyNumberIsWrittenAndRoundedHalfToEven(DType type) {
    for (int bits = 0; bits < 1 << 16; bits++) {
      float value = read(type, bits);
      if (Float.isNaN(value)) {
        assertThat(read(type, write(type, value))).isNaN();
        continue;
      }
      assertThat(write(type, value)).isEqualTo(bits);
      float next = read(type, bits + 1 & 0xffff);
      if (Float.isFinite(value) && Float.isFinite(next) && (bits & 0x7fff) != 0x7fff) {
        float middle = (float) (((double) value + next) / 2);
        assertThat(write(type, middle)).as("%04x", bits).isEqualTo(bits % 2 == 0 ? bits : bits + 1);
        assertThat(write(type, Math.nextUp(Math.abs(middle)) * Math.signum(next)))
            .as("%04x", bits)
            .isEqualTo(bits + 1);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "65519, 7bff", // the largest that is not yet infinite
    "65520, 7c00",
    "-1e30, fc00",
    "1e-30, 0",
    "2.9802322e-8, 0", // half of the smallest: to even
    "2.980233e-8, 1"
  })
  void whatAHalfCannotHoldBecomesInfiniteOrZero(float value, String bits) {
    assertThat(Integer.toHexString(write(DType.F16, value))).isEqualTo(bits);
  }

  private static float read(DType type, int bits) {
    ByteBuffer bytes = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
    FloatBuffer values = FloatBuffer.allocate(1);
    type.read(bytes.putShort((short) bits).flip(), values);
    return values.get(0);
  }

  private static int write(DType type, float value) {
    ByteBuffer bytes = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
    type.write(FloatBuffer.wrap(new float[] {value}), bytes);
    return Short.toUnsignedInt(bytes.getShort(0));
  }
}

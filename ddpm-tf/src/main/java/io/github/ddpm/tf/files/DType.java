package io.github.ddpm.tf.files;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** How a safetensors file stores a number; the names are the format's. */
public enum DType {
  /** IEEE 754 double precision. */
  F64(8) {
    @Override
    void read(ByteBuffer from, FloatBuffer to) {
      while (from.hasRemaining()) {
        to.put((float) from.getDouble());
      }
    }

    @Override
    void write(FloatBuffer from, ByteBuffer to) {
      while (from.hasRemaining()) {
        to.putDouble(from.get());
      }
    }
  },

  /** IEEE 754 single precision. */
  F32(4) {
    @Override
    void read(ByteBuffer from, FloatBuffer to) {
      to.put(from.asFloatBuffer());
    }

    @Override
    void write(FloatBuffer from, ByteBuffer to) {
      int bytes = from.remaining() * Float.BYTES;
      to.asFloatBuffer().put(from);
      to.position(to.position() + bytes);
    }
  },

  /** IEEE 754 half precision: 5 bits of exponent, 10 of fraction. */
  F16(2) {
    @Override
    void read(ByteBuffer from, FloatBuffer to) {
      while (from.hasRemaining()) {
        to.put(halfToFloat(from.getShort()));
      }
    }

    @Override
    void write(FloatBuffer from, ByteBuffer to) {
      while (from.hasRemaining()) {
        to.putShort(floatToHalf(from.get()));
      }
    }
  },

  /** The upper half of single precision: 8 bits of exponent, 7 of fraction. */
  BF16(2) {
    @Override
    void read(ByteBuffer from, FloatBuffer to) {
      while (from.hasRemaining()) {
        to.put(Float.intBitsToFloat(from.getShort() << 16));
      }
    }

    @Override
    void write(FloatBuffer from, ByteBuffer to) {
      while (from.hasRemaining()) {
        int bits = Float.floatToIntBits(from.get());
        // Half to even; a number that is not finite keeps its bits.
        int rounded = (bits & 0x7f800000) == 0x7f800000 ? bits : bits + 0x7fff + (bits >>> 16 & 1);
        to.putShort((short) (rounded >>> 16));
      }
    }
  };

  /** The largest number of half precision. */
  static final float MAX_HALF = 65504;

  /** Smallest normal number of half precision is 2 to this. */
  private static final int MIN_HALF_EXPONENT = -14;

  private static final int HALF_FRACTION_BITS = 10;

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Returns the number of bytes of a number. */
  int bytes() {
    return bytes;
  }

  /** Reads all numbers of a little-endian buffer. */
  abstract void read(ByteBuffer from, FloatBuffer to);

  /**
   * Writes numbers to a little-endian buffer, rounded half to even; what is too large becomes
   * infinite.
   */
  abstract void write(FloatBuffer from, ByteBuffer to);

  private static float halfToFloat(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = half >>> HALF_FRACTION_BITS & 0x1f;
    int fraction = half & 0x3ff;
    if (exponent == 0) {
      float subnormal = Math.scalb((float) fraction, MIN_HALF_EXPONENT - HALF_FRACTION_BITS);
      return Float.intBitsToFloat(sign | Float.floatToRawIntBits(subnormal));
    }
    int wide = exponent == 0x1f ? 0xff : exponent - 15 + 127;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
  }

  private static short floatToHalf(float value) {
    int sign = Float.floatToIntBits(value) >>> 16 & 0x8000;
    if (Float.isNaN(value)) {
      return (short) (sign | 0x7e00);
    }
    float size = Math.abs(value);
    int exponent = Math.max(Math.getExponent(size), MIN_HALF_EXPONENT);
    if (exponent > 15) {
      return (short) (sign | 0x7c00);
    }
    // In units of the last place, which is exact; a carry goes on into the exponent's bits.
    int units = (int) Math.rint(Math.scalb((double) size, HALF_FRACTION_BITS - exponent));
    int above = exponent - MIN_HALF_EXPONENT;
    return (short) (sign | (above << HALF_FRACTION_BITS) + units);
  }
}

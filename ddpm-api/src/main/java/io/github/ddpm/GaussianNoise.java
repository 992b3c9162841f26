package io.github.ddpm;

/**
 * N(0, 1) numbers as a pure function of (seed, image, stream, position), the same on every machine:
 * Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3") and the
 * Box-Muller transform.
 */
final class GaussianNoise {
  /** The stream of the noise that sampling starts from; row r draws from stream r + 1. */
  static final int INITIAL = 0;

  /** The stream of the labels that nobody asked for, behind all rows. */
  static final int LABELS = -1;

  /** The stream of the noise of known pixels after row 0; those of the next rows are below it. */
  static final int KNOWN = -2;

  private static final int ROUNDS = 10;
  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;

  private GaussianNoise() {}

  /** Fills {@code out[offset … offset + length)}. */
  static void fill(float[] out, int offset, int length, long seed, long image, int stream) {
    int[] block = new int[4];
    for (int i = 0; i < length; i += 4) {
      block[0] = i / 4;
      block[1] = stream;
      block[2] = (int) image;
      block[3] = (int) (image >>> 32);
      philox(block, (int) seed, (int) (seed >>> 32));
      for (int pair = 0; pair < 4 && i + pair < length; pair += 2) {
        // StrictMath, because Math may differ between machines in the last bit.
        double radius = StrictMath.sqrt(-2 * StrictMath.log(uniform(block[pair])));
        double angle = 2 * Math.PI * uniform(block[pair + 1]);
        out[offset + i + pair] = (float) (radius * StrictMath.cos(angle));
        if (i + pair + 1 < length) {
          out[offset + i + pair + 1] = (float) (radius * StrictMath.sin(angle));
        }
      }
    }
  }

  /** Returns a number in (0, 1). */
  static double uniform(long seed, long image, int stream) {
    int[] block = {0, stream, (int) image, (int) (image >>> 32)};
    philox(block, (int) seed, (int) (seed >>> 32));
    return uniform(block[0]);
  }

  /** Replaces a counter of four words by four random words. */
  static void philox(int[] counter, int key0, int key1) {
    for (int round = 0; round < ROUNDS; round++) {
      long product0 = MULTIPLIER_0 * Integer.toUnsignedLong(counter[0]);
      long product1 = MULTIPLIER_1 * Integer.toUnsignedLong(counter[2]);
      counter[0] = (int) (product1 >>> 32) ^ counter[1] ^ key0;
      counter[1] = (int) product1;
      counter[2] = (int) (product0 >>> 32) ^ counter[3] ^ key1;
      counter[3] = (int) product0;
      key0 += WEYL_0;
      key1 += WEYL_1;
    }
  }

  /** Returns a number in (0, 1): never 0, whose logarithm is infinite. */
  private static double uniform(int word) {
    return (Integer.toUnsignedLong(word) + 0.5) * 0x1p-32;
  }
}

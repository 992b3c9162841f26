package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class GaussianNoiseTest {
  /** From kat_vectors of Random123 1.14, philox4x32 with 10 rounds. */
  @Test
  void philoxKnowsItsAnswers() {
    assertThat(philox(0, 0, 0, 0, 0, 0))
        .containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    assertThat(philox(-1, -1, -1, -1, -1, -1))
        .containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    assertThat(philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0))
        .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
  }

  private static int[] philox(int c0, int c1, int c2, int c3, int key0, int key1) {
    int[] counter = {c0, c1, c2, c3};
    GaussianNoise.philox(counter, key0, key1);
    return counter;
  }

  /**
   * From a Python script of its own: big-integer Philox of [position / 4, stream, image low, image
   * high], key seed low and high; u = (word + 0.5) / 2³²; √(-2 ln u0)·cos and ·sin of 2π·u1,
   * rounded by numpy.float32.
   */
  @Test
  void firstValuesArePinned() {
    assertNoise(
        0, 0, 0, 0.9911377f, -0.9246626f, -0.61760896f, -0.4820686f, -0.15363823f, 0.1808259f);
    assertNoise(
        1, 7, 3, -1.1969457f, 0.7362269f, 0.04859207f, -1.1648008f, -0.843565f, -1.4678674f);
    assertNoise(
        -2,
        (5L << 32) + 9,
        1,
        0.52936137f,
        -0.5354616f,
        -0.9110004f,
        -0.2574351f,
        -0.6059687f,
        -0.060553428f);
  }

  private static void assertNoise(long seed, long image, int stream, float... expected) {
    assertThat(noise(expected.length, seed, image, stream))
        .containsExactly(expected, within(1e-7f));
  }

  @Test
  void momentsAreThoseOfANormal() {
    int n = 1_000_000;
    double[] moments = new double[5];
    double neighbors = 0;
    float[] z = noise(n, 42, 0, 0);
    for (int i = 0; i < n; i++) {
      double power = 1;
      for (int k = 1; k < moments.length; k++) {
        power *= z[i];
        moments[k] += power / n;
      }
      neighbors += i > 0 ? (double) z[i] * z[i - 1] / n : 0;
    }
    // Four and a half standard errors: √(1, 2, 15, 96)/1000.
    assertThat(moments[1]).isCloseTo(0, within(0.0045));
    assertThat(moments[2]).isCloseTo(1, within(0.0064));
    assertThat(moments[3]).isCloseTo(0, within(0.0175));
    assertThat(moments[4]).isCloseTo(3, within(0.044));
    assertThat(neighbors).isCloseTo(0, within(0.0045));
  }

  @Test
  void seedsImagesAndStreamsAreUnrelated() {
    float[] z = noise(100_000, 1, 0, 0);
    assertUnrelated(z, noise(z.length, 2, 0, 0));
    assertUnrelated(z, noise(z.length, 1L << 32, 0, 0));
    assertUnrelated(z, noise(z.length, 1, 1, 0));
    assertUnrelated(z, noise(z.length, 1, 1L << 32, 0));
    assertUnrelated(z, noise(z.length, 1, 0, 1));
  }

  private static void assertUnrelated(float[] a, float[] b) {
    double correlation = 0;
    for (int i = 0; i < a.length; i++) {
      correlation += (double) a[i] * b[i] / a.length;
    }
    assertThat(correlation).isCloseTo(0, within(0.015));
  }

  @Test
  void lengthAndOffsetDoNotMatter() {
    float[] all = noise(11, 3, 4, 5);
    for (int length = 0; length <= 11; length++) {
      float[] out = new float[length + 3];
      GaussianNoise.fill(out, 2, length, 3, 4, 5);
      assertThat(out[0]).isZero();
      assertThat(out[length + 2]).isZero();
      for (int i = 0; i < length; i++) {
        assertThat(out[2 + i]).isEqualTo(all[i]);
      }
    }
  }

  private static float[] noise(int length, long seed, long image, int stream) {
    float[] noise = new float[length];
    GaussianNoise.fill(noise, 0, length, seed, image, stream);
    return noise;
  }
}

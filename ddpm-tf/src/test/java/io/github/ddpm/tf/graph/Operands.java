package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;

import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.types.TFloat32;

/** What comes out of operations, for tests of them. */
final class Operands {
  private Operands() {}

  static float[] run(Session session, Operand<TFloat32> operand) {
    try (Result result = session.runner().fetch(operand).run()) {
      return values(result);
    }
  }

  /** Those of the first tensor. */
  static float[] values(Result result) {
    float[] values = new float[(int) result.get(0).size()];
    ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
    return values;
  }

  /**
   * Fails unless all numbers agree.
   *
   * @param tolerance of a difference, as a share of the largest number expected or of 1
   */
  static void assertClose(float[] actual, float[] expected, double tolerance) {
    double most = 1;
    for (float value : expected) {
      most = Math.max(most, Math.abs(value));
    }
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      assertThat(Math.abs((double) actual[i] - expected[i]))
          .as("[%s]: %s and %s", i, actual[i], expected[i])
          .isLessThanOrEqualTo(tolerance * most);
    }
  }
}

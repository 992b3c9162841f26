package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.proto.RunOptions;
import org.tensorflow.types.TFloat32;

/** What comes out of operations, for tests of them. */
final class Operands {
  private Operands() {}

  static float[] run(Session session, Operand<TFloat32> operand) {
    return run(session, List.of(operand)).get(0);
  }

  /** Those of several operands of one run. */
  static List<float[]> run(Session session, List<Operand<TFloat32>> operands) {
    Session.Runner runner = session.runner();
    operands.forEach(runner::fetch);
    try (Result result = runner.run()) {
      return IntStream.range(0, operands.size()).mapToObj(i -> values(result, i)).toList();
    }
  }

  /** Those of the first tensor. */
  static float[] values(Result result) {
    return values(result, 0);
  }

  static float[] values(Result result, int index) {
    float[] values = new float[(int) result.get(index).size()];
    ((TFloat32) result.get(index)).copyTo(DataBuffers.of(values));
    return values;
  }

  /** Runs so that {@link #memory} can tell. */
  static Result traced(Session.Runner runner) {
    return runner
        .setOptions(
            RunOptions.newBuilder().setTraceLevel(RunOptions.TraceLevel.SOFTWARE_TRACE).build())
        .runAndFetchMetadata();
  }

  /** Where the numbers of an operand were. */
  static long memory(Result traced, Operand<?> operand) {
    return traced.getMetadata().orElseThrow().getStepStats().getDevStatsList().stream()
        .flatMap(device -> device.getNodeStatsList().stream())
        .filter(node -> node.getNodeName().equals(operand.op().name()))
        .findFirst()
        .orElseThrow()
        .getOutput(operand.asOutput().index())
        .getTensorDescription()
        .getAllocationDescription()
        .getPtr();
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
      // Asserting something of each number would take longer than computing them.
      if (!(Math.abs((double) actual[i] - expected[i]) <= tolerance * most)) {
        fail("[%s]: %s and %s, beyond %s", i, actual[i], expected[i], tolerance * most);
      }
    }
  }
}

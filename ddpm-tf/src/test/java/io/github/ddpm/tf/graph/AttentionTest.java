package io.github.ddpm.tf.graph;

import static io.github.ddpm.tf.graph.Operands.assertClose;
import static io.github.ddpm.tf.graph.Operands.run;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.types.TFloat32;

/** Both ways of attention against the definition in double, and their gradients. */
class AttentionTest {
  @BeforeAll
  static void registerGradients() {
    UNet.registerGradients();
  }

  record Case(int images, int height, int width, int channels, int heads, double size) {
    Shape shape() {
      return Shape.of(images, height, width, channels);
    }
  }

  static Stream<Case> cases() {
    return Stream.of(
        new Case(2, 1, 1, 4, 2, 1),
        new Case(2, 3, 5, 6, 1, 1),
        new Case(3, 7, 7, 64, 1, 0.5),
        // More rows than are computed at a time, and enough for several threads.
        new Case(2, 16, 9, 32, 4, 1),
        // Shares that are all but 0 and 1, of scores whose exponentials would overflow.
        new Case(1, 4, 4, 8, 1, 20));
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void theKernelFollowsTheDefinition(Case attention) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Attended kernel = new Attended(attention, true);
    assertClose(kernel.y, kernel.expected(), 1e-5);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void tensorFlowsOperationsFollowTheDefinition(Case attention) {
    Attended composed = new Attended(attention, false);
    assertClose(composed.y, composed.expected(), 1e-4);
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void theGradientsAreThoseOfTensorFlowsOperations(Case attention) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Attended kernel = new Attended(attention, true);
    Attended composed = new Attended(attention, false);
    for (int i = 0; i < 3; i++) {
      assertClose(kernel.gradients.get(i), composed.gradients.get(i), 1e-4);
    }
  }

  @Test
  void operandsThatDontFitAreRefused() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> x = tf.ones(tf.constant(new int[] {2, 3, 3, 8}), TFloat32.class);
      Operand<TFloat32> wider = tf.ones(tf.constant(new int[] {2, 3, 4, 8}), TFloat32.class);
      Operand<TFloat32> heads = new Attention(3).byKernel(tf, x, x, x);
      Operand<TFloat32> shapes = new Attention(2).byKernel(tf, x, wider, x);
      Operand<TFloat32> gradient =
          Kernels.builder(tf, "DdpmAttentionGrad")
              .addInput(x.asOutput())
              .addInput(x.asOutput())
              .addInput(x.asOutput())
              .addInput(wider.asOutput())
              .setAttr("heads", 2)
              .build()
              .output(0);
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertThatThrownBy(() -> session.runner().fetch(heads).run())
            .hasMessageContaining("the heads must divide the channels");
        assertThatThrownBy(() -> session.runner().fetch(shapes).run())
            .hasMessageContaining("query, key and value must have one shape");
        assertThatThrownBy(() -> session.runner().fetch(gradient).run())
            .hasMessageContaining("dy must have the shape of query");
      }
    }
  }

  private static final class Attended {
    final Case its;

    /** Query, key and value. */
    final List<float[]> inputs = new ArrayList<>();

    final float[] y;
    final List<float[]> gradients;

    Attended(Case its, boolean byKernel) {
      this.its = its;
      Random random = new Random(1);
      float[][] numbers = new float[4][(int) its.shape().size()];
      for (float[] some : numbers) {
        for (int i = 0; i < some.length; i++) {
          some[i] = (float) (its.size() * random.nextGaussian());
        }
      }
      inputs.addAll(List.of(numbers).subList(0, 3));
      try (Graph graph = TensorFlowRuntime.graph()) {
        Ops tf = TensorFlowRuntime.ops(graph);
        List<Operand<TFloat32>> in = new ArrayList<>();
        for (float[] values : numbers) {
          in.add(tf.constant(its.shape(), DataBuffers.of(values)));
        }
        Attention attention = new Attention(its.heads());
        Operand<TFloat32> out =
            byKernel
                ? attention.byKernel(tf, in.get(0), in.get(1), in.get(2))
                : attention.composed(tf, in.get(0), in.get(1), in.get(2));
        Gradients all =
            tf.gradients(
                tf.reduceSum(tf.math.mul(out, in.get(3)), tf.constant(new int[] {0, 1, 2, 3})),
                in.subList(0, 3));
        try (Session session = TensorFlowRuntime.session(graph)) {
          List<float[]> results =
              run(session, List.of(out, all.dy(0), all.dy(1), all.<TFloat32>dy(2)));
          y = results.get(0);
          gradients = results.subList(1, 4);
        }
      }
    }

    float[] expected() {
      int pixels = its.height() * its.width();
      int d = its.channels() / its.heads();
      float[] result = new float[y.length];
      for (int image = 0; image < its.images(); image++) {
        for (int head = 0; head < its.heads(); head++) {
          int start = image * pixels * its.channels() + head * d;
          for (int p = 0; p < pixels; p++) {
            double[] shares = new double[pixels];
            double most = Double.NEGATIVE_INFINITY;
            for (int q = 0; q < pixels; q++) {
              for (int c = 0; c < d; c++) {
                shares[q] +=
                    (double) inputs.get(0)[start + p * its.channels() + c]
                        * inputs.get(1)[start + q * its.channels() + c]
                        / Math.sqrt(d);
              }
              most = Math.max(most, shares[q]);
            }
            double sum = 0;
            for (int q = 0; q < pixels; q++) {
              shares[q] = Math.exp(shares[q] - most);
              sum += shares[q];
            }
            for (int c = 0; c < d; c++) {
              double value = 0;
              for (int q = 0; q < pixels; q++) {
                value += shares[q] / sum * inputs.get(2)[start + q * its.channels() + c];
              }
              result[start + p * its.channels() + c] = (float) value;
            }
          }
        }
      }
      return result;
    }
  }
}

package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Fixtures;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TFInvalidArgumentException;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Weights of our operation: what they give out, and for how long they have memory. */
class FrozenWeightsTest {
  private static final Shape SHAPE = Shape.of(2, 3);

  private int before;

  @BeforeEach
  void countWhatOthersKeep() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    before = Kernels.weightsKept();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 4})
  void aWeightHasItsShapeAndItsValues(int rank) {
    long[] sizes = new long[rank];
    for (int i = 0; i < rank; i++) {
      sizes[i] = i + 1L;
    }
    Shape shape = Shape.of(sizes);
    FloatBuffer values = values((int) shape.size(), 1);
    // From position to limit, of memory of any kind and order.
    FloatBuffer inside = ByteBuffer.allocateDirect(400).order(ByteOrder.BIG_ENDIAN).asFloatBuffer();
    inside.position(5).put(values.duplicate()).limit(inside.position()).position(5);
    try (Graph graph = TensorFlowRuntime.graph();
        FrozenWeights weights = new FrozenWeights(TensorFlowRuntime.ops(graph))) {
      Operand<TFloat32> a = weights.add("a", shape, values);
      Operand<TFloat32> b = weights.add("b", shape, inside);
      assertThat(a.shape()).isEqualTo(shape);
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertThat(Operands.run(session, a)).isEqualTo(values.array());
        assertThat(Operands.run(session, b)).isEqualTo(values.array());
      }
      assertThat(values.position()).isZero();
      assertThat(inside.position()).isEqualTo(5);
    }
  }

  @Test
  void memoryIsFreedWhenTheWeightsAreClosedAndNoSessionHasThem() {
    Graph graph = TensorFlowRuntime.graph();
    FrozenWeights weights = new FrozenWeights(TensorFlowRuntime.ops(graph));
    Operand<TFloat32> a = weights.add("a", SHAPE, values(6, 1));
    weights.add("b", SHAPE, values(6, 2));
    Session session = TensorFlowRuntime.session(graph);
    assertThat(Kernels.weightsKept()).isEqualTo(before + 2);
    Result result = session.runner().fetch(a).run();
    weights.close();
    // What has run may run.
    assertThat(Operands.run(session, a)).containsExactly(1, 2, 3, 4, 5, 6);
    assertThat(Kernels.weightsKept()).isEqualTo(before + 1);
    session.close();
    graph.close();
    assertThat(Kernels.weightsKept()).isEqualTo(before);
    // A result is TensorFlow's.
    assertThat(((TFloat32) result.get(0)).getFloat(1, 2)).isEqualTo(6);
    result.close();
    weights.close();
    assertThat(Kernels.weightsKept()).isEqualTo(before);
  }

  @Test
  void theMemoryOfAModelIsFreedWhenItIsClosed() throws IOException {
    Path folder = Fixtures.path("golden/unet-padding0");
    try (Predictor model = Predictor.load(folder, Precision.FLOAT32)) {
      Sampler.ddim(0).steps(2).seed(1).with(model).sample(1);
      assertThat(Kernels.weightsKept()).isGreaterThan(before + 20);
    }
    assertThat(Kernels.weightsKept()).isEqualTo(before);
  }

  @Test
  void noResultIsWrittenInTheirPlace() {
    try (Graph graph = TensorFlowRuntime.graph();
        FrozenWeights weights = new FrozenWeights(TensorFlowRuntime.ops(graph))) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> a = weights.add("a", SHAPE, values(6, 1));
      // TensorFlow computes these in the memory of what they take where nobody else has it.
      Operand<TFloat32> negative = tf.math.neg(tf.reshape(a, tf.constant(new int[] {3, 2})));
      try (Session session = TensorFlowRuntime.session(graph)) {
        for (int i = 0; i < 3; i++) {
          assertThat(Operands.run(session, negative)).containsExactly(-1, -2, -3, -4, -5, -6);
        }
      }
    }
  }

  @Test
  void graphsHaveTheirOwn() {
    try (Graph graph = TensorFlowRuntime.graph();
        FrozenWeights weights = new FrozenWeights(TensorFlowRuntime.ops(graph))) {
      Operand<TFloat32> a = weights.add("a", SHAPE, values(6, 1));
      try (Session session = TensorFlowRuntime.session(graph)) {
        try (Graph other = TensorFlowRuntime.graph();
            FrozenWeights others = new FrozenWeights(TensorFlowRuntime.ops(other))) {
          Operand<TFloat32> b = others.add("a", SHAPE, values(6, 7));
          try (Session ofOther = TensorFlowRuntime.session(other)) {
            assertThat(Operands.run(ofOther, b)).containsExactly(7, 8, 9, 10, 11, 12);
          }
        }
        assertThat(Operands.run(session, a)).containsExactly(1, 2, 3, 4, 5, 6);
      }
    }
    assertThat(Kernels.weightsKept()).isEqualTo(before);
  }

  @Test
  void aFilterIsPackedUpToTheNumbersThatMayBeCopied() {
    try (Graph graph = TensorFlowRuntime.graph();
        FrozenWeights weights = new FrozenWeights(TensorFlowRuntime.ops(graph), true, 12)) {
      assertThat(FrozenWeights.mayBePacked(weights.add("a", SHAPE, values(6, 1)).op())).isTrue();
      assertThat(FrozenWeights.mayBePacked(weights.add("b", SHAPE, values(6, 1)).op())).isTrue();
      assertThat(FrozenWeights.mayBePacked(weights.add("c", SHAPE, values(6, 1)).op())).isFalse();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, -1, Long.MIN_VALUE, Long.MAX_VALUE})
  void aKeyThatNothingHasIsRefused(long key) {
    assertRefused(key);
    assertThat(Kernels.addressOfWeight(key)).isZero();
    Kernels.forgetWeight(key);
  }

  @Test
  void aKeyThatIsForgottenIsRefused() {
    long key = Kernels.addWeight(1, 2, 0, 0, 0);
    assertThat(Kernels.addressOfWeight(key) % 64).isZero();
    Kernels.forgetWeight(key);
    assertRefused(key);
    assertThat(Kernels.weightsKept()).isEqualTo(before);
  }

  private static void assertRefused(long key) {
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> weight =
          Kernels.builder(tf, "DdpmWeight")
              .addInput(tf.constant(Shape.of(0, 2), DataBuffers.ofFloats(0)).asOutput())
              .setAttr("key", key)
              .setAttr("packed", false)
              .build()
              .output(0);
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertThatThrownBy(() -> Operands.run(session, weight))
            .isInstanceOf(TFInvalidArgumentException.class)
            .hasMessageContaining("key must be that of a weight that is kept, got " + key);
      }
    }
  }

  @Test
  void memoryThatIsNotThereIsRefused() {
    try (Graph graph = TensorFlowRuntime.graph();
        FrozenWeights weights = new FrozenWeights(TensorFlowRuntime.ops(graph))) {
      assertThat(Kernels.addWeight(2, 1L << 30, 1L << 30, 0, 0)).isZero();
      assertThatIllegalArgumentException()
          .isThrownBy(() -> weights.add("a", SHAPE, values(5, 1)))
          .withMessage("shape [2, 3] has 6 values, got 5");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> weights.add("a", Shape.of(1, 1, 1, 1, 1), values(1, 1)))
          .withMessage("a weight must have at most 4 sizes, got [1, 1, 1, 1, 1]");
    }
    assertThat(Kernels.weightsKept()).isEqualTo(before);
  }

  /** So many numbers from a first one. */
  private static FloatBuffer values(int count, int first) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = first + i;
    }
    return FloatBuffer.wrap(values);
  }
}

package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import com.google.common.primitives.Floats;
import io.github.ddpm.Precision;
import io.github.ddpm.tf.TrainingOptions.Method;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.SafeTensors;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Against diffusers' own {@code UNet2DModel}, run in double; {@code src-test-resources/README.md}
 * says what made the numbers. The tolerances are about four times what PyTorch's own float32
 * differs from its double.
 */
class UNetGoldenTest {
  private static final float OUT = 2e-5f;
  private static final float GRADIENT = 2e-4f;
  private static final float WEIGHT = 2e-5f;
  private static final float CLIPPED_WEIGHT = 5e-5f;

  /** Of the length of all: a value of bfloat16 is off by up to 1/256 of it. */
  private static final double ROUNDED_OUT = 0.05;

  private static final double ROUNDED_GRADIENT = 0.2;

  /** One of float16 is off by up to 1/2048 of it. */
  private static final double HALF_OUT = ROUNDED_OUT / 8;

  private static final double HALF_GRADIENT = ROUNDED_GRADIENT / 8;

  static Stream<String> all() {
    // Other activations are composed with our operations too, without which networks are slow.
    return Stream.concat(
        Stream.of("unet-attention", "unet-padding0", "unet-adm"),
        TensorFlowRuntime.hasKernels()
            ? Stream.of("unet-scale-shift", "unet-mish", "unet-gelu", "unet-relu")
            : Stream.of());
  }

  @ParameterizedTest
  @MethodSource("all")
  void theForwardPassIsThatOfDiffusers(String name) throws IOException {
    try (Golden golden = new Golden(name)) {
      golden.start();
      assertClose(golden.run(golden.out), golden.images("out"), OUT, "out");
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void theGradientsAreThoseOfDiffusers(String name) throws IOException {
    try (Golden golden = new Golden(name)) {
      Operand<TFloat32> gradient = golden.vectors.gradient(golden.loss);
      golden.start();
      golden.assertWeights("grad.", golden.run(gradient), GRADIENT);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void inFloat16BothAreNearThose(String name) throws IOException {
    try (Golden golden = new Golden(name, Precision.FLOAT16)) {
      Operand<TFloat32> scale = golden.tf.constant(1024f);
      Operand<TFloat32> gradient =
          golden.tf.math.div(
              golden.vectors.gradient(golden.tf.math.mul(golden.loss, scale)), scale);
      golden.start();
      assertNear(golden.run(golden.out), golden.images("out"), HALF_OUT);
      golden.assertNear("grad.", golden.run(gradient), HALF_GRADIENT);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void inBfloat16BothAreNearThose(String name) throws IOException {
    try (Golden golden = new Golden(name, Precision.BFLOAT16)) {
      Operand<TFloat32> gradient = golden.vectors.gradient(golden.loss);
      golden.start();
      assertNear(golden.run(golden.out), golden.images("out"), ROUNDED_OUT);
      golden.assertNear("grad.", golden.run(gradient), ROUNDED_GRADIENT);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"unet-attention", "unet-padding0", "unet-scale-shift"})
  void threeStepsOfAdamWAreThoseOfPyTorch(String name) throws IOException {
    try (Golden golden = new Golden(name)) {
      golden.threeSteps(Double.POSITIVE_INFINITY, "losses");
      golden.assertWeights("adamw3.", golden.vectors.get(golden.session, Vector.WEIGHTS), WEIGHT);
    }
  }

  @Test
  void threeStepsWithClippedGradientsAreThoseOfPyTorch() throws IOException {
    try (Golden golden = new Golden("unet-attention")) {
      golden.threeSteps(0.1, "clipped_losses");
      golden.assertWeights(
          "clipped3.", golden.vectors.get(golden.session, Vector.WEIGHTS), CLIPPED_WEIGHT);
    }
  }

  /**
   * Asserts that numbers are near others.
   *
   * @param tolerance of the length of the difference, as a share of that of what is expected
   */
  private static void assertNear(float[] actual, float[] expected, double tolerance) {
    double difference = 0;
    double length = 0;
    for (int i = 0; i < expected.length; i++) {
      difference = Math.hypot(difference, (double) actual[i] - expected[i]);
      length = Math.hypot(length, expected[i]);
    }
    assertThat(difference / length).isLessThan(tolerance);
  }

  private static void assertClose(float[] actual, float[] expected, float tolerance, String what) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      assertThat(Math.abs(actual[i] - expected[i]))
          .as("%s[%s]: %s and %s", what, i, actual[i], expected[i])
          .isLessThanOrEqualTo(tolerance);
    }
  }

  /** A model of diffusers with what it made of its inputs, and our graph of it. */
  private static final class Golden implements AutoCloseable {
    final ModelFolder model;
    final Map<String, Weight> expected;
    final WeightLayout layout;
    final Graph graph = TensorFlowRuntime.graph();
    final Ops tf = TensorFlowRuntime.ops(graph);
    final TrainingVectors vectors;
    final AdamW adam;
    final Operand<TFloat32> out;
    final Operand<TFloat32> loss;
    Session session;

    Golden(String name) throws IOException {
      this(name, Precision.FLOAT32);
    }

    Golden(String name, Precision precision) throws IOException {
      Path folder = Fixtures.path("golden/" + name);
      model = ModelFolder.read(folder);
      expected = SafeTensors.read(folder.resolve("expected.safetensors"));
      UNetConfig network = model.config().network();
      layout = new WeightLayout(UNet.shapes(network));
      vectors = new TrainingVectors(tf, layout);
      adam = new AdamW(tf, vectors, Method.ADAMW);
      out =
          new UNet(tf, network, (weight, shape) -> vectors.weight(weight))
              .forward(
                  precision,
                  constant("sample"),
                  constant("timestep"),
                  Optional.ofNullable(expected.get("class_labels"))
                      .map(labels -> tf.constant(wholeNumbers(labels))));
      Operand<TFloat32> error = tf.math.sub(out, constant("target"));
      loss = tf.math.mean(tf.math.mul(error, error), tf.constant(new int[] {0, 1, 2, 3}));
    }

    /** Opens the session, after which the graph must not change. */
    void start() throws IOException {
      session = TensorFlowRuntime.session(graph);
      vectors.set(session, Vector.WEIGHTS, layout.pack(model.weights().source()));
      for (Vector vector : List.of(Vector.EMA, Vector.ADAM_M, Vector.ADAM_V)) {
        vectors.set(session, vector, new float[layout.size()]);
      }
    }

    void threeSteps(double maxNorm, String losses) throws IOException {
      Operand<TFloat32> gradient = vectors.gradient(loss);
      Op step = adam.step(loss, gradient, AdamW.norm(tf, gradient, layout.size()), maxNorm);
      start();
      for (int i = 0; i < 3; i++) {
        try (TFloat32 scalars = AdamW.scalars(i, 1e-3, 0.01, 0, 0);
            Result result =
                session.runner().feed(adam.scalars(), scalars).fetch(loss).addTarget(step).run()) {
          assertThat(((TFloat32) result.get(0)).getFloat())
              .isCloseTo(expected.get(losses).values().get(i), withPercentage(0.001));
        }
      }
    }

    float[] run(Operand<TFloat32> operand) {
      try (Result result = session.runner().fetch(operand).run()) {
        float[] values = new float[(int) result.get(0).size()];
        ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
        return values;
      }
    }

    /**
     * All weights but those with no gradient but rounding errors: softmax ignores the keys' bias.
     */
    void assertWeights(String prefix, float[] vector, float tolerance) throws IOException {
      Map<String, Weight> actual = layout.unpack(vector);
      assertThat(actual.keySet()).isEqualTo(Fixtures.weights(model).keySet());
      actual.forEach(
          (name, weight) -> {
            if (!name.endsWith("to_k.bias")) {
              assertClose(
                  floats(weight.values()),
                  floats(expected.get(prefix + name).values()),
                  tolerance,
                  name);
            }
          });
    }

    void assertNear(String prefix, float[] vector, double tolerance) {
      Map<String, Weight> all = new TreeMap<>(expected);
      all.keySet().removeIf(name -> !name.startsWith(prefix));
      Map<String, Weight> actual = layout.unpack(vector);
      assertThat(all).hasSameSizeAs(actual);
      UNetGoldenTest.assertNear(
          joined(all.keySet().stream().map(name -> actual.get(name.substring(prefix.length())))),
          joined(all.values().stream()),
          tolerance);
    }

    private static float[] joined(Stream<Weight> weights) {
      return Floats.concat(weights.map(weight -> floats(weight.values())).toArray(float[][]::new));
    }

    float[] images(String name) {
      return floats(nhwc(expected.get(name)).values());
    }

    private Operand<TFloat32> constant(String name) {
      Weight value = expected.get(name);
      Weight array = value.shape().numDimensions() == 4 ? nhwc(value) : value;
      return tf.constant(array.shape(), DataBuffers.of(array.values()));
    }

    private static Weight nhwc(Weight nchw) {
      return nchw.transposed(0, 2, 3, 1);
    }

    private static int[] wholeNumbers(Weight weight) {
      int[] numbers = new int[weight.values().remaining()];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = (int) weight.values().get(i);
      }
      return numbers;
    }

    private static float[] floats(FloatBuffer buffer) {
      float[] values = new float[buffer.remaining()];
      buffer.duplicate().get(values);
      return values;
    }

    @Override
    public void close() {
      session.close();
      graph.close();
    }
  }
}

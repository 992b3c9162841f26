package io.github.ddpm.tf.graph;

import static io.github.ddpm.tf.graph.Operands.memory;
import static io.github.ddpm.tf.graph.Operands.run;
import static io.github.ddpm.tf.graph.Operands.traced;
import static io.github.ddpm.tf.graph.Operands.values;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/** Both ways of a normalization, against its definition in double and against each other. */
class GroupNormTest {
  @BeforeAll
  static void registerGradients() {
    UNet.registerGradients();
  }

  /** A normalization of random images. */
  record Case(
      int images,
      int height,
      int width,
      int channels,
      int groups,
      int shiftRows,
      int gammaRows,
      boolean silu,
      double mean) {
    Stream<Case> both() {
      return Stream.of(
          this,
          new Case(images, height, width, channels, groups, shiftRows, gammaRows, !silu, mean));
    }

    int size() {
      return images * height * width * channels;
    }

    GroupNorm norm() {
      return new GroupNorm(groups, 1e-5, silu ? Optional.of(Activation.SILU) : Optional.empty());
    }
  }

  static Stream<Case> cases() {
    return Stream.of(
            new Case(3, 5, 7, 12, 4, 0, 1, true, 0),
            new Case(2, 1, 1, 6, 3, 2, 2, true, 1),
            new Case(1, 9, 4, 3, 1, 1, 1, true, -2),
            // Rows of several pixels that don't divide the image.
            new Case(2, 13, 11, 8, 2, 2, 1, true, 0),
            new Case(1, 3, 3, 320, 32, 1, 1, true, 0),
            // Enough for several threads: many images, and one image divided by groups.
            new Case(40, 8, 8, 32, 8, 40, 1, true, 0.5),
            new Case(1, 64, 32, 64, 8, 1, 1, true, 3),
            new Case(3, 40, 40, 24, 3, 3, 3, true, 0))
        .flatMap(Case::both);
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void theKernelFollowsTheDefinition(Case norm) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Normalized kernel = new Normalized(norm, TFloat32.class, GroupNormTest::byKernel);
    assertClose(kernel.y, kernel.expected(), 3e-6);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theComposedOperationsFollowTheDefinition(Case norm) {
    Normalized composed = new Normalized(norm, TFloat32.class, GroupNormTest::composed);
    assertClose(composed.y, composed.expected(), 2e-5);
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void theKernelsGradientsAreThoseOfTheComposedOperations(Case norm) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Normalized kernel = new Normalized(norm, TFloat32.class, GroupNormTest::byKernel);
    Normalized composed = new Normalized(norm, TFloat32.class, GroupNormTest::composed);
    for (int i = 0; i < kernel.gradients.size(); i++) {
      assertClose(kernel.gradients.get(i), composed.gradients.get(i), 1e-4);
    }
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void inBfloat16OnlyTheImagesAreRounded(Case norm) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Normalized kernel = new Normalized(norm, TBfloat16.class, GroupNormTest::byKernel);
    Normalized composed = new Normalized(norm, TBfloat16.class, GroupNormTest::composed);
    // Half a unit in the last of 8 places, of y alone: the definition is given the rounded x.
    assertClose(kernel.y, kernel.expected(), 1.0 / 256);
    assertClose(composed.y, kernel.expected(), 1.0 / 256);
    for (int i = 0; i < kernel.gradients.size(); i++) {
      assertClose(kernel.gradients.get(i), composed.gradients.get(i), 0.02);
    }
  }

  @ParameterizedTest
  @CsvSource({"100, 1e-5", "1000, 1e-4"})
  void aFarMeanDoesNotDrownTheVariance(double mean, double tolerance) {
    // x itself has steps of 8e-6 at 100, and of 6e-5 at 1000.
    Case far = new Case(2, 32, 32, 16, 4, 0, 1, false, mean);
    Normalized composed = new Normalized(far, TFloat32.class, GroupNormTest::composed);
    assertClose(composed.y, composed.expected(), tolerance);
    assumeTrue(TensorFlowRuntime.hasKernels());
    Normalized kernel = new Normalized(far, TFloat32.class, GroupNormTest::byKernel);
    assertClose(kernel.y, kernel.expected(), tolerance);
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @Test
  void notANumberStaysOne() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Case nan = new Case(2, 4, 4, 8, 2, 0, 1, true, Double.NaN);
    Normalized kernel = new Normalized(nan, TFloat32.class, GroupNormTest::byKernel);
    Normalized rounded = new Normalized(nan, TBfloat16.class, GroupNormTest::byKernel);
    assertThat(kernel.y).containsOnly(Float.NaN);
    assertThat(rounded.y).containsOnly(Float.NaN);
    assertThat(kernel.gradients.get(0)).containsOnly(Float.NaN);
  }

  @Test
  void theSameNumbersComeOutEachTime() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Case norm = new Case(37, 16, 16, 32, 8, 37, 1, true, 0);
    Normalized first = new Normalized(norm, TFloat32.class, GroupNormTest::byKernel);
    for (int i = 0; i < 5; i++) {
      Normalized again = new Normalized(norm, TFloat32.class, GroupNormTest::byKernel);
      assertThat(again.y).isEqualTo(first.y);
      for (int g = 0; g < first.gradients.size(); g++) {
        assertThat(again.gradients.get(g)).isEqualTo(first.gradients.get(g));
      }
    }
  }

  /** In either place come the same numbers. */
  @Tag(KernelsTest.INSTRUCTIONS)
  @Test
  void theGradientIsInTheMemoryOfThatOfTheResultUnlessThatIsNeeded() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Shape shape = Shape.of(2, 13, 11, 24);
    Random random = new Random(1);
    float[] numbers = Normalized.random(random, (int) shape.size(), 0, 1);
    try (Graph graph = TensorFlowRuntime.graph();
        TFloat32 fed = TFloat32.tensorOf(shape, DataBuffers.of(numbers))) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Placeholder<TFloat32> p = tf.placeholder(TFloat32.class, Placeholder.shape(shape));
      Operand<TFloat32> dy = tf.math.abs(p);
      Operand<TFloat32> row = tf.constant(new float[][] {Normalized.random(random, 24, 1, 0.5)});
      Operand<TFloat32> none = tf.zeros(tf.constant(new int[] {0, 24}), TFloat32.class);
      Operand<TFloat32> nothing = tf.zeros(tf.constant(new int[4]), TFloat32.class);
      OperationBuilder builder = Kernels.builder(tf, "DdpmGroupNormGrad");
      for (Operand<TFloat32> input :
          List.of(
              p,
              none,
              row,
              row,
              tf.ones(tf.constant(new int[] {2, 3, 2}), TFloat32.class),
              dy,
              nothing)) {
        builder.addInput(input.asOutput());
      }
      Operand<TFloat32> dx = builder.setAttr("groups", 3).setAttr("silu", true).build().output(0);
      Operand<TFloat32> later = tf.withControlDependencies(dx).math.neg(dy);
      float[] negated = new float[numbers.length];
      for (int i = 0; i < numbers.length; i++) {
        negated[i] = -Math.abs(numbers[i]);
      }
      try (Session session = TensorFlowRuntime.session(graph);
          Result alone = traced(session.runner().feed(p, fed).fetch(dx));
          Result both = traced(session.runner().feed(p, fed).fetch(dx).fetch(later))) {
        assertThat(memory(alone, dx)).isEqualTo(memory(alone, dy));
        assertThat(memory(both, dx)).isNotEqualTo(memory(both, dy));
        assertThat(values(alone, 0)).isEqualTo(values(both, 0));
        assertThat(values(both, 1)).isEqualTo(negated);
      }
    }
  }

  @Test
  void operandsThatDontFitAreRefused() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> x = tf.ones(tf.constant(new int[] {2, 4, 4, 8}), TFloat32.class);
      Operand<TFloat32> rows = tf.ones(tf.constant(new int[] {3, 8}), TFloat32.class);
      Operand<TFloat32> y =
          byKernel(
                  new GroupNorm(2, 1e-5, Optional.of(Activation.SILU)),
                  tf,
                  x,
                  Optional.empty(),
                  rows,
                  rows)
              .y();
      Operand<TFloat32> ones = tf.ones(tf.constant(new int[] {1, 8}), TFloat32.class);
      Operand<TFloat32> ungrouped =
          byKernel(
                  new GroupNorm(3, 1e-5, Optional.of(Activation.SILU)),
                  tf,
                  x,
                  Optional.empty(),
                  ones,
                  ones)
              .y();
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertThatThrownBy(() -> session.runner().fetch(y).run())
            .hasMessageContaining("must have one row or one for each image");
        assertThatThrownBy(() -> session.runner().fetch(ungrouped).run())
            .hasMessageContaining("the groups must divide the channels");
      }
    }
  }

  @Test
  void theBuildHasMadeTheKernelsWhereItCould() {
    boolean linux = System.getProperty("os.name").toLowerCase(Locale.ROOT).contains("linux");
    boolean compiler =
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(p -> Files.isExecutable(Path.of(p, "c++")));
    assumeTrue(
        linux
            && compiler
            && !TensorFlowRuntime.hasGpu()
            && System.getProperty("io.github.ddpm.tf.kernels") == null);
    assertThat(TensorFlowRuntime.hasKernels()).as("%s", Loader.getPlatform()).isTrue();
  }

  /** By a convolution that does nothing else: its filter is the identity. */
  private static <T extends TFloating> Convolution.Result<T> byKernel(
      GroupNorm norm,
      Ops tf,
      Operand<T> x,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    int channels = (int) Tensors.channels(x);
    float[][] identity = new float[channels][channels];
    for (int i = 0; i < channels; i++) {
      identity[i][i] = 1;
    }
    return Convolution.POINTWISE.byKernel(
        tf,
        new GroupNorm.Input<>(x, Optional.of(norm), shift, Optional.of(gamma), Optional.of(beta)),
        tf.constant(identity),
        tf.constant(new float[channels]),
        Optional.empty());
  }

  private static <T extends TFloating> Convolution.Result<T> composed(
      GroupNorm norm,
      Ops tf,
      Operand<T> x,
      Optional<Operand<TFloat32>> shift,
      Operand<TFloat32> gamma,
      Operand<TFloat32> beta) {
    return new Convolution.Result<>(norm.composed(tf, x, shift, gamma, beta), x);
  }

  private static void assertClose(float[] actual, float[] expected, double tolerance) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      double allowed = tolerance * Math.max(1, Math.abs(expected[i]));
      if (!(Math.abs((double) actual[i] - expected[i]) <= allowed)) {
        fail("[%s]: %s and %s, beyond %s", i, actual[i], expected[i], allowed);
      }
    }
  }

  @FunctionalInterface
  private interface Way {
    <T extends TFloating> Convolution.Result<T> apply(
        GroupNorm norm,
        Ops tf,
        Operand<T> x,
        Optional<Operand<TFloat32>> shift,
        Operand<TFloat32> gamma,
        Operand<TFloat32> beta);
  }

  /** What came out of a normalization, and the gradients of a loss that uses both its results. */
  private static final class Normalized {
    final Case norm;
    final float[] x;
    final float[] shift;
    final float[] gamma;
    final float[] beta;
    final float[] y;

    /** By x, gamma, beta and, if there is one, shift. */
    final List<float[]> gradients;

    <T extends TFloating> Normalized(Case norm, Class<T> type, Way way) {
      this.norm = norm;
      Random random = new Random(1);
      float[] wide = random(random, norm.size(), norm.mean(), 2);
      shift = random(random, norm.shiftRows() * norm.channels(), 0, 1);
      gamma = random(random, norm.gammaRows() * norm.channels(), 1, 0.5);
      beta = random(random, norm.gammaRows() * norm.channels(), 0, 0.5);
      float[] ofY = random(random, norm.size(), 0, 1);
      float[] ofX = random(random, norm.size(), 0, 1);
      try (Graph graph = TensorFlowRuntime.graph()) {
        Ops tf = TensorFlowRuntime.ops(graph);
        Shape images = Shape.of(norm.images(), norm.height(), norm.width(), norm.channels());
        Operand<TFloat32> xIn = constant(tf, images, wide);
        Operand<T> in = Tensors.cast(tf, xIn, type);
        Operand<TFloat32> rounded = Tensors.cast(tf, in, TFloat32.class);
        Operand<TFloat32> gammaIn = rows(tf, gamma);
        Operand<TFloat32> betaIn = rows(tf, beta);
        List<Operand<?>> by = new ArrayList<>(List.of(xIn, gammaIn, betaIn));
        Optional<Operand<TFloat32>> shiftIn = Optional.empty();
        if (norm.shiftRows() > 0) {
          shiftIn = Optional.of(rows(tf, shift));
          by.add(shiftIn.get());
        }
        Convolution.Result<T> result = way.apply(norm.norm(), tf, in, shiftIn, gammaIn, betaIn);
        Operand<TFloat32> out = Tensors.cast(tf, result.y(), TFloat32.class);
        Operand<TFloat32> passed = Tensors.cast(tf, result.x(), TFloat32.class);
        Operand<TFloat32> weighted =
            tf.math.add(
                tf.math.mul(out, constant(tf, images, ofY)),
                tf.math.mul(passed, constant(tf, images, ofX)));
        Gradients all =
            tf.gradients(tf.reduceSum(weighted, tf.constant(new int[] {0, 1, 2, 3})), by);
        try (Session session = TensorFlowRuntime.session(graph)) {
          List<Operand<TFloat32>> fetched = new ArrayList<>(List.of(rounded, out));
          for (int i = 0; i < by.size(); i++) {
            fetched.add(all.dy(i));
          }
          List<float[]> results = run(session, fetched);
          x = results.get(0);
          y = results.get(1);
          gradients = results.subList(2, results.size());
        }
      }
    }

    /** y by the definition, in double. */
    float[] expected() {
      int channels = norm.channels();
      int pixels = norm.height() * norm.width();
      int perGroup = channels / norm.groups();
      float[] result = new float[norm.size()];
      for (int n = 0; n < norm.images(); n++) {
        for (int group = 0; group < norm.groups(); group++) {
          double[] values = new double[pixels * perGroup];
          for (int i = 0; i < values.length; i++) {
            int c = group * perGroup + i % perGroup;
            values[i] =
                (double) x[(n * pixels + i / perGroup) * channels + c]
                    + row(shift, norm.shiftRows(), n, c);
          }
          double mean = DoubleStream.of(values).average().orElseThrow();
          double variance =
              DoubleStream.of(values).map(v -> (v - mean) * (v - mean)).average().orElseThrow();
          for (int i = 0; i < values.length; i++) {
            int c = group * perGroup + i % perGroup;
            double z =
                (values[i] - mean) / Math.sqrt(variance + 1e-5) * row(gamma, norm.gammaRows(), n, c)
                    + row(beta, norm.gammaRows(), n, c);
            result[(n * pixels + i / perGroup) * channels + c] =
                (float) (norm.silu() ? z / (1 + Math.exp(-z)) : z);
          }
        }
      }
      return result;
    }

    private double row(float[] values, int rows, int image, int channel) {
      return rows == 0 ? 0 : values[(rows == 1 ? 0 : image) * norm.channels() + channel];
    }

    private Operand<TFloat32> rows(Ops tf, float[] values) {
      return constant(tf, Shape.of(values.length / norm.channels(), norm.channels()), values);
    }

    private static Operand<TFloat32> constant(Ops tf, Shape shape, float[] values) {
      return tf.constant(shape, DataBuffers.of(values));
    }

    private static float[] random(Random random, int length, double mean, double deviation) {
      float[] values = new float[length];
      for (int i = 0; i < length; i++) {
        values[i] = (float) (mean + deviation * random.nextGaussian());
      }
      return values;
    }
  }
}

package io.github.ddpm.tf.graph;

import static io.github.ddpm.tf.graph.Operands.assertClose;
import static io.github.ddpm.tf.graph.Operands.memory;
import static io.github.ddpm.tf.graph.Operands.run;
import static io.github.ddpm.tf.graph.Operands.traced;
import static io.github.ddpm.tf.graph.Operands.values;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
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

/**
 * Both ways of a convolution and their gradients, against the definition in double. Filters and
 * images are exact in bfloat16.
 */
class ConvolutionTest {
  @BeforeAll
  static void registerGradients() {
    UNet.registerGradients();
  }

  /** A convolution of random images; without a kernel, a linear layer. */
  record Case(
      Convolution convolution, int kernel, int images, int height, int width, int in, int out) {
    int outHeight() {
      return height * convolution.up() / convolution.down();
    }

    int outWidth() {
      return width * convolution.up() / convolution.down();
    }

    Shape filter() {
      return kernel == 0 ? Shape.of(out, in) : Shape.of(kernel, kernel, in, out);
    }
  }

  static Stream<Case> cases() {
    return Stream.of(
        new Case(Convolution.SAME, 3, 2, 5, 7, 3, 5),
        // One channel in, and one out: kernels of their own.
        new Case(Convolution.SAME, 3, 3, 28, 28, 1, 32),
        new Case(Convolution.SAME, 3, 3, 28, 28, 32, 1),
        new Case(Convolution.SAME, 3, 1, 6, 6, 40, 3),
        // Whole blocks of channels, and parts of them.
        new Case(Convolution.SAME, 3, 2, 9, 17, 64, 64),
        new Case(Convolution.SAME, 3, 1, 4, 4, 36, 52),
        // More rows than are copied at a time.
        new Case(Convolution.SAME, 3, 1, 90, 60, 40, 8),
        // More images than are added up apart.
        new Case(Convolution.SAME, 3, 19, 4, 4, 8, 8),
        // By tiles: whole ones and parts of them, several images at once, and wider than a band.
        new Case(Convolution.SAME, 3, 3, 28, 28, 32, 32),
        new Case(Convolution.SAME, 3, 2, 23, 26, 20, 36),
        new Case(Convolution.SAME, 3, 19, 8, 7, 16, 48),
        new Case(Convolution.SAME, 3, 1, 6, 140, 16, 16),
        // By tiles, in parts of the channels.
        new Case(Convolution.SAME, 3, 1, 8, 8, 32, 64),
        new Case(Convolution.halving(0), 3, 2, 8, 6, 5, 6),
        new Case(Convolution.halving(1), 3, 2, 8, 6, 5, 6),
        new Case(Convolution.halving(1), 3, 2, 28, 28, 32, 32),
        new Case(Convolution.DOUBLING, 3, 2, 4, 3, 5, 6),
        new Case(Convolution.DOUBLING, 3, 2, 14, 14, 64, 32),
        new Case(Convolution.POINTWISE, 1, 2, 5, 7, 12, 20),
        new Case(Convolution.POINTWISE, 0, 2, 5, 7, 12, 20),
        new Case(Convolution.POINTWISE, 0, 1, 1, 130, 128, 64),
        new Case(Convolution.POINTWISE, 0, 1, 1, 1, 128, 64));
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void theKernelFollowsTheDefinition(Case convolution) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Convolved kernel = new Convolved(convolution, TFloat32.class, Convolution::byKernel);
    kernel.assertDefinition(2e-6);
  }

  /** So many channels that their gradients are added up in ranges; 2700 products make a sum. */
  @Tag(KernelsTest.INSTRUCTIONS)
  @Test
  void theKernelFollowsTheDefinitionWithManyChannels() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Case many = new Case(Convolution.SAME, 3, 1, 8, 7, 300, 260);
    new Convolved(many, TFloat32.class, Convolution::byKernel).assertDefinition(4e-6);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void tensorFlowsOperationsFollowTheDefinition(Case convolution) {
    new Convolved(convolution, TFloat32.class, Convolution::composed).assertDefinition(1e-5);
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("cases")
  void inBfloat16OnlyWhatComesOutIsRounded(Case convolution) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    // Half a unit in the last of 8 places.
    new Convolved(convolution, TBfloat16.class, Convolution::byKernel).assertDefinition(1.0 / 256);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void tensorFlowsOperationsRoundWhatComesOutAndItsSum(Case convolution) {
    new Convolved(convolution, TBfloat16.class, Convolution::composed).assertDefinition(1.0 / 128);
  }

  @Test
  void theSameNumbersComeOutEachTime() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Case many = new Case(Convolution.SAME, 3, 37, 12, 12, 24, 40);
    Convolved first = new Convolved(many, TBfloat16.class, Convolution::byKernel);
    for (int i = 0; i < 5; i++) {
      Convolved again = new Convolved(many, TBfloat16.class, Convolution::byKernel);
      assertThat(again.y).isEqualTo(first.y);
      assertThat(again.ofFilter).isEqualTo(first.ofFilter);
      assertThat(again.ofX).isEqualTo(first.ofX);
    }
  }

  static Stream<Arguments> normalizations() {
    return Stream.of(Convolution.SAME, Convolution.halving(1), Convolution.DOUBLING)
        .flatMap(
            convolution ->
                Stream.of(Activation.values()).map(function -> arguments(convolution, function)));
  }

  /** A border of zeros comes after the normalization, not before it. */
  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @MethodSource("normalizations")
  void normalizedImagesAreWhatTensorFlowNormalizes(Convolution convolution, Activation activation) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Random random = new Random(3);
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> x = constant(tf, Shape.of(3, 6, 6, 24), random(random, 3 * 36 * 24));
      GroupNorm.Input<TFloat32> in =
          new GroupNorm.Input<>(
              x,
              Optional.of(new GroupNorm(4, 1e-5, Optional.of(activation))),
              Optional.of(constant(tf, Shape.of(3, 24), random(random, 72))),
              Optional.of(constant(tf, Shape.of(1, 24), random(random, 24))),
              Optional.of(constant(tf, Shape.of(1, 24), random(random, 24))));
      Operand<TFloat32> filter = constant(tf, Shape.of(3, 3, 24, 8), random(random, 9 * 24 * 8));
      Operand<TFloat32> bias = constant(tf, Shape.of(8), random(random, 8));
      Convolution.Result<TFloat32> byKernel =
          convolution.byKernel(tf, in, filter, bias, Optional.empty());
      Operand<TFloat32> kernel = byKernel.y();
      Operand<TFloat32> composed = convolution.composed(tf, in, filter, bias, Optional.empty()).y();
      List<Operand<?>> by =
          List.of(
              x,
              in.shift().orElseThrow(),
              in.gamma().orElseThrow(),
              in.beta().orElseThrow(),
              filter,
              bias);
      List<Operand<TFloat32>> expected = gradients(tf, composed, by);
      List<Operand<TFloat32>> actual = gradients(tf, kernel, by);
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertClose(run(session, kernel), run(session, composed), 1e-4);
        assertThat(run(session, byKernel.x())).isEqualTo(run(session, x));
        for (int i = 0; i < by.size(); i++) {
          assertClose(run(session, actual.get(i)), run(session, expected.get(i)), 1e-3);
        }
      }
    }
  }

  /** What is packed once must be packed of these weights. */
  @Test
  void twoLayersWithConstantFiltersKeepTheirOwn() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> x =
          tf.withName("x").placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, 2, 2, 1)));
      Operand<TFloat32> y = x;
      for (float weight : new float[] {2, 3}) {
        y =
            Convolution.POINTWISE
                .byKernel(
                    tf,
                    GroupNorm.Input.of(y),
                    tf.constant(new float[][] {{weight}}),
                    tf.constant(new float[1]),
                    Optional.empty())
                .y();
      }
      try (Session session = TensorFlowRuntime.session(graph)) {
        for (float value : new float[] {1, -5}) {
          try (TFloat32 fed =
                  TFloat32.tensorOf(
                      Shape.of(1, 2, 2, 1),
                      data -> data.scalars().forEach(s -> s.setFloat(value)));
              Result result = session.runner().feed("x", fed).fetch(y).run()) {
            assertThat(values(result)).containsOnly(6 * value);
          }
        }
      }
    }
  }

  @Test
  void operandsThatDontFitAreRefused() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> x = ones(tf, 2, 5, 4, 8);
      Operand<TFloat32> bias = tf.constant(new float[6]);
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertRefused(
            session,
            Convolution.SAME.byKernel(
                tf, GroupNorm.Input.of(x), ones(tf, 3, 3, 7, 6), bias, Optional.empty()),
            "the filter must take the channels of x");
        assertRefused(
            session,
            Convolution.SAME.byKernel(
                tf, GroupNorm.Input.of(x), ones(tf, 3, 3, 8, 5), bias, Optional.empty()),
            "the bias must have the channels of the filter");
        assertRefused(
            session,
            Convolution.halving(1)
                .byKernel(tf, GroupNorm.Input.of(x), ones(tf, 3, 3, 8, 6), bias, Optional.empty()),
            "height and width must be even to be halved");
        assertRefused(
            session,
            Convolution.SAME.byKernel(
                tf,
                GroupNorm.Input.of(x),
                ones(tf, 3, 3, 8, 6),
                bias,
                Optional.of(ones(tf, 2, 5, 4, 8))),
            "what is added must have the shape of the output");
      }
    }
  }

  /** Each of these would read or write beyond its images, or divide by zero. */
  @Test
  void gradientsThatDontFitAreRefused() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph();
        Session session = TensorFlowRuntime.session(graph)) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> filter = ones(tf, 3, 3, 7, 7);
      Operand<TFloat32> x = ones(tf, 2, 4, 6, 7);
      assertRefused(
          session,
          ofFilter(tf, Convolution.halving(1), ones(tf, 2, 17, 1, 7), filter, ones(tf, 2, 8, 0, 7)),
          "height and width must be even to be halved");
      assertRefused(
          session,
          ofFilter(tf, Convolution.SAME, ones(tf, 2, 4, 6, 8), filter, ones(tf, 2, 4, 6, 7)),
          "the filter must take the channels of x");
      for (int[] shape :
          new int[][] {{1, 4, 6, 7}, {2, 5, 6, 7}, {2, 4, 5, 7}, {2, 4, 6, 6}, {2, 0, 6, 7}}) {
        assertRefused(
            session,
            ofFilter(tf, Convolution.SAME, x, filter, ones(tf, shape)),
            "dy must have the shape of the output");
      }
      assertRefused(
          session,
          ofFilter(tf, Convolution.SAME, x, filter, ones(tf, 2, 4)),
          "dy must be [images, height, width, channels]");
      assertRefused(
          session,
          ofImages(tf, Convolution.SAME, filter, ones(tf, 2, 4, 6, 8)),
          "dy must have the channels that the filter makes");
      assertRefused(
          session,
          ofImages(tf, Convolution.DOUBLING, filter, ones(tf, 2, 4, 5, 7)),
          "dy must have an even height and width");
      assertRefused(
          session,
          ofImages(tf, Convolution.SAME, filter, ones(tf, 2, 4)),
          "dy must be [images, height, width, channels]");
    }
  }

  @Test
  void theGradientsOfImagesWithoutPixelsAreZero() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph();
        Session session = TensorFlowRuntime.session(graph)) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> filter = ones(tf, 3, 3, 7, 5);
      Convolution halving = Convolution.halving(1);
      Operation of =
          ofFilter(tf, halving, ones(tf, 2, 16, 0, 7), filter, ones(tf, 2, 8, 0, 5)).op();
      assertThat(run(session, of.<TFloat32>output(0))).hasSize(9 * 7 * 5).containsOnly(0);
      assertThat(run(session, of.<TFloat32>output(1))).hasSize(5).containsOnly(0);
      assertThat(run(session, ofImages(tf, halving, filter, ones(tf, 2, 8, 0, 5)))).isEmpty();
    }
  }

  /** No image, but each would be too large for any address. */
  @Tag(KernelsTest.INSTRUCTIONS)
  @Test
  void withoutMemoryTheOperationFailsAndNotTheProcess() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    try (Graph graph = TensorFlowRuntime.graph();
        Session session = TensorFlowRuntime.session(graph)) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> none =
          tf.zeros(tf.constant(new long[] {0, 1, 1L << 48, 1}), TFloat32.class);
      assertRefused(
          session,
          ofFilter(tf, Convolution.SAME, none, ones(tf, 3, 3, 1, 1), none),
          "out of memory");
    }
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @Test
  void theSumIsInTheMemoryOfWhatIsAddedUnlessThatIsNeeded() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Shape shape = Shape.of(2, 6, 5, 8);
    float[] numbers = random(new Random(1), (int) shape.size());
    try (Graph graph = TensorFlowRuntime.graph();
        TFloat32 fed = TFloat32.tensorOf(shape, DataBuffers.of(numbers))) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Placeholder<TFloat32> p = tf.placeholder(TFloat32.class, Placeholder.shape(shape));
      Operand<TFloat32> added = tf.math.abs(p);
      Operand<TFloat32> y =
          Convolution.SAME
              .byKernel(
                  tf,
                  GroupNorm.Input.of(p),
                  tf.zeros(tf.constant(new int[] {3, 3, 8, 8}), TFloat32.class),
                  tf.constant(new float[] {1, 1, 1, 1, 1, 1, 1, 1}),
                  Optional.of(added))
              .y();
      Operand<TFloat32> later = tf.withControlDependencies(y).math.neg(added);
      float[] sum = new float[numbers.length];
      float[] negated = new float[numbers.length];
      for (int i = 0; i < numbers.length; i++) {
        sum[i] = Math.abs(numbers[i]) + 1;
        negated[i] = -Math.abs(numbers[i]);
      }
      try (Session session = TensorFlowRuntime.session(graph)) {
        try (Result alone = traced(session.runner().feed(p, fed).fetch(y))) {
          assertThat(memory(alone, y)).isEqualTo(memory(alone, added));
          assertThat(values(alone)).isEqualTo(sum);
        }
        try (Result both = traced(session.runner().feed(p, fed).fetch(later).fetch(y))) {
          assertThat(memory(both, y)).isNotEqualTo(memory(both, added));
          assertThat(values(both)).isEqualTo(negated);
        }
      }
    }
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @Test
  void aFrozenFilterIsForImagesOfAnySize() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Random random = new Random(1);
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> filter =
          constant(tf, Shape.of(3, 3, 32, 32), random(random, 3 * 3 * 32 * 32));
      Placeholder<TFloat32> dy = tf.placeholder(TFloat32.class);
      Operand<TFloat32> kept =
          gradient(tf, "DdpmConvGradImages", Convolution.SAME, true, filter, dy);
      Operand<TFloat32> packed = ofImages(tf, Convolution.SAME, filter, dy);
      try (Session session = TensorFlowRuntime.session(graph)) {
        // By taps, by tiles, and by taps again.
        for (int size : new int[] {4, 28, 4}) {
          Shape shape = Shape.of(1, size, size, 32);
          float[] numbers = random(random, (int) shape.size());
          assertThat(fed(session, dy, shape, numbers, kept))
              .isEqualTo(fed(session, dy, shape, numbers, packed));
        }
      }
    }
  }

  @Tag(KernelsTest.INSTRUCTIONS)
  @ParameterizedTest
  @ValueSource(ints = {8, 28})
  void anImageIsTheSameInAnyBatch(int size) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    Random random = new Random(1);
    int length = size * size * 32;
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Placeholder<TFloat32> x = tf.placeholder(TFloat32.class);
      Operand<TFloat32> y =
          ofImages(
              tf,
              Convolution.SAME,
              constant(tf, Shape.of(3, 3, 64, 32), random(random, 3 * 3 * 64 * 32)),
              x);
      float[] numbers = random(random, 19 * length);
      try (Session session = TensorFlowRuntime.session(graph)) {
        float[] alone = fed(session, x, Shape.of(1, size, size, 32), numbers, y);
        float[] all = fed(session, x, Shape.of(19, size, size, 32), numbers, y);
        assertThat(Arrays.copyOf(all, alone.length)).isEqualTo(alone);
      }
    }
  }

  private static float[] fed(
      Session session, Placeholder<TFloat32> x, Shape shape, float[] numbers, Operand<TFloat32> y) {
    float[] part = Arrays.copyOf(numbers, (int) shape.size());
    try (TFloat32 fed = TFloat32.tensorOf(shape, DataBuffers.of(part));
        Result result = session.runner().feed(x, fed).fetch(y).run()) {
      TFloat32 tensor = (TFloat32) result.get(0);
      float[] out = new float[(int) tensor.size()];
      tensor.copyTo(DataBuffers.of(out));
      return out;
    }
  }

  private static Operand<TFloat32> ofFilter(
      Ops tf,
      Convolution convolution,
      Operand<TFloat32> x,
      Operand<TFloat32> filter,
      Operand<TFloat32> dy) {
    Operand<TFloat32> none = tf.zeros(tf.constant(new int[] {0, 0}), TFloat32.class);
    return gradient(
        tf, "DdpmConvGradFilter", convolution, false, x, none, none, none, none, filter, dy);
  }

  private static Operand<TFloat32> ofImages(
      Ops tf, Convolution convolution, Operand<TFloat32> filter, Operand<TFloat32> dy) {
    return gradient(tf, "DdpmConvGradImages", convolution, false, filter, dy);
  }

  @SafeVarargs
  private static Operand<TFloat32> gradient(
      Ops tf,
      String operation,
      Convolution convolution,
      boolean frozen,
      Operand<TFloat32>... inputs) {
    OperationBuilder builder = Kernels.builder(tf, operation);
    for (Operand<TFloat32> input : inputs) {
      builder.addInput(input.asOutput());
    }
    return builder
        .setAttr("padding", convolution.padding())
        .setAttr("down", convolution.down())
        .setAttr("up", convolution.up())
        .setAttr("groups", 0)
        .setAttr("epsilon", 0f)
        .setAttr("silu", false)
        .setAttr("frozen", frozen)
        .build()
        .output(0);
  }

  private static void assertRefused(
      Session session, Convolution.Result<TFloat32> result, String message) {
    assertRefused(session, result.y(), message);
  }

  private static void assertRefused(Session session, Operand<TFloat32> y, String message) {
    assertThatThrownBy(() -> run(session, y)).hasMessageContaining(message);
  }

  private static List<Operand<TFloat32>> gradients(
      Ops tf, Operand<TFloat32> y, List<Operand<?>> by) {
    Gradients all =
        tf.gradients(
            tf.reduceSum(tf.math.mul(y, tf.math.mul(y, y)), tf.constant(new int[] {0, 1, 2, 3})),
            by);
    List<Operand<TFloat32>> result = new ArrayList<>();
    for (int i = 0; i < by.size(); i++) {
      result.add(all.dy(i));
    }
    return result;
  }

  private static Operand<TFloat32> ones(Ops tf, int... shape) {
    return tf.ones(tf.constant(shape), TFloat32.class);
  }

  private static Operand<TFloat32> constant(Ops tf, Shape shape, float[] values) {
    return tf.constant(shape, DataBuffers.of(values));
  }

  /** Sixteenths in [-2, 2]: exact in bfloat16. */
  private static float[] random(Random random, int length) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (random.nextInt(65) - 32) / 16f;
    }
    return values;
  }

  @FunctionalInterface
  private interface Way {
    <T extends TFloating> Convolution.Result<T> apply(
        Convolution convolution,
        Ops tf,
        GroupNorm.Input<T> in,
        Operand<TFloat32> filter,
        Operand<TFloat32> bias,
        Optional<Operand<T>> added);
  }

  /** What came out of a convolution, and the gradients of the product with other random images. */
  private static final class Convolved {
    final Case its;
    final float[] x;
    final float[] filter;
    final float[] bias;
    final float[] added;
    final float[] dy;
    final float[] y;
    final float[] ofX;
    final float[] ofFilter;
    final float[] ofBias;
    final float[] ofAdded;

    <T extends TFloating> Convolved(Case its, Class<T> type, Way way) {
      this.its = its;
      Random random = new Random(1);
      Shape in = Shape.of(its.images(), its.height(), its.width(), its.in());
      Shape out = Shape.of(its.images(), its.outHeight(), its.outWidth(), its.out());
      x = random(random, (int) in.size());
      filter = random(random, (int) its.filter().size());
      bias = random(random, its.out());
      added = random(random, (int) out.size());
      dy = random(random, (int) out.size());
      try (Graph graph = TensorFlowRuntime.graph()) {
        Ops tf = TensorFlowRuntime.ops(graph);
        List<Operand<TFloat32>> by =
            List.of(
                constant(tf, in, x),
                constant(tf, its.filter(), filter),
                constant(tf, Shape.of(its.out()), bias),
                constant(tf, out, added));
        Operand<T> images = Tensors.cast(tf, by.get(0), type);
        Operand<TFloat32> result =
            Tensors.cast(
                tf,
                way.apply(
                        its.convolution(),
                        tf,
                        GroupNorm.Input.of(images),
                        by.get(1),
                        by.get(2),
                        Optional.of(Tensors.cast(tf, by.get(3), type)))
                    .y(),
                TFloat32.class);
        Gradients all =
            tf.gradients(
                tf.reduceSum(
                    tf.math.mul(result, constant(tf, out, dy)),
                    tf.constant(new int[] {0, 1, 2, 3})),
                by);
        try (Session session = TensorFlowRuntime.session(graph)) {
          List<float[]> results =
              run(session, List.of(result, all.dy(0), all.dy(1), all.dy(2), all.<TFloat32>dy(3)));
          y = results.get(0);
          ofX = results.get(1);
          ofFilter = results.get(2);
          ofBias = results.get(3);
          ofAdded = results.get(4);
        }
      }
    }

    void assertDefinition(double tolerance) {
      Convolution c = its.convolution();
      int kernel = Math.max(1, its.kernel());
      double[] expected = new double[y.length];
      double[] expectedOfX = new double[x.length];
      double[] expectedOfFilter = new double[filter.length];
      double[] expectedOfBias = new double[bias.length];
      for (int o = 0; o < y.length; o++) {
        int channel = o % its.out();
        int column = o / its.out() % its.outWidth();
        int row = o / its.out() / its.outWidth() % its.outHeight();
        int image = o / its.out() / its.outWidth() / its.outHeight();
        double sum = bias[channel] + (double) added[o];
        expectedOfBias[channel] += dy[o];
        for (int k = 0; k < kernel * kernel; k++) {
          int r = Math.floorDiv(row * c.down() + k / kernel - c.padding(), c.up());
          int s = Math.floorDiv(column * c.down() + k % kernel - c.padding(), c.up());
          if (r < 0 || r >= its.height() || s < 0 || s >= its.width()) {
            continue;
          }
          for (int i = 0; i < its.in(); i++) {
            int at = ((image * its.height() + r) * its.width() + s) * its.in() + i;
            int weight =
                its.kernel() == 0
                    ? channel * its.in() + i
                    : (k * its.in() + i) * its.out() + channel;
            sum += (double) x[at] * filter[weight];
            expectedOfX[at] += (double) dy[o] * filter[weight];
            expectedOfFilter[weight] += (double) dy[o] * x[at];
          }
        }
        expected[o] = sum;
      }
      assertClose(y, floats(expected), tolerance);
      assertClose(ofX, floats(expectedOfX), tolerance);
      assertClose(ofFilter, floats(expectedOfFilter), tolerance);
      assertClose(ofBias, floats(expectedOfBias), tolerance);
      assertClose(ofAdded, dy, 0);
    }

    private static float[] floats(double... values) {
      float[] result = new float[values.length];
      for (int i = 0; i < values.length; i++) {
        result[i] = (float) values[i];
      }
      return result;
    }
  }
}

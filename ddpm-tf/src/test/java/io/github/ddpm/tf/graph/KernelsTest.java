package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectMethod;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectPackage;
import static org.junit.platform.launcher.TagFilter.includeTags;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/** How our operations are set up: what a process takes from its system properties. */
class KernelsTest {
  /** The tag of tests that must hold whatever instructions our operations compute with. */
  static final String INSTRUCTIONS = "instructions";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"", "0", "-1", "2.5", "two", "99999999999"})
  void threadsThatAreNoNumberOfThemAreRefused(String value) {
    with(
        Kernels.THREADS,
        value,
        () ->
            assertThatIllegalStateException()
                .isThrownBy(TensorFlowRuntime::graph)
                .withMessage(
                    "the system property io.github.ddpm.tf.threads must be in [1, 9999], got "
                        + value));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "avx", "AVX2", "avx1024"})
  void instructionsThatAreNotHereAreRefused(String value) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    with(
        Kernels.INSTRUCTIONS,
        value,
        () ->
            assertThatIllegalStateException()
                .isThrownBy(TensorFlowRuntime::graph)
                .withMessageStartingWith(
                    "the system property io.github.ddpm.tf.instructions must be one of [base")
                .withMessageEndingWith("] on this processor, got " + value));
  }

  private static void with(String property, String value, Runnable test) {
    String before = System.getProperty(property);
    System.setProperty(property, value);
    try {
      test.run();
    } finally {
      if (before == null) {
        System.clearProperty(property);
      } else {
        System.setProperty(property, before);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "-Dio.github.ddpm.tf.threads=1, 1",
    "-Dio.github.ddpm.tf.threads=3, 3",
    // What a JVM does in a container with such a quota.
    "-XX:ActiveProcessorCount=4, 4"
  })
  void soManyThreadsComputeAsWasSaid(String option, int threads) throws Exception {
    assumeTrue(TensorFlowRuntime.hasKernels());
    assertThat(output(ThreadsMain.class, option)).contains("threads: " + threads);
  }

  /** Lets all of our threads compute, and says how many they are. */
  static final class ThreadsMain {
    public static void main(String[] args) throws IOException {
      digest(TFloat32.class);
      int threads = 1;
      try (Stream<Path> tasks = Files.list(Path.of("/proc/self/task"))) {
        for (Path task : tasks.toList()) {
          threads += Files.readString(task.resolve("comm")).equals("ddpm\n") ? 1 : 0;
        }
      }
      System.out.println("threads: " + threads);
    }
  }

  /** The tests with the processor's best instructions are those that run anyway. */
  @Test
  void theOperationsAreRightWithAllInstructionsThatThisProcessorHas() throws Exception {
    assumeTrue(TensorFlowRuntime.hasKernels());
    List<String> digests = new ArrayList<>(List.of(digest()));
    for (String instructions : Kernels.usableInstructions()) {
      if (instructions.equals(Kernels.instructions())) {
        continue;
      }
      String output =
          output(TaggedTestsMain.class, "-D" + Kernels.INSTRUCTIONS + "=" + instructions);
      assertThat(output).as(instructions).contains("all passed");
      digests.add(
          output.lines().filter(line -> line.startsWith("digest")).findFirst().orElseThrow());
    }
    // Each rounds in its own way: none ran in another's place.
    assertThat(digests).doesNotHaveDuplicates();
  }

  @Test
  void withoutOurOperationsNetworksAreThoseOfDiffusersToo() throws Exception {
    String output = output(GoldenTestsMain.class, "-D" + Kernels.PROPERTY + "=false");
    assertThat(output).contains("all passed");
  }

  /** Runs the tests of networks against diffusers, but not those of the optimizer. */
  static final class GoldenTestsMain {
    public static void main(String[] args) {
      runTests(
          LauncherDiscoveryRequestBuilder.request()
              .selectors(
                  Stream.of(
                          "theForwardPassIsThatOfDiffusers",
                          "theGradientsAreThoseOfDiffusers",
                          "inBfloat16BothAreNearThose")
                      .map(name -> "io.github.ddpm.tf.UNetGoldenTest#" + name)
                      .map(method -> selectMethod(method + "(java.lang.String)"))
                      .toList())
              .build(),
          8);
    }
  }

  /** Runs all tests that have the tag. */
  static final class TaggedTestsMain {
    public static void main(String[] args) {
      System.out.println(digest());
      runTests(
          LauncherDiscoveryRequestBuilder.request()
              .selectors(selectPackage("io.github.ddpm"))
              .filters(includeTags(INSTRUCTIONS))
              .build(),
          50);
    }
  }

  /** Says whether all tests pass, of which there are more than so many. */
  private static void runTests(LauncherDiscoveryRequest tests, int least) {
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    LauncherFactory.create().execute(tests, listener);
    TestExecutionSummary summary = listener.getSummary();
    for (TestExecutionSummary.Failure failure : summary.getFailures()) {
      System.out.println(failure.getTestIdentifier().getUniqueId() + ": " + failure.getException());
    }
    if (summary.getTotalFailureCount() == 0 && summary.getTestsSucceededCount() > least) {
      System.out.println("all passed");
    }
  }

  /** What the instructions make of some numbers, to the last bit. */
  private static String digest() {
    return "digest " + digest(TFloat32.class) + " " + digest(TBfloat16.class);
  }

  /** One channel comes out, so that the order of sums depends on how wide vectors are. */
  private static <T extends TFloating> int digest(Class<T> type) {
    Random random = new Random(1);
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> y =
          Tensors.cast(
              tf,
              Convolution.SAME
                  .apply(
                      tf,
                      GroupNorm.Input.of(
                          Tensors.cast(tf, constant(tf, random, Shape.of(8, 32, 32, 40)), type)),
                      constant(tf, random, Shape.of(3, 3, 40, 1)),
                      tf.constant(new float[1]),
                      Optional.empty())
                  .y(),
              TFloat32.class);
      try (Session session = TensorFlowRuntime.session(graph)) {
        return Arrays.hashCode(Operands.run(session, y));
      }
    }
  }

  private static Operand<TFloat32> constant(Ops tf, Random random, Shape shape) {
    float[] values = new float[(int) shape.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return tf.constant(shape, DataBuffers.of(values));
  }

  /** What a process of its own says. */
  private String output(Class<?> main, String option) throws IOException, InterruptedException {
    Path output = folder.resolve("output");
    new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx1g",
            option,
            "-cp",
            System.getProperty("java.class.path"),
            main.getName())
        .redirectErrorStream(true)
        .redirectOutput(output.toFile())
        .start()
        .waitFor();
    return Files.readString(output);
  }
}

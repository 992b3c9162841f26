package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Digits;
import java.io.File;
import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What only a process of its own can show, because TensorFlow is loaded once. */
class TensorFlowRuntimeTest {
  @TempDir Path folder;

  /** Locales whose digits are not ASCII. */
  @ParameterizedTest
  @ValueSource(strings = {"fa-IR", "ar-EG-u-nu-arab", "mr-IN-u-nu-deva"})
  void networksAreBuiltAndTrainedInEveryLocale(String locale) throws Exception {
    assertThat(String.format(Locale.forLanguageTag(locale), "%d", 1)).isNotEqualTo("1");
    assertThat(run(List.of(), UseMain.class, locale)).isEmpty();
  }

  /** Draws and trains in a locale. */
  static final class UseMain {
    public static void main(String... args) {
      Locale.setDefault(Locale.forLanguageTag(args[0]));
      use();
    }

    static void use() {
      Sampler.ddim(0).steps(1).sample(1);
      UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withDropout(0.1);
      TrainingOptions options = TrainingOptions.defaults().withBatchSize(2).withMicroBatch(1);
      try (Trainer trainer =
          Trainer.create(config, BetaSchedule.cosine(), PredictionType.EPSILON, options)) {
        trainer.setTotalSteps(2);
        trainer.train(Digits.dataset(4, 8, 1), progress -> true);
        try (Predictor predictor = trainer.predictor()) {
          Sampler.ddim(0).steps(2).with(predictor).sample(1);
        }
      }
    }
  }

  /**
   * As where a web application is deployed anew: its classes are loaded again, by another loader.
   */
  @Test
  void aSecondClassLoaderOfOneProcessHasOurOperationsToo() throws Exception {
    assumeTrue(TensorFlowRuntime.hasKernels());
    assertThat(run(List.of(), TwiceMain.class)).isEmpty();
  }

  /** Uses the library through two class loaders that share nothing but the JDK. */
  static final class TwiceMain {
    public static void main(String... args) throws Exception {
      List<URL> urls = new ArrayList<>();
      for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
        urls.add(url(entry));
      }
      for (int i = 0; i < 2; i++) {
        // Never closed, as that of an application whose threads go on.
        @SuppressWarnings("resource")
        URLClassLoader loader =
            new URLClassLoader(urls.toArray(URL[]::new), ClassLoader.getPlatformClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        loader
            .loadClass(OnceMain.class.getName())
            .getMethod("main", String[].class)
            .invoke(null, (Object) new String[0]);
      }
    }

    private static URL url(String entry) throws MalformedURLException {
      return Path.of(entry).toUri().toURL();
    }
  }

  /** Uses the library, and says so if our operations are missing. */
  public static final class OnceMain {
    private OnceMain() {}

    /** Complains on stderr. */
    public static void main(String... args) {
      UseMain.use();
      if (!TensorFlowRuntime.hasKernels()) {
        System.err.println("our operations are missing");
      }
    }
  }

  @Test
  void aPlatformWithoutANativeLibrarySaysWhatToAdd() throws Exception {
    assertThat(run(List.of("-Dorg.bytedeco.javacpp.platform=linux-none"), LoadMain.class))
        .contains("IllegalStateException: TensorFlow's native library for linux-none is missing: ")
        .contains(
            "add the Maven dependency org.tensorflow:tensorflow-core-native with the classifier linux-none")
        .endsWith("exit code 1");
  }

  /** Libraries that can't be loaded, as from a cache that is mounted noexec. */
  @Test
  void nativeLibrariesThatCannotBeLoadedSayWhatToDo() throws Exception {
    Path cache = Files.createDirectory(folder.resolve("cache"));
    String option = "-Dorg.bytedeco.javacpp.cachedir=" + cache;
    assertThat(run(List.of(option), LoadMain.class)).isEmpty();
    try (Stream<Path> files = Files.walk(cache)) {
      for (Path file : files.filter(TensorFlowRuntimeTest::isOfTensorFlow).toList()) {
        FileTime time = Files.getLastModifiedTime(file);
        // Of the size and time that make the cache believe it.
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
          channel.write(ByteBuffer.allocate(4096), 0);
        }
        Files.setLastModifiedTime(file, time);
      }
    }
    assertThat(run(List.of(option), LoadMain.class))
        .contains("IllegalStateException: TensorFlow's native libraries can't be loaded: ")
        .contains("they are unpacked to " + cache)
        .contains("the system property org.bytedeco.javacpp.cachedir names another folder")
        .doesNotContain("computing will be slower");
  }

  private static boolean isOfTensorFlow(Path file) {
    return file.getFileName().toString().startsWith("libjnitensorflow")
        && Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS);
  }

  /** Loads TensorFlow. */
  static final class LoadMain {
    public static void main(String... args) {
      TensorFlowRuntime.graph().close();
    }
  }

  /** All of stderr goes through a pipe for a moment, to leave out two lines of TensorFlow's. */
  @Test
  void whatIsPrintedWhileTensorFlowIsSetUpIsKept() throws Exception {
    assumeTrue(TensorFlowRuntime.hasKernels());
    List<String> printed = run(List.of(), ChatterMain.class).lines().toList();
    int count = printed.size() - 1;
    assertThat(count).isGreaterThan(100);
    List<String> lines = new ArrayList<>(List.of(count + " lines"));
    for (int i = 0; i < count; i++) {
      lines.add("line " + i);
    }
    assertThat(printed).containsExactlyInAnyOrderElementsOf(lines);
  }

  /** Prints lines on stderr all the while that it sets up TensorFlow and uses it. */
  static final class ChatterMain {
    public static void main(String... args) throws InterruptedException {
      AtomicBoolean done = new AtomicBoolean();
      AtomicInteger lines = new AtomicInteger();
      Thread chatter =
          new Thread(
              () -> {
                while (!done.get()) {
                  System.err.println("line " + lines.getAndIncrement());
                  LockSupport.parkNanos(500_000);
                }
              });
      chatter.start();
      UseMain.use();
      done.set(true);
      chatter.join();
      System.err.println(lines + " lines");
    }
  }

  @Test
  void withoutOurOperationsFloat32IsTheFastest() throws Exception {
    assertThat(run(List.of("-Dio.github.ddpm.tf.kernels=false"), PrecisionMain.class))
        .contains("fastest: " + Precision.FLOAT32);
  }

  /** As of a jar that was built without a compiler, or on a platform that has no kernels. */
  @Test
  void aJarWithoutOurOperationsSaysSoOnce() throws Exception {
    String path = System.getProperty("java.class.path");
    String classes = Path.of("target", "classes").toAbsolutePath().toString();
    assertThat(path).contains(classes);
    Path bare = folder.resolve("bare");
    try (Stream<Path> files = Files.walk(Path.of(classes))) {
      for (Path file : files.filter(file -> !file.toString().endsWith(".so")).toList()) {
        Files.copy(file, bare.resolve(Path.of(classes).relativize(file).toString()));
      }
    }
    assertThat(run(path.replace(classes, bare.toString()), List.of(), PrecisionMain.class))
        .containsOnlyOnce(
            "INFO: ddpm's jar has no operations of its own for "
                + Loader.getPlatform()
                + ": computing with TensorFlow's, which is slower")
        .contains("fastest: " + Precision.FLOAT32);
  }

  /** Prints the fastest precision. */
  static final class PrecisionMain {
    public static void main(String... args) {
      System.err.println("fastest: " + TensorFlowRuntime.fastestPrecision());
    }
  }

  /**
   * What a program prints on stderr in a process of its own, and how it ended if not well: a crash
   * prints nothing there.
   */
  private static String run(List<String> options, Class<?> main, String... args)
      throws IOException, InterruptedException {
    return run(System.getProperty("java.class.path"), options, main, args);
  }

  private static String run(String classPath, List<String> options, Class<?> main, String... args)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
    command.addAll(options);
    command.addAll(List.of("-cp", classPath, main.getName()));
    command.addAll(Arrays.asList(args));
    Process process =
        new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
    String printed = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    int code = process.waitFor();
    String notes =
        printed
            .lines()
            .filter(line -> !line.startsWith("Picked up"))
            .reduce("", (all, line) -> all + line + System.lineSeparator());
    return code == 0 ? notes : notes + "exit code " + code;
  }
}

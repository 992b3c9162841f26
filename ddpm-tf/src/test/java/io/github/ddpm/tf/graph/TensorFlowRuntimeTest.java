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
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
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

  /** Nothing is there for a platform that isn't; a cache that is mounted noexec ends alike. */
  @Test
  void nativeLibrariesThatCannotBeLoadedSayWhatToDo() throws Exception {
    assertThat(run(List.of("-Dorg.bytedeco.javacpp.platform=linux-none"), LoadMain.class))
        .contains("IllegalStateException: TensorFlow's native libraries can't be loaded: ")
        .contains("the system property org.bytedeco.javacpp.cachedir names another folder")
        .doesNotContain("computing will be slower");
  }

  /** Loads TensorFlow. */
  static final class LoadMain {
    public static void main(String... args) {
      TensorFlowRuntime.graph().close();
    }
  }

  @Test
  void withoutOurOperationsFloat32IsTheFastest() throws Exception {
    assertThat(run(List.of("-Dio.github.ddpm.tf.kernels=false"), PrecisionMain.class))
        .isEqualTo(Precision.FLOAT32 + System.lineSeparator());
  }

  /** Prints the fastest precision. */
  static final class PrecisionMain {
    public static void main(String... args) {
      System.err.println(TensorFlowRuntime.fastestPrecision());
    }
  }

  /** What a program prints on stderr in a process of its own, less TensorFlow's notes. */
  private static String run(List<String> options, Class<?> main, String... args)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
    command.addAll(options);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(Arrays.asList(args));
    Process process =
        new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
    String printed = new String(process.getErrorStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return printed
        .lines()
        .filter(line -> !line.matches("(?:\\d{4}-|WARNING: All log messages|I0000|Picked up).*"))
        .reduce("", (all, line) -> all + line + System.lineSeparator());
  }
}

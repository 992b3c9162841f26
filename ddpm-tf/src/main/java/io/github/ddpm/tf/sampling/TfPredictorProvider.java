package io.github.ddpm.tf.sampling;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.ForwardingPredictor;
import io.github.ddpm.spi.PredictorProvider;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.net.Hub;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/** Runs models on TensorFlow. It is made by {@link java.util.ServiceLoader}. */
public final class TfPredictorProvider implements PredictorProvider {
  /** The models that come with the library, by their folders in {@code pretrained/}. */
  private static final List<String> NAMES = List.of("digits", "digits-4", "digits-2", "digits-1");

  /** Those that were asked for so far. */
  private static final Map<Asked, Predictor> SHARED = new ConcurrentHashMap<>();

  /** Its precision is null for the fastest. */
  private record Asked(String name, Precision precision) {}

  /** Makes a provider, for the service loader. */
  public TfPredictorProvider() {}

  @Override
  public Predictor load(Path folder, Precision precision) throws IOException {
    return open(folder, precision);
  }

  @Override
  public Predictor load(
      Path folder, BetaSchedule schedule, PredictionType type, Precision precision)
      throws IOException {
    loadTensorFlow(folder);
    try (ModelFolder saved = ModelFolder.read(folder, schedule, type)) {
      return open(folder, saved, precision);
    }
  }

  @Override
  public Predictor fromHub(String name, String revision, Precision precision) throws IOException {
    return open(Hub.ofEnvironment().fetch(name, revision, (bytes, total) -> true), precision);
  }

  /** Returns a model, loaded when it is first asked for in that precision. */
  @Override
  public Predictor pretrained(String name, Precision precision) {
    checkArgument(
        NAMES.contains(name),
        "name must be one of %s, got %s",
        String.join(", ", NAMES),
        Excerpt.of(name));
    // To know the fastest takes TensorFlow, so whoever names none doesn't wait for that here.
    boolean fastest = precision == null || precision == TensorFlowRuntime.fastestPrecision();
    Precision used = fastest ? null : precision;
    return SHARED.computeIfAbsent(
        new Asked(name, used),
        asked -> pretrained(TfPredictorProvider.class::getResourceAsStream, name, used));
  }

  private static Predictor open(Path folder, Precision precision) throws IOException {
    loadTensorFlow(folder);
    try (ModelFolder saved = ModelFolder.read(folder)) {
      return open(folder, saved, precision);
    }
  }

  private static Predictor open(Path folder, ModelFolder saved, Precision precision)
      throws IOException {
    Precision used = precision == null ? TensorFlowRuntime.fastestPrecision() : precision;
    SamplingMemory.check(folder, saved, used);
    return new TfPredictor(saved.config(), saved.weights().source(), used);
  }

  /** TensorFlow is loaded while the files are read, unless there are none. */
  private static void loadTensorFlow(Path folder) {
    if (Files.isDirectory(folder)) {
      TensorFlowRuntime.loadAhead();
    }
  }

  /**
   * Loads a model that comes with the library: a folder as any other, among its resources.
   *
   * @param resources answers what a resource holds, by its absolute name, or null if there is none
   * @param name of its folder in {@code pretrained/}
   * @throws IllegalStateException if it isn't there or is damaged; the message names the resource
   *     and what is wrong with it
   */
  static Predictor pretrained(
      Function<String, InputStream> resources, String name, Precision precision) {
    String root = "io/github/ddpm/tf/pretrained/" + name;
    try {
      // All who ask for it share it, so nobody may close it.
      return new ForwardingPredictor(openResource(resources, root, precision));
    } catch (IOException e) {
      throw new IllegalStateException(
          "can't load the model that comes with ddpm-tf: " + e.getMessage(), e);
    }
  }

  /** Opens a copy in a temporary folder, because a resource need not be a file. */
  private static Predictor openResource(
      Function<String, InputStream> resources, String root, Precision precision)
      throws IOException {
    Path copy = temporaryFolder();
    try {
      for (String file : ModelFolder.FILES) {
        copy(resources, root + "/" + file, copy.resolve(file));
      }
      return openCopy(copy, root, precision);
    } finally {
      MoreFiles.deleteRecursively(copy, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  private static Path temporaryFolder() throws IOException {
    try {
      return Files.createTempDirectory("ddpm");
    } catch (IOException e) {
      throw new IOException("no temporary folder can be made: " + e.getMessage(), e);
    }
  }

  private static void copy(Function<String, InputStream> resources, String resource, Path file)
      throws IOException {
    try (InputStream in = resources.apply("/" + resource)) {
      if (in == null) {
        throw new IOException("resource " + resource + " is missing");
      }
      Files.createDirectories(file.getParent());
      Files.copy(in, file);
    }
  }

  private static Predictor openCopy(Path copy, String root, Precision precision)
      throws IOException {
    try {
      return open(copy, precision);
    } catch (IOException e) {
      // Whoever reads the message knows the resource, not its copy.
      throw new IOException(String.valueOf(e.getMessage()).replace(copy.toString(), root), e);
    }
  }
}

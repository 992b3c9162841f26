package io.github.ddpm.spark;

import static java.util.Objects.requireNonNull;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.io.Serializable;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/**
 * A model that each executor loads once, to compute with the precision that is fastest on the
 * driver.
 */
public final class SparkModel implements Serializable {
  private static final long serialVersionUID = 1;

  private static final System.Logger LOG = System.getLogger(SparkModel.class.getName());

  private static final PerExecutor<Predictor> LOADED = new PerExecutor<>();

  /** Names the model on an executor, whatever the precision. */
  private final String key;

  /** Opens the model on an executor. */
  private final Function<Precision, Predictor> opener;

  /** What executors compute in. */
  private final Precision precision;

  /** What the driver computes with, {@link TensorFlowRuntime#instructions}. */
  private final String instructions;

  private SparkModel(String key, Function<Precision, Predictor> opener, Precision precision) {
    this.key = key;
    this.opener = opener;
    this.precision = precision;
    this.instructions = TensorFlowRuntime.instructions();
  }

  private SparkModel(Function<Precision, Predictor> opener) {
    // A folder of the same name may have other weights by the next time.
    this(UUID.randomUUID().toString(), opener, TensorFlowRuntime.fastestPrecision());
  }

  /**
   * {@return a model that comes with the library}
   *
   * @param name as {@link Predictor#pretrained(String)} takes it
   */
  public static SparkModel pretrained(String name) {
    requireNonNull(name, "name");
    return new SparkModel(precision -> Predictor.pretrained(name, precision));
  }

  /**
   * {@return a model in a folder that all executors see, and that stays as it is while they draw}
   *
   * @param folder as {@link Predictor#load} takes it
   */
  public static SparkModel shared(String folder) {
    requireNonNull(folder, "folder");
    return new SparkModel(precision -> Predictor.load(Path.of(folder), precision));
  }

  /**
   * Sends a model to all executors that will ask for it.
   *
   * @param spark whose executors get the files
   * @param folder that the driver sees, as {@link Predictor#load} takes it, of less than 2 GB
   * @return the model that was sent
   * @throws IOException if the model can't be read; the message names the file
   */
  public static SparkModel send(SparkSession spark, Path folder) throws IOException {
    Broadcast<Map<String, byte[]>> sent =
        JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(files(folder));
    return new SparkModel(precision -> load(sent.value(), precision));
  }

  /**
   * {@return this model in another precision than the one that is fastest on the driver}
   *
   * @param other what executors compute in; not null
   */
  public SparkModel withPrecision(Precision other) {
    return new SparkModel(key, opener, other);
  }

  /** Reads the files of a model, as this library writes it. */
  private static Map<String, byte[]> files(Path folder) throws IOException {
    Path copy = Files.createTempDirectory("ddpm");
    try {
      ModelFiles.convert(folder, copy, ModelFiles.Storage.FLOAT32);
      Map<String, byte[]> files = new TreeMap<>();
      for (String part : List.of("model_index.json", "unet", "scheduler")) {
        try (Stream<Path> all = Files.walk(copy.resolve(part).toRealPath())) {
          for (Path file : all.filter(Files::isRegularFile).toList()) {
            Path name = Path.of(part).resolve(copy.resolve(part).toRealPath().relativize(file));
            files.put(name.toString(), Files.readAllBytes(file));
          }
        }
      }
      return files;
    } finally {
      MoreFiles.deleteRecursively(copy, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  private static Predictor load(Map<String, byte[]> files, Precision precision) throws IOException {
    Path folder = Files.createTempDirectory("ddpm");
    try {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        Path path = folder.resolve(file.getKey());
        Files.createDirectories(path.getParent());
        Files.write(path, file.getValue());
      }
      return Predictor.load(folder, precision);
    } finally {
      MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  /** Returns the model on an executor, to be used until the task ends. */
  Predictor open() throws Exception {
    return LOADED.get(key + precision, this::load);
  }

  private Predictor load() throws Exception {
    String here = TensorFlowRuntime.instructions();
    if (!here.equals(instructions)) {
      String difference =
          "this executor computes with %s, the driver with %s".formatted(here, instructions);
      if (precision != Precision.FLOAT32) {
        throw new IllegalStateException(
            difference + ": draw in float32, in which they differ in the last bits only");
      }
      LOG.log(Level.WARNING, difference);
    }
    return opener.call(precision);
  }
}

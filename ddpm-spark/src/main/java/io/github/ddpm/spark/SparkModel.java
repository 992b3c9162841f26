package io.github.ddpm.spark;

import static java.util.Objects.requireNonNull;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function0;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/**
 * A model that each executor loads once, to compute with the precision that is fastest on the
 * driver.
 */
public final class SparkModel implements Serializable {
  private static final long serialVersionUID = 1;

  private static final PerExecutor<Predictor> LOADED = new PerExecutor<>();

  private final String key;
  private final Function0<Predictor> opener;
  private final Precision precision;
  private final String instructions;

  private SparkModel(String key, Function0<Predictor> opener, Precision precision) {
    this.key = key;
    this.opener = opener;
    this.precision = precision;
    this.instructions = TensorFlowRuntime.instructions();
  }

  /** Returns the model that comes with the library. */
  public static SparkModel pretrained() {
    Precision precision = TensorFlowRuntime.fastestPrecision();
    return new SparkModel("pretrained", () -> Predictor.pretrained("digits", precision), precision);
  }

  /**
   * Returns a model in a folder that all executors see.
   *
   * @param folder as {@link Predictor#load} takes it
   */
  public static SparkModel shared(String folder) {
    requireNonNull(folder, "folder");
    Precision precision = TensorFlowRuntime.fastestPrecision();
    return new SparkModel(folder, () -> Predictor.load(Path.of(folder), precision), precision);
  }

  /**
   * Sends a model to all executors that will ask for it.
   *
   * @param folder that the driver sees, as {@link Predictor#load} takes it, of less than 2 GB
   * @throws IOException if the model can't be read; the message names the file
   */
  public static SparkModel send(SparkSession spark, Path folder) throws IOException {
    Precision precision = TensorFlowRuntime.fastestPrecision();
    Map<String, byte[]> files = files(folder);
    Hasher hasher = Hashing.sha256().newHasher();
    files.forEach((name, bytes) -> hasher.putUnencodedChars(name).putBytes(bytes));
    Broadcast<Map<String, byte[]>> sent =
        JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(files);
    return new SparkModel(hasher.hash().toString(), () -> load(sent.value(), precision), precision);
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

  /** Does something with the model, on an executor. */
  <R> R use(org.apache.spark.api.java.function.Function<Predictor, R> work) throws Exception {
    return LOADED.use(
        key + precision,
        () -> {
          String here = TensorFlowRuntime.instructions();
          if (precision != Precision.FLOAT32 && !here.equals(instructions)) {
            throw new IllegalStateException(
                "this executor computes with %s, the driver with %s: pictures would differ"
                    .formatted(here, instructions));
          }
          return opener.call();
        },
        work);
  }
}

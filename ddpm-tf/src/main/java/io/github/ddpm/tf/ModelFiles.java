package io.github.ddpm.tf;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.files.ArrayFormat;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.SafeTensors;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.net.Hub;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Predicate;
import org.tensorflow.ndarray.FloatNdArray;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.ndarray.buffer.DataBuffers;

/** Models and arrays on disk: fetched, converted, read and written without a network that runs. */
public final class ModelFiles {
  private ModelFiles() {}

  /** What numbers are stored as. */
  public enum Storage {
    /** Numbers of 24 significant bits. */
    FLOAT32(DType.F32),

    /**
     * Numbers of 11 significant bits, up to 65504: they take half the size, and are what models are
     * published in.
     */
    FLOAT16(DType.F16);

    private final DType type;

    Storage(DType type) {
      this.type = type;
    }
  }

  /**
   * Downloads a model of a hub as {@link io.github.ddpm.Predictor#fromHub(String, String,
   * io.github.ddpm.Precision)} does, and tells how far it has come.
   *
   * @param name {@code owner/name} on the hub
   * @param revision a branch, a tag or a commit
   * @param listener is told when more has arrived, and returns whether to go on
   * @return a folder for {@link io.github.ddpm.Predictor#load(Path)}, {@link Trainer#fineTune} or
   *     {@link #convert(Path, Path, Storage)}; it is the hub's cache, so don't write to it
   * @throws IOException if it can't be fetched; the message says what from where
   * @throws IllegalArgumentException if the name or the revision can't be one
   * @throws java.util.concurrent.CancellationException if the listener doesn't want to go on; the
   *     next call goes on from there
   */
  public static Path fetch(String name, String revision, Predicate<FetchProgress> listener)
      throws IOException {
    return Hub.ofEnvironment()
        .fetch(name, revision, (bytes, total) -> listener.test(new FetchProgress(bytes, total)));
  }

  /**
   * Writes a model anew, in the layout and under the names that diffusers writes today, whatever it
   * was stored as.
   *
   * @param from a model that {@link io.github.ddpm.Predictor#load} opens
   * @param to the folder to write, made if need be; a model there is replaced, other files stay. It
   *     may be {@code from}
   * @param storage of the weights
   * @throws IOException if the model can't be read, or can't be written, for instance because a
   *     weight is beyond what float16 holds; the message names the file. What was there before
   *     stays
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static void convert(Path from, Path to, Storage storage) throws IOException {
    try (ModelFolder saved = ModelFolder.read(from)) {
      write(saved, to, storage);
    }
  }

  /**
   * Writes a whole model with a network that was saved alone, as {@link #convert(Path, Path,
   * Storage)} does; see {@link io.github.ddpm.Predictor#load(Path, BetaSchedule, PredictionType)}.
   *
   * @param from {@code config.json} and the weights, such as {@code unet_ema/} of a checkpoint
   * @param schedule the noise that the network was trained with
   * @param type what it predicts
   * @param to the folder to write, made if need be; it may be {@code from}
   * @param storage of the weights
   * @throws IOException as that method does
   * @throws IllegalArgumentException if the type doesn't go with the schedule
   * @throws IllegalStateException as that method does
   */
  public static void convert(
      Path from, BetaSchedule schedule, PredictionType type, Path to, Storage storage)
      throws IOException {
    try (ModelFolder saved = ModelFolder.read(from, schedule, type)) {
      write(saved, to, storage);
    }
  }

  private static void write(ModelFolder saved, Path to, Storage storage) throws IOException {
    // In memory before anything is replaced, and checked to be those of the network.
    WeightLayout layout = layout(saved);
    float[] weights = layout.pack(saved.weights().source());
    ModelFolder.write(to, saved.config(), layout.unpack(weights), storage.type);
  }

  /**
   * Returns the layout of a model's weights. The configuration may claim any network, so it is
   * asked for no weight beyond the first that isn't in the file.
   *
   * @throws IOException if a weight is missing or has another shape, or all of them, and a copy,
   *     don't fit into memory
   */
  static WeightLayout layout(ModelFolder saved) throws IOException {
    try {
      WeightLayout layout =
          new WeightLayout(
              UNet.shapes(
                  saved.config().network(),
                  (name, shape) -> {
                    try {
                      saved.weights().check(name, shape);
                    } catch (IOException e) {
                      throw new UncheckedIOException(e);
                    }
                  }));
      double size =
          layout.shapes().values().stream().mapToDouble(shape -> (double) shape.size()).sum();
      Heap.check(saved.weights(), 2 * Float.BYTES * size);
      if (size > Integer.MAX_VALUE) {
        throw new IOException(
            saved.weights() + ": there must be at most 2^31 - 1 weights, got " + (long) size);
      }
      return layout;
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  /**
   * Reads a file of arrays of any floating type: a dict of tensors that PyTorch saved, of which
   * nothing is run, if the name ends with {@code .bin} or {@code .pt}, else safetensors.
   *
   * @param file whose name says the format
   * @return the arrays by name, in the file's order
   * @throws IOException if the file isn't valid; the message names the file, the array and what is
   *     wrong
   */
  public static Map<String, FloatNdArray> readArrays(Path file) throws IOException {
    Map<String, FloatNdArray> arrays = new LinkedHashMap<>();
    ArrayFormat.read(file)
        .forEach(
            (name, weight) ->
                arrays.put(name, NdArrays.wrap(weight.shape(), DataBuffers.of(weight.values()))));
    return arrays;
  }

  /**
   * Writes a new file of arrays in the safetensors format.
   *
   * @param file is not there yet
   * @param arrays of any shape, by name
   * @param storage what the numbers are written as
   * @throws IOException if it can't be written, or the storage can't hold a number
   */
  public static void writeArrays(
      Path file, Map<String, ? extends FloatNdArray> arrays, Storage storage) throws IOException {
    Map<String, Weight> weights = new LinkedHashMap<>();
    arrays.forEach(
        (name, array) -> {
          float[] values = new float[Math.toIntExact(array.size())];
          array.copyTo(DataBuffers.of(values));
          weights.put(name, new Weight(array.shape(), FloatBuffer.wrap(values)));
        });
    SafeTensors.write(file, weights, storage.type);
  }
}

package io.github.ddpm.tf.sampling;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.DoubleStream;
import org.bytedeco.javacpp.Pointer;

/** What sampling takes at least, so that a model that could never make an image is not loaded. */
final class SamplingMemory {
  /** Copies of an image that are made on the heap: noise, results, and the images returned. */
  private static final int COPIES = 5;

  private SamplingMemory() {}

  /**
   * Refuses a model of which one image doesn't fit into memory.
   *
   * @param folder of the model
   * @throws IOException if it doesn't; the message names the folder, the size and what there is
   */
  static void check(Path folder, ModelFolder saved, Precision precision) throws IOException {
    ModelConfig model = saved.config();
    UNetConfig.Picture picture = model.network().picture();
    String what = folder + ": sampling one image of " + picture.height() + "x" + picture.width();
    Heap.check(what, heap(model.info(), 1));
    int bytes = precision == Precision.FLOAT32 ? Float.BYTES : Short.BYTES;
    double least = bytes * skips(model.network()) + Float.BYTES * saved.weights().numbers();
    double most = mostNative();
    if (least > most) {
      throw new IOException(
          what
              + ": weights and hidden images take at least "
              + (long) (least / 1e6)
              + " MB, TensorFlow may have "
              + (long) (most / 1e6)
              + " MB: the machine's memory, or what JavaCPP allows, which the system property"
              + " org.bytedeco.javacpp.maxPhysicalBytes sets");
    }
  }

  /** Returns what TensorFlow may take; what isn't known bounds nothing. */
  private static double mostNative() {
    // It also loads what JavaCPP asks the system by.
    TensorFlowRuntime.hasKernels();
    return DoubleStream.of(
            (double) Pointer.totalPhysicalBytes(), (double) Pointer.maxPhysicalBytes())
        .filter(bytes -> bytes > 0)
        .min()
        .orElse(Double.POSITIVE_INFINITY);
  }

  /** Returns the bytes of the heap that a request for so many images takes. */
  static double heap(ModelInfo info, int count) {
    return Heap.arrays(COPIES, (double) Float.BYTES * info.imageSize() * count);
  }

  /** Counts the values that wait for the way up, all at the same time, of one image. */
  private static double skips(UNetConfig network) {
    List<Integer> channels = network.levels().channels();
    double pixels = (double) network.picture().height() * network.picture().width();
    double values = pixels * channels.get(0);
    for (int level = 0; level < channels.size(); level++) {
      values += network.levels().layersPerBlock() * pixels * channels.get(level);
      pixels /= 4;
      values += level < channels.size() - 1 ? pixels * channels.get(level) : 0;
    }
    return values;
  }
}

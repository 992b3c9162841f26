package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.ddpm.Images;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.data.ImageFolder;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.ejml.data.DMatrixRMaj;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.SessionFunction;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.types.TFloat32;

/**
 * The feature network is one that a user names: a TensorFlow SavedModel of, for instance,
 * Inception, CLIP or a classifier of such pictures. It has the tag {@code serve} and the signature
 * {@code serving_default}, or only one, with one input, float [n, height, width, channels] of 1 or
 * 3 channels, and one output, float [n, features].
 *
 * <p>It is given values in [-1, 1], black -1 and white 1, of each picture as {@link ImageFolder}
 * reads an 8-bit file of it: scaled to the network's size, unless that takes any, by an antialiased
 * bilinear filter; gray in three equal channels, or color as gray in one; on white where it is
 * transparent. A network that expects another range, or a mean and a deviation, is to be exported
 * with a layer that computes them.
 *
 * <p>A SavedModel is a program that has the permissions of this process, so open none that you
 * don't trust. It is thread-safe; who opens one closes it.
 */
public final class FeatureNetwork implements FeatureExtractor {
  private final Path folder;
  private final SavedModelBundle bundle;
  private final FeatureSignature signature;
  private final SessionFunction function;

  private FeatureNetwork(Path folder, SavedModelBundle bundle) throws IOException {
    this.folder = folder;
    this.bundle = bundle;
    signature = FeatureSignature.of(folder.toString(), bundle.metaGraphDef().getSignatureDefMap());
    function = bundle.function(signature.key());
  }

  /**
   * Opens a network.
   *
   * @param folder of a SavedModel
   * @throws IOException if it is none, or has another tag, signature, input or output; the message
   *     names the folder and what was found
   */
  public static FeatureNetwork load(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new IOException("can't load " + folder + " as a SavedModel: no such folder");
    }
    // First, because it loads TensorFlow with its settings.
    ConfigProto config = TensorFlowRuntime.config();
    SavedModelBundle bundle;
    try {
      bundle =
          SavedModelBundle.loader(folder.toString())
              .withTags(SavedModelBundle.DEFAULT_TAG)
              .withConfigProto(config)
              .load();
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw new IOException(
          "can't load %s as a SavedModel with the tag %s: %s"
              .formatted(folder, SavedModelBundle.DEFAULT_TAG, Excerpt.of(e.getMessage())),
          e);
    }
    try {
      return new FeatureNetwork(folder, bundle);
    } catch (IOException | RuntimeException e) {
      bundle.close();
      throw e;
    }
  }

  @Override
  public int dimensions() {
    return signature.dimensions();
  }

  /**
   * Computes what is seen in pictures.
   *
   * @param pictures as high as wide, of 1 to 4 channels
   * @throws IllegalStateException if the network gives other numbers than it has promised
   */
  @Override
  public DMatrixRMaj features(Images pictures) {
    checkArgument(
        pictures.height() == pictures.width() && pictures.channels() <= Images.MAX_CHANNELS,
        "features are of pictures that are as high as wide, of at most %s channels, got %s",
        Images.MAX_CHANNELS,
        pictures);
    int count = pictures.count();
    int size = signature.size() == 0 ? pictures.height() : signature.size();
    DMatrixRMaj all = new DMatrixRMaj(count, dimensions());
    int run = TensorFlowRuntime.imagesPerRun(size, size);
    for (int from = 0; from < count; from += run) {
      Images some = pictures.slice(from, Math.min(count, from + run));
      try (TFloat32 x = input(some, size);
          Result result = function.call(Map.of(signature.input(), x))) {
        copy((TFloat32) result.get(0), some.count(), all, from);
      }
    }
    return all;
  }

  private TFloat32 input(Images pictures, int size) {
    int channels = signature.channels();
    int one = size * size * channels;
    float[] values = new float[pictures.count() * one];
    IntStream.range(0, pictures.count())
        .parallel()
        .forEach(
            i -> {
              byte[] pixels = read(pictures.toBufferedImage(i), size, channels);
              for (int k = 0; k < one; k++) {
                values[i * one + k] = Byte.toUnsignedInt(pixels[k]) / 127.5f - 1;
              }
            });
    return TFloat32.tensorOf(
        Shape.of(pictures.count(), size, size, channels), DataBuffers.of(values));
  }

  /** Reads a picture as a file of it would be read to train on. */
  private static byte[] read(BufferedImage picture, int size, int channels) {
    try {
      ByteArrayOutputStream file = new ByteArrayOutputStream();
      ImageIO.write(picture, "png", file);
      return ImageFolder.decode("a picture to measure", file.toByteArray(), size, channels);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void copy(TFloat32 features, int count, DMatrixRMaj to, int firstRow) {
    Shape promised = Shape.of(count, dimensions());
    checkState(
        features.shape().equals(promised),
        "%s must give features of shape %s, got %s",
        folder,
        promised,
        features.shape());
    float[] values = new float[count * dimensions()];
    features.copyTo(DataBuffers.of(values));
    for (int i = 0; i < values.length; i++) {
      checkState(
          Float.isFinite(values[i]),
          "%s must give finite features, got %s for picture %s",
          folder,
          values[i],
          firstRow + i / dimensions());
      to.data[firstRow * dimensions() + i] = values[i];
    }
  }

  /** Says which features these are. */
  @Override
  public String toString() {
    return "features of "
        + folder
        + " (signature "
        + Excerpt.of(signature.key())
        + ", "
        + dimensions()
        + " dimensions)";
  }

  @Override
  public void close() {
    bundle.close();
  }
}

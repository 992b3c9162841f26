package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Images;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.function.DoubleConsumer;
import java.util.function.Function;
import org.ejml.data.DMatrixRMaj;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.FloatNdArray;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * The classifier tells handwritten digits, with three convolutions and two linear layers. What the
 * last but one makes of a picture, {@value #FEATURES} numbers, is the feature space of the
 * distances.
 *
 * <p>It is thread-safe; who opens one closes it.
 */
public final class DigitClassifier implements FeatureExtractor {
  /** A feature vector has this length. */
  public static final int FEATURES = ClassifierNetwork.FEATURES;

  private static final String RESOURCE = "digit-classifier.safetensors";

  /** One run classifies at most so many pictures. */
  private static final int RUN = 250;

  private final Map<String, FloatNdArray> weights;
  private final Graph graph;
  private final Session session;
  private final Operand<TFloat32> images;
  private final Operand<TFloat32> features;
  private final Operand<TFloat32> probabilities;

  private DigitClassifier(Map<String, FloatNdArray> weights) {
    this.weights = weights;
    graph = TensorFlowRuntime.graph();
    try {
      Ops tf = TensorFlowRuntime.ops(graph);
      images = ClassifierNetwork.images(tf);
      Function<String, Operand<TFloat32>> constants = name -> tf.constant(weights.get(name));
      features = ClassifierNetwork.features(tf, constants, images);
      probabilities = tf.nn.softmax(ClassifierNetwork.logits(tf, constants, features));
      session = TensorFlowRuntime.session(graph);
    } catch (RuntimeException e) {
      graph.close();
      throw e;
    }
  }

  /** Opens the classifier that comes with the examples, by a copy: it may be in a jar. */
  public static DigitClassifier load() throws IOException {
    Path copy = Files.createTempFile("ddpm", RESOURCE);
    try (InputStream in = DigitClassifier.class.getResourceAsStream(RESOURCE)) {
      if (in == null) {
        throw new IOException(
            "resource " + RESOURCE + " is missing: train one with TrainClassifier");
      }
      Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
      return load(copy);
    } finally {
      Files.delete(copy);
    }
  }

  /**
   * Opens a classifier that was saved.
   *
   * @throws IOException if the file can't be read or is none; the message names the file and what
   *     is wrong
   */
  public static DigitClassifier load(Path file) throws IOException {
    Map<String, FloatNdArray> weights = ModelFiles.readArrays(file);
    for (Map.Entry<String, Shape> entry : ClassifierNetwork.SHAPES.entrySet()) {
      FloatNdArray weight = weights.get(entry.getKey());
      if (weight == null || !weight.shape().equals(entry.getValue())) {
        throw new IOException(
            file
                + ": not a digit classifier, array "
                + entry.getKey()
                + (weight == null
                    ? " is missing"
                    : " must have shape " + entry.getValue() + ", got " + weight.shape()));
      }
    }
    return new DigitClassifier(weights);
  }

  /** Writes the weights as float16. */
  public void save(Path file) throws IOException {
    ModelFiles.writeArrays(file, weights, ModelFiles.Storage.FLOAT16);
  }

  @Override
  public int dimensions() {
    return FEATURES;
  }

  @Override
  public DMatrixRMaj features(Images pictures) {
    return classify(pictures).features();
  }

  /**
   * Classifies pictures as an 8-bit file would show them.
   *
   * @param pictures 28x28, gray
   * @return a row for each picture
   */
  public Classified classify(Images pictures) {
    checkArgument(
        pictures.height() == ClassifierNetwork.SIZE
            && pictures.width() == ClassifierNetwork.SIZE
            && pictures.channels() == 1,
        "the classifier knows 28x28x1 digits, got %s",
        pictures);
    int count = pictures.count();
    DMatrixRMaj allFeatures = new DMatrixRMaj(count, FEATURES);
    DMatrixRMaj allProbabilities = new DMatrixRMaj(count, ClassifierNetwork.CLASSES);
    for (int from = 0; from < count; from += RUN) {
      float[] pixels = pictures.slice(from, Math.min(count, from + RUN)).toArray();
      for (int i = 0; i < pixels.length; i++) {
        float shade = Math.max(0, Math.min(255, Math.round((pixels[i] + 1) * 127.5f)));
        pixels[i] = shade / 127.5f - 1;
      }
      try (TFloat32 x = ClassifierNetwork.tensor(pixels);
          Result result =
              session.runner().feed(images, x).fetch(features).fetch(probabilities).run()) {
        copy(result.get(0), allFeatures, from);
        copy(result.get(1), allProbabilities, from);
      }
    }
    return new Classified(allFeatures, allProbabilities);
  }

  /** Says which features these are. */
  @Override
  public String toString() {
    return "features of the digit classifier (" + FEATURES + " dimensions)";
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }

  /**
   * Trains a classifier by Adam (Kingma and Ba 2015) with dropout on pictures moved at random.
   *
   * @param data 28x28 gray digits
   * @param epochs how often to go through the data, at least 1
   * @param seed of all randomness
   * @param progress is told the share of the training done, in (0, 1], after each step
   */
  public static DigitClassifier train(
      Dataset data, int epochs, long seed, DoubleConsumer progress) {
    return new DigitClassifier(ClassifierTraining.train(data, epochs, seed, progress));
  }

  private static void copy(Tensor tensor, DMatrixRMaj to, int firstRow) {
    float[] values = new float[(int) tensor.size()];
    ((TFloat32) tensor).copyTo(DataBuffers.of(values));
    for (int i = 0; i < values.length; i++) {
      to.data[firstRow * to.numCols + i] = values[i];
    }
  }
}

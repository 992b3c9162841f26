package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Images;
import io.github.ddpm.tf.DType;
import io.github.ddpm.tf.SafeTensors;
import io.github.ddpm.tf.Weight;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BiFunction;
import java.util.function.DoubleConsumer;
import org.ejml.data.DMatrixRMaj;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * Tells handwritten digits: three convolutions and two linear layers. What the last but one makes
 * of a picture, {@value #FEATURES} numbers, is the feature space of the distances.
 *
 * <p>Thread-safe; who opens one closes it.
 */
public final class DigitClassifier implements AutoCloseable {
  /** Length of a feature vector. */
  public static final int FEATURES = 128;

  private static final int SIZE = 28;
  private static final int CLASSES = 10;
  private static final String RESOURCE = "digit-classifier.safetensors";

  /** Pictures that one run classifies. */
  private static final int RUN = 250;

  private static final int BATCH = 128;
  private static final double LEARNING_RATE = 2e-3;
  private static final float DROPOUT = 0.4f;

  /** Training moves a picture by at most so many pixels each way. */
  private static final int SHIFT = 2;

  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;

  /** The weights in TensorFlow's order of axes. */
  private static final Map<String, Shape> SHAPES = new LinkedHashMap<>();

  static {
    SHAPES.put("conv1.weight", Shape.of(5, 5, 1, 32));
    SHAPES.put("conv1.bias", Shape.of(32));
    SHAPES.put("conv2.weight", Shape.of(3, 3, 32, 64));
    SHAPES.put("conv2.bias", Shape.of(64));
    SHAPES.put("conv3.weight", Shape.of(3, 3, 64, 128));
    SHAPES.put("conv3.bias", Shape.of(128));
    SHAPES.put("linear1.weight", Shape.of(3 * 3 * 128, FEATURES));
    SHAPES.put("linear1.bias", Shape.of(FEATURES));
    SHAPES.put("linear2.weight", Shape.of(FEATURES, CLASSES));
    SHAPES.put("linear2.bias", Shape.of(CLASSES));
  }

  private final Map<String, Weight> weights;
  private final Graph graph = new Graph();
  private final Session session;
  private final Operand<TFloat32> images;
  private final Operand<TFloat32> features;
  private final Operand<TFloat32> probabilities;

  private DigitClassifier(Map<String, Weight> weights) {
    this.weights = weights;
    Ops tf = Ops.create(graph);
    images = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, SIZE, SIZE, 1)));
    BiFunction<String, Shape, Operand<TFloat32>> constants =
        (name, shape) -> tf.constant(shape, DataBuffers.of(weights.get(name).values()));
    features = features(tf, constants, images);
    probabilities = tf.nn.softmax(linear(tf, constants, "linear2", features));
    session = new Session(graph);
  }

  /** The classifier that comes with the examples. */
  public static DigitClassifier load() throws IOException {
    URL resource = DigitClassifier.class.getResource(RESOURCE);
    if (resource == null) {
      throw new IOException("resource " + RESOURCE + " is missing: train one with TrainClassifier");
    }
    try {
      return load(Path.of(resource.toURI()));
    } catch (URISyntaxException e) {
      throw new IOException("not the address of a file: " + resource, e);
    }
  }

  /**
   * A classifier that was saved.
   *
   * @throws IOException if the file can't be read or is none; the message names the file and what
   *     is wrong
   */
  public static DigitClassifier load(Path file) throws IOException {
    Map<String, Weight> weights = SafeTensors.read(file);
    for (Map.Entry<String, Shape> entry : SHAPES.entrySet()) {
      Weight weight = weights.get(entry.getKey());
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
    SafeTensors.write(file, weights, DType.F16);
  }

  /**
   * Classifies pictures as an 8-bit file would show them.
   *
   * @param pictures 28x28, gray
   */
  public Classified classify(Images pictures) {
    checkArgument(
        pictures.height() == SIZE && pictures.width() == SIZE && pictures.channels() == 1,
        "the classifier knows 28x28x1 digits, got %s",
        pictures);
    int count = pictures.count();
    DMatrixRMaj allFeatures = new DMatrixRMaj(count, FEATURES);
    DMatrixRMaj allProbabilities = new DMatrixRMaj(count, CLASSES);
    for (int from = 0; from < count; from += RUN) {
      float[] pixels = pictures.slice(from, Math.min(count, from + RUN)).toArray();
      for (int i = 0; i < pixels.length; i++) {
        float shade = Math.max(0, Math.min(255, Math.round((pixels[i] + 1) * 127.5f)));
        pixels[i] = shade / 127.5f - 1;
      }
      try (TFloat32 x = tensor(pixels);
          Result result =
              session.runner().feed(images, x).fetch(features).fetch(probabilities).run()) {
        copy(result.get(0), allFeatures, from);
        copy(result.get(1), allProbabilities, from);
      }
    }
    return new Classified(allFeatures, allProbabilities);
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
   * @param progress told the share of the training done, in (0, 1], after each step
   */
  public static DigitClassifier train(
      Dataset data, int epochs, long seed, DoubleConsumer progress) {
    checkArgument(
        data.height() == SIZE
            && data.width() == SIZE
            && data.channels() == 1
            && data.classes() == CLASSES,
        "the classifier learns 28x28x1 digits of 10 classes, got %sx%sx%s of %s",
        data.height(),
        data.width(),
        data.channels(),
        data.classes());
    checkArgument(epochs >= 1, "epochs must be at least 1, got %s", epochs);
    try (Graph graph = new Graph()) {
      Training training = new Training(Ops.create(graph));
      try (Session session = new Session(graph)) {
        Random random = new Random(seed);
        training.initialize(session, random);
        long steps = Math.max(1, (long) epochs * data.size() / BATCH);
        for (long step = 0; step < steps; step++) {
          int[] indices = data.batch(step * BATCH, BATCH, seed);
          double rate = LEARNING_RATE * (1 + Math.cos(Math.PI * step / steps)) / 2;
          training.step(
              session,
              moved(data.images(indices).toArray(), random),
              data.labels(indices),
              seed,
              step,
              rate);
          progress.accept((step + 1.0) / steps);
        }
        return new DigitClassifier(training.weights(session));
      }
    }
  }

  private static Operand<TFloat32> features(
      Ops tf, BiFunction<String, Shape, Operand<TFloat32>> weights, Operand<TFloat32> x) {
    Operand<TFloat32> hidden = x;
    for (String layer : List.of("conv1", "conv2", "conv3")) {
      Operand<TFloat32> convolved =
          tf.nn.conv2d(
              hidden,
              weights.apply(layer + ".weight", SHAPES.get(layer + ".weight")),
              List.of(1L, 1L, 1L, 1L),
              "SAME");
      Operand<TFloat32> bias = weights.apply(layer + ".bias", SHAPES.get(layer + ".bias"));
      hidden =
          tf.nn.maxPool(
              tf.nn.relu(tf.nn.biasAdd(convolved, bias)),
              tf.constant(new int[] {1, 2, 2, 1}),
              tf.constant(new int[] {1, 2, 2, 1}),
              "VALID");
    }
    Operand<TFloat32> flat = tf.reshape(hidden, tf.constant(new int[] {-1, 3 * 3 * 128}));
    return tf.nn.relu(linear(tf, weights, "linear1", flat));
  }

  private static Operand<TFloat32> linear(
      Ops tf,
      BiFunction<String, Shape, Operand<TFloat32>> weights,
      String layer,
      Operand<TFloat32> x) {
    Operand<TFloat32> weight = weights.apply(layer + ".weight", SHAPES.get(layer + ".weight"));
    Operand<TFloat32> bias = weights.apply(layer + ".bias", SHAPES.get(layer + ".bias"));
    return tf.math.add(tf.linalg.matMul(x, weight), bias);
  }

  /** Each picture moved by a few pixels, black where nothing comes in. */
  private static float[] moved(float[] pixels, Random random) {
    float[] moved = new float[pixels.length];
    for (int image = 0; image < pixels.length; image += SIZE * SIZE) {
      int down = random.nextInt(2 * SHIFT + 1) - SHIFT;
      int right = random.nextInt(2 * SHIFT + 1) - SHIFT;
      for (int i = 0; i < SIZE * SIZE; i++) {
        int row = i / SIZE - down;
        int column = i % SIZE - right;
        boolean inside = row >= 0 && row < SIZE && column >= 0 && column < SIZE;
        moved[image + i] = inside ? pixels[image + row * SIZE + column] : -1;
      }
    }
    return moved;
  }

  private static TFloat32 tensor(float[] pixels) {
    return TFloat32.tensorOf(
        Shape.of(pixels.length / (SIZE * SIZE), SIZE, SIZE, 1), DataBuffers.of(pixels));
  }

  private static void copy(Tensor tensor, DMatrixRMaj to, int firstRow) {
    float[] values = new float[(int) tensor.size()];
    ((TFloat32) tensor).copyTo(DataBuffers.of(values));
    for (int i = 0; i < values.length; i++) {
      to.data[firstRow * to.numCols + i] = values[i];
    }
  }

  /** The graph of a training. */
  private static final class Training {
    private final Map<String, Variable<TFloat32>> variables = new LinkedHashMap<>();
    private final Map<String, Placeholder<TFloat32>> initial = new LinkedHashMap<>();
    private final List<Op> initializers = new ArrayList<>();
    private final Operand<TFloat32> images;
    private final Operand<TInt32> labels;
    private final Operand<TInt64> randomness;
    private final Operand<TFloat32> numbers;
    private final List<Op> updates = new ArrayList<>();

    Training(Ops tf) {
      SHAPES.forEach(
          (name, shape) -> {
            variables.put(name, tf.variable(shape, TFloat32.class));
            initial.put(name, tf.placeholder(TFloat32.class, Placeholder.shape(shape)));
            initializers.add(tf.assign(variables.get(name), initial.get(name)));
          });
      images = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, SIZE, SIZE, 1)));
      labels = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
      randomness = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
      numbers = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(3)));
      BiFunction<String, Shape, Operand<TFloat32>> weights = (name, shape) -> variables.get(name);
      Operand<TFloat32> features = features(tf, weights, images);
      Operand<TFloat32> draw = tf.random.statelessRandomUniform(tf.shape(features), randomness);
      Operand<TFloat32> mask =
          tf.math.mul(
              tf.dtypes.cast(tf.math.less(draw, tf.constant(1 - DROPOUT)), TFloat32.class),
              tf.constant(1 / (1 - DROPOUT)));
      Operand<TFloat32> logits = linear(tf, weights, "linear2", tf.math.mul(features, mask));
      Operand<TFloat32> oneHot =
          tf.oneHot(labels, tf.constant(CLASSES), tf.constant(1f), tf.constant(0f));
      Operand<TFloat32> loss =
          tf.math.mean(tf.nn.softmaxCrossEntropyWithLogits(logits, oneHot).loss(), tf.constant(0));
      Gradients gradients = tf.gradients(loss, variables.values());
      List<Operand<TFloat32>> all = new ArrayList<>();
      for (int i = 0; i < variables.size(); i++) {
        all.add(gradients.dy(i));
      }
      // Not before all gradients are there: they are computed from the variables in place.
      Ops after = tf.withControlDependencies(all.toArray(new Op[0]));
      List<Output<TFloat32>> number = tf.unstack(numbers, 3L).output();
      for (String name : SHAPES.keySet()) {
        Variable<TFloat32> first = tf.variable(SHAPES.get(name), TFloat32.class);
        Variable<TFloat32> second = tf.variable(SHAPES.get(name), TFloat32.class);
        Operand<TFloat32> zeros = tf.zeros(tf.constant(SHAPES.get(name)), TFloat32.class);
        initializers.add(tf.assign(first, zeros));
        initializers.add(tf.assign(second, zeros));
        updates.add(
            after.train.applyAdam(
                variables.get(name),
                first,
                second,
                number.get(1),
                number.get(2),
                number.get(0),
                tf.constant((float) BETA1),
                tf.constant((float) BETA2),
                tf.constant(1e-8f),
                all.get(updates.size())));
      }
    }

    /** Uniform in ±√(6/inputs), biases 0 (He et al. 2015, "Delving Deep into Rectifiers"). */
    void initialize(Session session, Random random) {
      List<TFloat32> tensors = new ArrayList<>();
      Session.Runner runner = session.runner();
      for (Map.Entry<String, Shape> entry : SHAPES.entrySet()) {
        Shape shape = entry.getValue();
        float[] values = new float[(int) shape.size()];
        if (shape.numDimensions() > 1) {
          double inputs = (double) shape.size() / shape.get(shape.numDimensions() - 1);
          for (int i = 0; i < values.length; i++) {
            values[i] = (float) ((2 * random.nextDouble() - 1) * Math.sqrt(6 / inputs));
          }
        }
        tensors.add(TFloat32.tensorOf(shape, DataBuffers.of(values)));
        runner.feed(initial.get(entry.getKey()), tensors.get(tensors.size() - 1));
      }
      initializers.forEach(runner::addTarget);
      try (Result none = runner.run()) {
        assert none.size() == 0;
      } finally {
        tensors.forEach(Tensor::close);
      }
    }

    void step(Session session, float[] pixels, int[] classes, long seed, long step, double rate) {
      try (TFloat32 x = tensor(pixels);
          TInt32 y = TInt32.vectorOf(classes);
          TInt64 draws = TInt64.vectorOf(seed, step);
          TFloat32 fed =
              TFloat32.vectorOf(
                  (float) rate,
                  (float) Math.pow(BETA1, step + 1.0),
                  (float) Math.pow(BETA2, step + 1.0))) {
        Session.Runner runner =
            session
                .runner()
                .feed(images, x)
                .feed(labels, y)
                .feed(randomness, draws)
                .feed(numbers, fed);
        updates.forEach(runner::addTarget);
        try (Result none = runner.run()) {
          assert none.size() == 0;
        }
      }
    }

    Map<String, Weight> weights(Session session) {
      Map<String, Weight> weights = new LinkedHashMap<>();
      variables.forEach(
          (name, variable) -> {
            try (Result result = session.runner().fetch(variable).run()) {
              float[] values = new float[(int) SHAPES.get(name).size()];
              ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
              weights.put(name, new Weight(SHAPES.get(name), FloatBuffer.wrap(values)));
            }
          });
      return weights;
    }
  }
}

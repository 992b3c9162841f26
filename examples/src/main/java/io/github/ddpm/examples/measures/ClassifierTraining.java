package io.github.ddpm.examples.measures;

import static com.google.common.base.Preconditions.checkArgument;
import static io.github.ddpm.examples.measures.ClassifierNetwork.CLASSES;
import static io.github.ddpm.examples.measures.ClassifierNetwork.SHAPES;
import static io.github.ddpm.examples.measures.ClassifierNetwork.SIZE;

import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleConsumer;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.FloatNdArray;
import org.tensorflow.ndarray.NdArrays;
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
 * The training of a digit classifier by Adam (Kingma and Ba 2015) with dropout, on pictures moved
 * at random.
 */
final class ClassifierTraining {
  private static final int BATCH = 128;
  private static final double LEARNING_RATE = 2e-3;
  private static final float DROPOUT = 0.4f;

  /** A picture is moved by at most so many pixels each way. */
  private static final int SHIFT = 2;

  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.999;

  private final Map<String, Variable<TFloat32>> variables = new LinkedHashMap<>();
  private final Map<String, Placeholder<TFloat32>> initial = new LinkedHashMap<>();
  private final List<Op> initializers = new ArrayList<>();
  private final Operand<TFloat32> images;
  private final Operand<TInt32> labels;
  private final Operand<TInt64> randomness;

  /** The learning rate, and both β to the power of the step. */
  private final Operand<TFloat32> scalars;

  private final List<Op> updates;

  private ClassifierTraining(Ops tf) {
    SHAPES.forEach(
        (name, shape) -> {
          variables.put(name, tf.variable(shape, TFloat32.class));
          initial.put(name, tf.placeholder(TFloat32.class, Placeholder.shape(shape)));
          initializers.add(tf.assign(variables.get(name), initial.get(name)));
        });
    images = ClassifierNetwork.images(tf);
    labels = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    randomness = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
    scalars = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(3)));
    Operand<TFloat32> features = ClassifierNetwork.features(tf, variables::get, images);
    Operand<TFloat32> logits =
        ClassifierNetwork.logits(tf, variables::get, tf.math.mul(features, mask(tf, features)));
    Operand<TFloat32> oneHot =
        tf.oneHot(labels, tf.constant(CLASSES), tf.constant(1f), tf.constant(0f));
    Operand<TFloat32> loss =
        tf.math.mean(tf.nn.softmaxCrossEntropyWithLogits(logits, oneHot).loss(), tf.constant(0));
    updates = adam(tf, tf.gradients(loss, variables.values()));
  }

  /**
   * Trains a classifier.
   *
   * @param data 28x28 gray digits
   * @param epochs how often to go through the data, at least 1
   * @param seed of all randomness
   * @param progress is told the share of the training done, in (0, 1], after each step
   * @return the weights, by the names of {@link ClassifierNetwork#SHAPES}
   */
  static Map<String, FloatNdArray> train(
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
    try (Graph graph = TensorFlowRuntime.graph()) {
      ClassifierTraining training = new ClassifierTraining(TensorFlowRuntime.ops(graph));
      try (Session session = TensorFlowRuntime.session(graph)) {
        Random random = new Random(seed);
        training.initialize(session, random);
        long steps = Math.max(1, (long) epochs * data.size() / BATCH);
        for (long step = 0; step < steps; step++) {
          int[] indices = data.batch(step * BATCH, BATCH, seed);
          double rate = LEARNING_RATE * (1 + Math.cos(Math.PI * step / steps)) / 2;
          training.step(
              session,
              moved(data.floats(indices).array(), random),
              data.labels(indices),
              seed,
              step,
              rate);
          progress.accept((step + 1.0) / steps);
        }
        return training.weights(session);
      }
    }
  }

  /** Draws what dropout multiplies with: 0, or what makes up for the zeros. */
  private Operand<TFloat32> mask(Ops tf, Operand<TFloat32> features) {
    Operand<TFloat32> draw = tf.random.statelessRandomUniform(tf.shape(features), randomness);
    return tf.math.mul(
        tf.dtypes.cast(tf.math.less(draw, tf.constant(1 - DROPOUT)), TFloat32.class),
        tf.constant(1 / (1 - DROPOUT)));
  }

  private List<Op> adam(Ops tf, Gradients gradients) {
    List<Operand<TFloat32>> all = new ArrayList<>();
    for (int i = 0; i < variables.size(); i++) {
      all.add(gradients.dy(i));
    }
    // Not before all gradients are there: they are computed from the variables in place.
    Ops after = tf.withControlDependencies(all.toArray(new Op[0]));
    List<Output<TFloat32>> scalar = tf.unstack(scalars, 3L).output();
    List<Op> steps = new ArrayList<>();
    for (String name : SHAPES.keySet()) {
      Variable<TFloat32> first = tf.variable(SHAPES.get(name), TFloat32.class);
      Variable<TFloat32> second = tf.variable(SHAPES.get(name), TFloat32.class);
      Operand<TFloat32> zeros = tf.zeros(tf.constant(SHAPES.get(name)), TFloat32.class);
      initializers.add(tf.assign(first, zeros));
      initializers.add(tf.assign(second, zeros));
      steps.add(
          after.train.applyAdam(
              variables.get(name),
              first,
              second,
              scalar.get(1),
              scalar.get(2),
              scalar.get(0),
              tf.constant((float) BETA1),
              tf.constant((float) BETA2),
              tf.constant(1e-8f),
              all.get(steps.size())));
    }
    return steps;
  }

  /**
   * Starts with weights uniform in ±√(6/inputs) and biases 0 (He et al. 2015, "Delving Deep into
   * Rectifiers").
   */
  private void initialize(Session session, Random random) {
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

  private void step(
      Session session, float[] pixels, int[] classes, long seed, long step, double rate) {
    try (TFloat32 x = ClassifierNetwork.tensor(pixels);
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
              .feed(scalars, fed);
      updates.forEach(runner::addTarget);
      try (Result none = runner.run()) {
        assert none.size() == 0;
      }
    }
  }

  private Map<String, FloatNdArray> weights(Session session) {
    Map<String, FloatNdArray> weights = new LinkedHashMap<>();
    variables.forEach(
        (name, variable) -> {
          try (Result result = session.runner().fetch(variable).run()) {
            float[] values = new float[(int) SHAPES.get(name).size()];
            ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
            weights.put(name, NdArrays.wrap(SHAPES.get(name), DataBuffers.of(values)));
          }
        });
    return weights;
  }

  /** Returns each picture moved by a few pixels, black where nothing comes in. */
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
}

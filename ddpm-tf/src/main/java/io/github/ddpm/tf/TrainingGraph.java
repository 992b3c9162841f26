package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * The graph of training: noise, the network, the loss, its gradient and a step of the optimizer (Ho
 * et al. 2020, algorithm 1). All randomness is a function of the seed and the number of attempts at
 * a step.
 *
 * <p>Whoever makes one closes it.
 */
final class TrainingGraph implements AutoCloseable {
  private final ModelConfig model;
  private final TrainingOptions options;
  private final WeightLayout layout;
  private final Graph graph;
  private final Session session;

  private TrainingVectors vectors;
  private AdamW adam;
  private Operand<TFloat32> images;
  private Operand<TInt32> labels;
  private Operand<TInt64> randomness;
  private Operand<TFloat32> loss;
  private Operand<TFloat32> norm;
  private Op update;
  private Optional<Accumulation> accumulation = Optional.empty();

  /**
   * The nodes of a step in parts: each but the last leaves its share of the gradient in a sum.
   *
   * @param share of the batch that a part is, to be fed
   * @param part its share of the gradient
   * @param first the operation that sets the sum to a part's gradient
   * @param more the operation that adds a part's gradient
   * @param norm of the whole gradient
   * @param last the operation that takes the step
   */
  private record Accumulation(
      Operand<TFloat32> share,
      Operand<TFloat32> part,
      Op first,
      Op more,
      Operand<TFloat32> norm,
      Op last) {}

  /** Returns the position of the first value of a batch that is not finite; -1 if all are. */
  static int firstNotFinite(FloatBuffer batch) {
    for (int i = 0; i < batch.limit(); i++) {
      if (!Float.isFinite(batch.get(i))) {
        return i;
      }
    }
    return -1;
  }

  /** What came out of a step. */
  record Outcome(double loss, double norm) {
    /** Tells whether the step was taken; if not, nothing has changed. */
    boolean isFinite() {
      return Double.isFinite(loss) && Double.isFinite(norm);
    }
  }

  /**
   * Builds the graph, with a teacher's weights in it; its vectors are still to be set.
   *
   * @throws IOException if weights can't be read
   * @throws IllegalArgumentException if these don't fit together
   */
  TrainingGraph(
      ModelConfig model, TrainingOptions options, Optional<Teacher> teacher, WeightLayout layout)
      throws IOException {
    UNetConfig.Labels labelsOfNetwork = model.network().labels();
    checkArgument(
        options.labelDropout() == 0
            || labelsOfNetwork.nullLabel()
            || labelsOfNetwork.embeddings() == 0,
        "label dropout needs a network with a null label, got dropout %s",
        options.labelDropout());
    checkArgument(
        options.minSnrGamma() == 0 || !model.info().schedule().isZeroTerminalSnr(),
        "min-SNR weighting never trains the last timestep of a schedule with zero terminal SNR: gamma must be 0, got %s",
        options.minSnrGamma());
    checkArgument(
        options.minSnrGamma() == 0 || teacher.map(Teacher::steps).orElse(List.of()).isEmpty(),
        "progressive distillation has a weighting of its own: min-SNR gamma must be 0, got %s",
        options.minSnrGamma());
    options.checkHasReplicas();
    this.model = model;
    this.options = options;
    this.layout = layout;
    this.graph = TensorFlowRuntime.graph();
    Session opened = null;
    boolean started = false;
    try {
      build(TensorFlowRuntime.ops(graph), teacher);
      opened = TensorFlowRuntime.session(graph);
      started = true;
    } catch (UncheckedIOException e) {
      throw e.getCause();
    } finally {
      if (!started) {
        if (opened != null) {
          opened.close();
        }
        graph.close();
      }
    }
    this.session = opened;
  }

  private void build(Ops tf, Optional<Teacher> teacher) throws IOException {
    ModelInfo info = model.info();
    vectors = new TrainingVectors(tf, layout);
    adam = new AdamW(tf, vectors);
    images =
        tf.placeholder(
            TFloat32.class,
            Placeholder.shape(Shape.of(-1, info.height(), info.width(), info.channels())));
    labels = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    randomness = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
    loss =
        new TrainingLoss(tf, model, options, randomness)
            .of(images, labels, vectors::weight, teacher);
    Operand<TFloat32> gradient = vectors.gradient(loss);
    norm = AdamW.norm(tf, gradient, layout.size());
    double maxNorm = options.optimizer().maxGradientNorm();
    update =
        options.localSteps() > 0
            ? adam.stepWithoutAverage(loss, gradient, norm, maxNorm)
            : adam.step(loss, gradient, norm, maxNorm);
    if (options.microBatch() > 0 && options.localSteps() == 0) {
      accumulation = Optional.of(accumulation(tf, gradient));
    }
  }

  private Accumulation accumulation(Ops tf, Operand<TFloat32> gradient) {
    Variable<TFloat32> sum = vectors.another();
    Placeholder<TFloat32> share = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.scalar()));
    Operand<TFloat32> part = tf.math.mul(gradient, share);
    Operand<TFloat32> whole = tf.math.add(sum, part);
    Operand<TFloat32> wholeNorm = AdamW.norm(tf, whole, layout.size());
    return new Accumulation(
        share,
        part,
        tf.assign(sum, part),
        tf.assignAdd(sum, part),
        wholeNorm,
        adam.step(loss, whole, wholeNorm, options.optimizer().maxGradientNorm()));
  }

  /** Sets all vectors. */
  void set(TrainingVectors.Values values) throws IOException {
    for (Vector vector : Vector.values()) {
      vectors.set(session, vector, values.of(vector));
    }
  }

  /** Sets a vector to numbers of float32, the lower bytes first. */
  void set(Vector vector, ByteBuffer values) {
    vectors.set(session, vector, values);
  }

  /** Returns a vector as {@link #set(Vector, ByteBuffer)} takes it. */
  ByteBuffer bytes(Vector vector) {
    return vectors.bytes(session, vector);
  }

  ModelInfo info() {
    return model.info();
  }

  /** Refuses images and labels that the network is not for. */
  void check(Images batch, int... classes) {
    ModelInfo info = model.info();
    checkArgument(
        batch.count() > 0
            && batch.height() == info.height()
            && batch.width() == info.width()
            && batch.channels() == info.channels(),
        "a batch needs at least 1 image of %sx%sx%s, got %s",
        info.height(),
        info.width(),
        info.channels(),
        batch);
    int wanted = info.classes() == 0 ? 0 : batch.count();
    checkArgument(
        classes.length == wanted,
        "a network with %s classes needs %s labels for %s images, got %s",
        info.classes(),
        wanted,
        batch.count(),
        classes.length);
    for (int label : classes) {
      checkArgument(
          label >= 0 && label < info.classes(),
          "labels must be in [0, %s], got %s",
          info.classes() - 1,
          label);
    }
  }

  /** Returns how the weights lie in the vectors. */
  WeightLayout layout() {
    return layout;
  }

  float[] get(Vector vector) {
    return vectors.get(session, vector);
  }

  /**
   * Takes a step, in parts if there are more images than may go through the network together.
   *
   * @param batch images [n, height, width, channels], from position to limit
   * @param classes the label of each; none for a network without labels
   * @param step steps taken before
   * @param skipped steps not taken before, because their outcome was not finite
   * @param totalSteps steps in all; 0 while not known
   * @param beforePart is called before each part; if it throws, nothing has changed
   */
  Outcome step(
      FloatBuffer batch,
      int[] classes,
      long step,
      long skipped,
      long totalSteps,
      Runnable beforePart) {
    int imageSize = model.info().imageSize();
    List<Part> parts = Part.of(batch.remaining() / imageSize, options.microBatch());
    if (parts.size() == 1) {
      beforePart.run();
      return step(batch, classes, step, step + skipped, totalSteps);
    }
    Accumulation accumulated = accumulation.orElseThrow();
    double sum = 0;
    double length = Double.NaN;
    for (Part part : parts) {
      beforePart.run();
      try (TFloat32 share = TFloat32.scalarOf((float) part.share());
          TFloat32 scalars = scalars(step, totalSteps, sum);
          Result result =
              run(
                  of(batch, part),
                  of(classes, part),
                  part.draws(step + skipped),
                  runner -> add(runner.feed(accumulated.share(), share), part, scalars))) {
        sum += part.share() * scalar(result, 0);
        length = part.isLast() ? scalar(result, 1) : length;
      }
    }
    return new Outcome(sum, length);
  }

  /**
   * Takes a step with all images at once.
   *
   * @param draws number that the randomness is a function of, with the seed
   */
  Outcome step(FloatBuffer batch, int[] classes, long step, long draws, long totalSteps) {
    try (TFloat32 scalars = scalars(step, totalSteps, 0);
        Result result =
            run(
                batch,
                classes,
                draws,
                runner -> runner.feed(adam.scalars(), scalars).fetch(norm).addTarget(update))) {
      return new Outcome(scalar(result, 0), scalar(result, 1));
    }
  }

  /**
   * Computes the gradient of a part, of options with parts.
   *
   * @param images of the part, and their labels
   */
  PartGradient gradient(FloatBuffer images, int[] classes, Part part, long attempt) {
    Accumulation accumulated = accumulation.orElseThrow();
    try (TFloat32 share = TFloat32.scalarOf((float) part.share());
        Result result =
            run(
                images,
                classes,
                part.draws(attempt),
                runner -> runner.feed(accumulated.share(), share).fetch(accumulated.part()))) {
      return new PartGradient(scalar(result, 0), TrainingVectors.bytes((TFloat32) result.get(1)));
    }
  }

  /**
   * Takes a step with gradients that were computed elsewhere.
   *
   * @param gradients of all parts, in their order
   * @param step steps taken before
   * @param totalSteps steps in all; 0 while not known
   */
  Outcome step(List<PartGradient> gradients, long step, long totalSteps) {
    List<Part> parts = options.parts();
    checkArgument(
        gradients.size() == parts.size(),
        "there must be a gradient for each of %s parts, got %s",
        parts.size(),
        gradients.size());
    for (PartGradient each : gradients) {
      checkArgument(
          each.gradient().remaining() == (long) Float.BYTES * layout.size(),
          "a gradient must have %s numbers of 4 bytes, got %s bytes",
          layout.size(),
          each.gradient().remaining());
    }
    Accumulation accumulated = accumulation.orElseThrow();
    double sum = 0;
    double length = Double.NaN;
    for (Part part : parts) {
      PartGradient given = gradients.get(part.number());
      try (TFloat32 gradient = vectors.tensor(given.gradient());
          TFloat32 lossOfPart = TFloat32.scalarOf((float) given.loss());
          TFloat32 scalars = scalars(step, totalSteps, sum);
          Result result =
              add(
                      session.runner().feed(accumulated.part(), gradient).feed(loss, lossOfPart),
                      part,
                      scalars)
                  .run()) {
        sum += part.share() * given.loss();
        length = part.isLast() ? scalar(result, 0) : length;
      }
    }
    return new Outcome(sum, length);
  }

  /** Has a run add a part's gradient to those before it; with the last, take the step. */
  private Session.Runner add(Session.Runner runner, Part part, TFloat32 scalars) {
    Accumulation accumulated = accumulation.orElseThrow();
    if (part.isLast()) {
      return runner
          .feed(adam.scalars(), scalars)
          .fetch(accumulated.norm())
          .addTarget(accumulated.last());
    }
    return runner.addTarget(part.number() == 0 ? accumulated.first() : accumulated.more());
  }

  private FloatBuffer of(FloatBuffer batch, Part part) {
    int imageSize = model.info().imageSize();
    return batch.slice(batch.position() + part.from() * imageSize, part.size() * imageSize);
  }

  private static int[] of(int[] classes, Part part) {
    return classes.length == 0 ? classes : Arrays.copyOfRange(classes, part.from(), part.to());
  }

  private static double scalar(Result result, int index) {
    return ((TFloat32) result.get(index)).getFloat();
  }

  private TFloat32 scalars(long step, long totalSteps, double lossBefore) {
    return AdamW.scalars(
        step,
        options.optimizer().learningRate(step, totalSteps),
        options.optimizer().weightDecay(),
        options.ema().decay(step),
        lossBefore);
  }

  /**
   * Runs the network and whatever else is asked for.
   *
   * @param draws number that the randomness is a function of, with the seed
   * @param more feeds and fetches; the first result is the loss
   */
  private Result run(
      FloatBuffer part, int[] classes, long draws, UnaryOperator<Session.Runner> more) {
    ModelInfo info = model.info();
    Shape shape =
        Shape.of(part.remaining() / info.imageSize(), info.height(), info.width(), info.channels());
    try (TFloat32 x0 = TFloat32.tensorOf(shape, DataBuffers.of(part));
        TInt32 labelTensor = TInt32.vectorOf(classes);
        TInt64 seed = TInt64.vectorOf(options.seed(), draws)) {
      Session.Runner runner = session.runner().feed(images, x0).feed(randomness, seed).fetch(loss);
      if (info.classes() > 0) {
        runner.feed(labels, labelTensor);
      }
      return more.apply(runner).run();
    }
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }
}

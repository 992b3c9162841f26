package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.Lists;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.graph.FrozenWeights;
import io.github.ddpm.tf.graph.SideBySide;
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
import org.tensorflow.Tensor;
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
  /** Numbers of gradients that wait to be added up at most, unless it is one: a gigabyte. */
  private static final long MOST_NUMBERS = 1 << 28;

  /** A part of fewer images, of a batch of more, would cost more than it gives. */
  private static final int LEAST_IN_PART = 8;

  private final ModelConfig model;
  private final TrainingOptions options;
  private final WeightLayout layout;
  private final Graph graph;

  /** Those of the teacher. */
  private final FrozenWeights frozen;

  private final Session session;

  private TrainingVectors vectors;
  private AdamW adam;
  private Operand<TFloat32> images;
  private Operand<TInt32> labels;
  private Operand<TInt64> randomness;
  private Operand<TFloat32> loss;

  /** The factor of a {@link LossScale}, to be fed; there where it is needed. */
  private Optional<Placeholder<TFloat32>> lossScale = Optional.empty();

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
    Ops tf = TensorFlowRuntime.ops(graph);
    this.frozen = new FrozenWeights(tf, TensorFlowRuntime.hasKernels(), Long.MAX_VALUE);
    Session opened = null;
    boolean started = false;
    try {
      build(tf, teacher);
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
        frozen.close();
      }
    }
    this.session = opened;
  }

  private void build(Ops tf, Optional<Teacher> teacher) throws IOException {
    ModelInfo info = model.info();
    vectors = new TrainingVectors(tf, layout);
    adam = new AdamW(tf, vectors, options.optimizer().method());
    images =
        tf.placeholder(
            TFloat32.class,
            Placeholder.shape(Shape.of(-1, info.height(), info.width(), info.channels())));
    labels = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    randomness = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(5)));
    loss =
        new TrainingLoss(tf, model, options, randomness)
            .of(images, labels, vectors::weight, teacher, frozen);
    if (options.scalesLoss()) {
      lossScale = Optional.of(tf.placeholder(TFloat32.class, Placeholder.shape(Shape.scalar())));
    }
    Operand<TFloat32> gradient =
        lossScale
            .<Operand<TFloat32>>map(
                scale -> tf.math.div(vectors.gradient(tf.math.mul(loss, scale)), scale))
            .orElseGet(() -> vectors.gradient(loss));
    norm = AdamW.norm(tf, gradient, layout.size());
    double maxNorm = options.optimizer().maxGradientNorm();
    update =
        options.localSteps() > 0
            ? adam.stepWithoutAverage(loss, gradient, norm, maxNorm)
            : adam.step(loss, gradient, norm, maxNorm);
    if (options.localSteps() == 0) {
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
   * Takes a step, in parts if there are more images than go through the network together. Where
   * options don't bound the parts, as many are computed at the same time as there are cores.
   *
   * @param batch images [n, height, width, channels], from position to limit
   * @param classes the label of each; none for a network without labels
   * @param step steps taken before
   * @param skipped steps not taken before, because their outcome was not finite
   * @param totalSteps steps in all; 0 while not known
   * @param factor of the {@link LossScale}
   * @param beforePart is called before each part, or before those that are computed at the same
   *     time; if it throws, nothing has changed
   */
  Outcome step(
      FloatBuffer batch,
      int[] classes,
      long step,
      long skipped,
      long totalSteps,
      int factor,
      Runnable beforePart) {
    int count = batch.remaining() / model.info().imageSize();
    List<Part> parts = Part.of(count, partSize());
    if (parts.size() == 1) {
      beforePart.run();
      return step(batch, classes, step, step + skipped, totalSteps, factor);
    }
    Sum sum = new Sum(step, totalSteps);
    for (List<Part> together : Lists.partition(parts, partsAtOnce())) {
      beforePart.run();
      if (together.size() == 1) {
        Part part = together.get(0);
        sum.add(part, of(batch, part), of(classes, part), step + skipped, factor);
      } else {
        sum.add(
            together,
            SideBySide.map(
                together,
                part -> run(of(batch, part), of(classes, part), part, step + skipped, factor),
                Result::close));
      }
    }
    return sum.outcome();
  }

  /** Returns how many images of a batch are computed together at most; 0 for all. */
  private int partSize() {
    if (options.microBatch() > 0 || TensorFlowRuntime.runsAtOnce() == 1) {
      return options.microBatch();
    }
    ModelInfo info = model.info();
    return Math.max(LEAST_IN_PART, TensorFlowRuntime.imagesPerRun(info.height(), info.width()));
  }

  /** Returns how many gradients may be computed, and be in memory, at the same time. */
  private int partsAtOnce() {
    if (options.microBatch() > 0) {
      return 1;
    }
    return (int)
        Math.max(1, Math.min(TensorFlowRuntime.runsAtOnce(), MOST_NUMBERS / layout.size()));
  }

  /**
   * Takes a step with all images at once.
   *
   * @param attempt number that the randomness is a function of, with the seed
   * @param factor of the {@link LossScale}
   */
  Outcome step(
      FloatBuffer batch, int[] classes, long step, long attempt, long totalSteps, int factor) {
    try (TFloat32 scalars = scalars(step, totalSteps, 0);
        Result result =
            run(
                batch,
                classes,
                whole(batch),
                attempt,
                factor,
                runner -> runner.feed(adam.scalars(), scalars).fetch(norm).addTarget(update))) {
      return new Outcome(scalar(result, 0), scalar(result, 1));
    }
  }

  /**
   * Computes the gradient of a part.
   *
   * @param images of the part, and their labels
   * @param factor of the {@link LossScale}
   */
  PartGradient gradient(FloatBuffer images, int[] classes, Part part, long attempt, int factor) {
    try (Result result = run(images, classes, part, attempt, factor)) {
      return new PartGradient(scalar(result, 0), TrainingVectors.bytes((TFloat32) result.get(1)));
    }
  }

  /** Computes the loss of a part and its share of the gradient. */
  private Result run(FloatBuffer images, int[] classes, Part part, long attempt, int factor) {
    Accumulation accumulated = accumulation.orElseThrow();
    try (TFloat32 share = TFloat32.scalarOf((float) part.share())) {
      return run(
          images,
          classes,
          part,
          attempt,
          factor,
          runner -> runner.feed(accumulated.share(), share).fetch(accumulated.part()));
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
    Sum sum = new Sum(step, totalSteps);
    for (Part part : parts) {
      PartGradient given = gradients.get(part.number());
      try (TFloat32 gradient = vectors.tensor(given.gradient())) {
        sum.add(part, gradient, given.loss());
      }
    }
    return sum.outcome();
  }

  /** The gradients of a batch's parts so far; with the last, the step is taken. */
  private final class Sum {
    private final Accumulation accumulated = accumulation.orElseThrow();
    private final long step;
    private final long totalSteps;

    private double lossSoFar;
    private double length = Double.NaN;

    Sum(long step, long totalSteps) {
      this.step = step;
      this.totalSteps = totalSteps;
    }

    /**
     * Adds parts whose losses and gradients are computed, in the order of parts, and closes these.
     */
    void add(List<Part> parts, List<Result> gradients) {
      try {
        for (int i = 0; i < parts.size(); i++) {
          Result gradient = gradients.get(i);
          add(parts.get(i), gradient.get(1), scalar(gradient, 0));
        }
      } finally {
        gradients.forEach(Result::close);
      }
    }

    /** Adds a part, in the order of parts. */
    void add(Part part, Tensor gradient, double lossOfPart) {
      try (TFloat32 partLoss = TFloat32.scalarOf((float) lossOfPart);
          TFloat32 scalars = scalars(step, totalSteps, lossSoFar);
          Result result =
              TensorFlowRuntime.run(
                  to(
                      session.runner().feed(accumulated.part(), gradient).feed(loss, partLoss),
                      part,
                      scalars))) {
        added(part, lossOfPart, result, 0);
      }
    }

    /** Computes a part and adds it in one run, in the order of parts. */
    void add(Part part, FloatBuffer images, int[] classes, long attempt, int factor) {
      try (TFloat32 share = TFloat32.scalarOf((float) part.share());
          TFloat32 scalars = scalars(step, totalSteps, lossSoFar);
          Result result =
              run(
                  images,
                  classes,
                  part,
                  attempt,
                  factor,
                  runner -> to(runner.feed(accumulated.share(), share), part, scalars))) {
        added(part, scalar(result, 0), result, 1);
      }
    }

    /** Has a run add a part's gradient to those before it; with the last, take the step. */
    private Session.Runner to(Session.Runner runner, Part part, TFloat32 scalars) {
      if (part.isLast()) {
        return runner
            .feed(adam.scalars(), scalars)
            .fetch(accumulated.norm())
            .addTarget(accumulated.last());
      }
      return runner.addTarget(part.number() == 0 ? accumulated.first() : accumulated.more());
    }

    private void added(Part part, double lossOfPart, Result result, int index) {
      lossSoFar += part.share() * lossOfPart;
      length = part.isLast() ? scalar(result, index) : length;
    }

    Outcome outcome() {
      return new Outcome(lossSoFar, length);
    }
  }

  private Part whole(FloatBuffer batch) {
    int count = batch.remaining() / model.info().imageSize();
    return new Part(0, 0, count, count);
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
   * @param values of the part's images, and their labels
   * @param attempt number that the randomness is a function of, with the seed and the part
   * @param factor of the {@link LossScale}
   * @param more feeds and fetches; the first result is the loss
   */
  private Result run(
      FloatBuffer values,
      int[] classes,
      Part part,
      long attempt,
      int factor,
      UnaryOperator<Session.Runner> more) {
    ModelInfo info = model.info();
    Shape shape = Shape.of(part.size(), info.height(), info.width(), info.channels());
    try (TFloat32 x0 = TFloat32.tensorOf(shape, DataBuffers.of(values));
        TInt32 labelTensor = TInt32.vectorOf(classes);
        TFloat32 scale = TFloat32.scalarOf(factor);
        TInt64 seed =
            TInt64.vectorOf(options.seed(), attempt, part.draws(attempt), part.from(), part.of())) {
      Session.Runner runner = session.runner().feed(images, x0).feed(randomness, seed).fetch(loss);
      if (info.classes() > 0) {
        runner.feed(labels, labelTensor);
      }
      lossScale.ifPresent(placeholder -> runner.feed(placeholder, scale));
      return TensorFlowRuntime.run(more.apply(runner));
    }
  }

  @Override
  public void close() {
    session.close();
    graph.close();
    frozen.close();
  }
}

package io.github.ddpm.tf.sampling;

import io.github.ddpm.Precision;
import io.github.ddpm.Step;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.FrozenWeights;
import io.github.ddpm.tf.graph.SchedulerOps;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A graph of which one run is one row of a sampler's table: the network, and what {@link
 * SchedulerOps} makes of its answer.
 *
 * <p>Guidance is the same run with each image twice: the graph gives the network k copies of x, one
 * per set of labels, and adds up the k outputs with a weight each. Without guidance k is 1.
 *
 * <p>Any number of threads may run it; whoever makes one closes it, when nobody runs it.
 */
final class SamplingGraph implements AutoCloseable {
  private static final String X = "x";
  private static final String CONDITION = "condition";

  /** Names x with the condition after it, where the network takes one. */
  private static final String INPUT = "input";

  private static final String TIMESTEP = "timestep";
  private static final String LABELS = "labels";
  private static final String COPY_WEIGHTS = "copy_weights";
  private static final String OUT = "out";
  private static final String ROW = "row";
  private static final String CLIP = "clip";

  /** What one, two and three rows ago kept. */
  private static final List<String> KEPT = List.of("previous", "older", "oldest");

  /** Results of rows that a row may need. */
  static final int MOST_KEPT = KEPT.size();

  private static final String Z = "z";
  private static final String X0 = "x0";
  private static final String NEXT = "next";
  private static final String KEEPS = "keeps";

  /**
   * Ends the names of the last three where guidance is rescaled, estimates have a threshold or a
   * variance was learned.
   */
  private static final String NOT_LINEAR = "_not_linear";

  private static final String RESCALE = "rescale";
  private static final String THRESHOLD_RATIO = "threshold_ratio";
  private static final String VARIANCE = "variance";
  private static final String VARIANCE_RANGE = "variance_range";

  private final UNetConfig config;

  private final Graph graph;
  private final FrozenWeights frozen;
  private final Session session;

  /**
   * Is held during a run of TensorFlow's own convolutions: those of several samplers take turns,
   * row by row. TensorFlow 2.18's convolution that adds a residual keeps state in itself, so that
   * two runs of it at once would crash the process.
   */
  private final Lock running = new ReentrantLock(true);

  private final boolean takesTurns = !TensorFlowRuntime.hasKernels();

  /**
   * Builds the graph and fills it.
   *
   * @param weights exactly those that the network has
   * @throws IOException if they are not, or can't be read
   */
  SamplingGraph(UNetConfig config, WeightSource weights, Precision precision) throws IOException {
    this(config, weights, precision, FrozenWeights::new);
  }

  SamplingGraph(
      UNetConfig config,
      WeightSource weights,
      Precision precision,
      Function<Ops, FrozenWeights> frozen)
      throws IOException {
    this.config = config;
    this.graph = TensorFlowRuntime.graph();
    Ops tf = TensorFlowRuntime.ops(graph);
    this.frozen = frozen.apply(tf);
    boolean built = false;
    try {
      build(tf, weights, precision);
      weights.checkNothingLeft();
      this.session = TensorFlowRuntime.session(graph);
      built = true;
    } catch (UncheckedIOException e) {
      throw e.getCause();
    } finally {
      if (!built) {
        closeGraph();
      }
    }
  }

  private void build(Ops tf, WeightSource weights, Precision precision) {
    UNetConfig.Picture picture = config.picture();
    Shape imageShape = shape(picture, picture.channels());
    Operand<TFloat32> x = placeholder(tf, X, imageShape);
    Operand<TFloat32> timestep = placeholder(tf, TIMESTEP, Shape.of(1));
    Operand<TFloat32> copyWeights = placeholder(tf, COPY_WEIGHTS, Shape.of(-1));
    Optional<Operand<TInt32>> labels =
        config.labels().embeddings() == 0
            ? Optional.empty()
            : Optional.of(
                tf.withName(LABELS)
                    .placeholder(TInt32.class, Placeholder.shape(Shape.of(Shape.UNKNOWN_SIZE))));

    Operand<TInt32> copies = tf.reshape(tf.size(copyWeights), tf.constant(new int[] {1}));
    Operand<TFloat32> input = takesCondition() ? conditioned(tf, x) : x;
    Operand<TFloat32> copied =
        tf.reshape(
            tf.tile(
                input,
                tf.concat(List.of(copies, tf.constant(new int[] {1, 1, 1})), tf.constant(0))),
            tf.constant(shape(picture, picture.inChannels())));
    UNet network =
        new UNet(
            tf,
            config,
            (name, shape) -> frozen.add(name, shape, weights.getUnchecked(name, shape).values()));
    Operand<TFloat32> outputs = network.outputs(precision, copied, timestep, labels);
    Operand<TFloat32> outs = network.prediction(outputs);
    // [k·n, h, w, c] as k long vectors, of which the weighted sum is a product with a row vector.
    Operand<TFloat32> perCopy =
        tf.reshape(outs, tf.concat(List.of(copies, tf.constant(new int[] {-1})), tf.constant(0)));
    Operand<TFloat32> sum = tf.linalg.matMul(tf.expandDims(copyWeights, tf.constant(0)), perCopy);
    Operand<TFloat32> out = tf.withName(OUT).reshape(sum, tf.constant(imageShape));

    Operand<TFloat32> row = placeholder(tf, ROW, Shape.of(SchedulerOps.ROW_LENGTH));
    Operand<TFloat32> clip = placeholder(tf, CLIP, Shape.scalar());
    List<Placeholder<TFloat32>> kept =
        KEPT.stream().map(name -> placeholder(tf, name, Shape.unknown())).toList();
    Operand<TFloat32> z = placeholder(tf, Z, Shape.unknown());
    Operand<TFloat32> x0 = SchedulerOps.estimate(tf, row, x, out, clip);
    name(tf, "", row, x, x0, SchedulerOps.step(tf, row, x, out, x0, kept, z));

    // What is not linear has nodes of its own, which cost nothing where nobody asks for them.
    Operand<TInt32> perImage =
        tf.constant(new int[] {-1, picture.height() * picture.width() * picture.channels()});
    Operand<TFloat32> labeled = tf.gather(perCopy, tf.constant(0), tf.constant(0));
    Operand<TFloat32> rescaled =
        tf.reshape(
            SchedulerOps.rescaled(
                tf,
                tf.reshape(labeled, perImage),
                tf.reshape(sum, perImage),
                placeholder(tf, RESCALE, Shape.scalar())),
            tf.constant(imageShape));
    Operand<TFloat32> thresholded =
        SchedulerOps.thresholdedEstimate(
            tf, row, x, rescaled, clip, placeholder(tf, THRESHOLD_RATIO, Shape.scalar()));
    name(
        tf,
        NOT_LINEAR,
        row,
        x,
        thresholded,
        SchedulerOps.step(
            tf, row, x, rescaled, thresholded, kept, spread(tf, network, outputs, input, z)));
  }

  private static Shape shape(UNetConfig.Picture picture, int channels) {
    return Shape.of(-1, picture.height(), picture.width(), channels);
  }

  private boolean takesCondition() {
    return config.picture().conditionChannels() > 0;
  }

  /** Returns x with the channels of its condition after its own. */
  private Operand<TFloat32> conditioned(Ops tf, Operand<TFloat32> x) {
    UNetConfig.Picture picture = config.picture();
    Operand<TFloat32> condition =
        placeholder(tf, CONDITION, shape(picture, picture.conditionChannels()));
    return tf.withName(INPUT).concat(List.of(x, condition), tf.constant(3));
  }

  /** Returns noise with the variance that the network learned with the labels, if it did. */
  private Operand<TFloat32> spread(
      Ops tf,
      UNet network,
      Operand<TFloat32> outputs,
      Operand<TFloat32> input,
      Operand<TFloat32> z) {
    if (!config.picture().learnedVariance()) {
      return z;
    }
    // The first copy of each image is the one with its label.
    Operand<TInt32> images =
        tf.range(
            tf.constant(0),
            tf.gather(tf.shape(input), tf.constant(0), tf.constant(0)),
            tf.constant(1));
    Operand<TFloat32> variance =
        tf.withName(VARIANCE)
            .identity(network.variance(tf.gather(outputs, images, tf.constant(0))));
    Operand<TFloat32> range = placeholder(tf, VARIANCE_RANGE, Shape.scalar());
    return tf.math.mul(z, tf.math.exp(tf.math.mul(variance, range)));
  }

  /** Names what a row makes. */
  private static void name(
      Ops tf,
      String suffix,
      Operand<TFloat32> row,
      Operand<TFloat32> x,
      Operand<TFloat32> x0,
      Operand<TFloat32> next) {
    tf.withName(X0 + suffix).identity(x0);
    tf.withName(NEXT + suffix).identity(next);
    tf.withName(KEEPS + suffix).identity(SchedulerOps.kept(tf, row, x, x0));
  }

  private static Placeholder<TFloat32> placeholder(Ops tf, String name, Shape shape) {
    return tf.withName(name).placeholder(TFloat32.class, Placeholder.shape(shape));
  }

  @Override
  public void close() {
    session.close();
    closeGraph();
  }

  private void closeGraph() {
    graph.close();
    frozen.close();
  }

  /**
   * What stays the same from row to row: the condition, the labels, and the weight of the output
   * for each set of them.
   */
  final class Feeds implements AutoCloseable {
    private final Optional<TFloat32> condition;
    private final Optional<TInt32> labels;
    private final TFloat32 copyWeights;
    private final TFloat32 rescale;

    /**
     * Makes tensors of them.
     *
     * @param condition of each image, [n, height, width, conditionChannels]; empty for a network
     *     without, and where x has it, as it does where only an answer of the network is wanted
     * @param labels one for each image, twice as many with guidance; none for a network without
     * @param guidance weight of the first half of the labels; 1 is off
     * @param rescale share of the output whose standard deviation becomes that of the first half
     */
    Feeds(float[] condition, int[] labels, double guidance, double rescale) {
      this.condition =
          condition.length == 0
              ? Optional.empty()
              : Optional.of(images(config.picture().conditionChannels(), condition));
      this.rescale = TFloat32.scalarOf((float) rescale);
      this.labels =
          config.labels().embeddings() == 0
              ? Optional.empty()
              : Optional.of(TInt32.vectorOf(labels));
      this.copyWeights =
          guidance == 1
              ? TFloat32.vectorOf(1)
              : TFloat32.vectorOf((float) guidance, (float) (1 - guidance));
    }

    /** Returns what the network makes of x, which has its condition in it: the one result. */
    Result predict(Tensor x, double timestep) {
      return predict(x, timestep, OUT);
    }

    /** Returns the variance that it learned: the one result. */
    Result predictVariance(Tensor x, double timestep) {
      return predict(x, timestep, VARIANCE);
    }

    private Result predict(Tensor x, double timestep, String result) {
      try (TFloat32 t = TFloat32.vectorOf((float) timestep)) {
        return run(runner().feed(takesCondition() ? INPUT : X, x).feed(TIMESTEP, t).fetch(result));
      }
    }

    /**
     * Runs a row.
     *
     * @param x noisy images
     * @param clip scalar, above 0
     * @param kept what rows before it kept, newest first; where there are fewer than a row may use,
     *     the others are 0
     * @param zero scalar 0
     * @param z N(0, 1) noise, or a scalar 0
     * @param thresholdRatio scalar, for rows that are not linear
     * @param varianceRange scalar, for rows that are not linear
     * @param linear whether nothing is rescaled, has a threshold or a variance that was learned
     * @return the next x, the estimate of the images, and, unless the row keeps that, what it keeps
     */
    Result step(
        Step step,
        Tensor x,
        Tensor clip,
        List<Tensor> kept,
        Tensor zero,
        Tensor z,
        Tensor thresholdRatio,
        Tensor varianceRange,
        boolean linear) {
      try (TFloat32 t = TFloat32.vectorOf((float) step.timestep());
          TFloat32 row = TFloat32.vectorOf(SchedulerOps.row(step))) {
        Session.Runner runner =
            runner().feed(X, x).feed(TIMESTEP, t).feed(ROW, row).feed(CLIP, clip).feed(Z, z);
        for (int i = 0; i < KEPT.size(); i++) {
          runner.feed(KEPT.get(i), i < kept.size() ? kept.get(i) : zero);
        }
        String suffix = linear ? "" : NOT_LINEAR;
        if (!linear) {
          runner.feed(RESCALE, rescale).feed(THRESHOLD_RATIO, thresholdRatio);
          if (config.picture().learnedVariance()) {
            runner.feed(VARIANCE_RANGE, varianceRange);
          }
        }
        runner.fetch(NEXT + suffix).fetch(X0 + suffix);
        return run(step.keepsX0() ? runner : runner.fetch(KEEPS + suffix));
      }
    }

    private Session.Runner runner() {
      Session.Runner runner = session.runner().feed(COPY_WEIGHTS, copyWeights);
      condition.ifPresent(tensor -> runner.feed(CONDITION, tensor));
      labels.ifPresent(tensor -> runner.feed(LABELS, tensor));
      frozen.feed(runner);
      return runner;
    }

    @Override
    public void close() {
      condition.ifPresent(Tensor::close);
      labels.ifPresent(Tensor::close);
      copyWeights.close();
      rescale.close();
    }
  }

  private Result run(Session.Runner runner) {
    if (!takesTurns) {
      return TensorFlowRuntime.run(runner);
    }
    running.lock();
    try {
      return TensorFlowRuntime.run(runner);
    } finally {
      running.unlock();
    }
  }

  /** Returns images as a tensor, [n, height, width, channels]. */
  TFloat32 images(int channels, float... values) {
    UNetConfig.Picture picture = config.picture();
    int size = picture.height() * picture.width() * channels;
    Shape shape = Shape.of(values.length / size, picture.height(), picture.width(), channels);
    return TFloat32.tensorOf(shape, DataBuffers.of(values));
  }

  /** Returns a copy of a tensor's values. */
  static float[] values(Tensor tensor) {
    float[] values = new float[(int) tensor.size()];
    ((TFloat32) tensor).copyTo(DataBuffers.of(values));
    return values;
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkState;

import com.google.common.primitives.Ints;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Step;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
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
 * A U-Net ready to sample: its weights are constants of a graph, and each row of a sampler's table
 * is one run of it. The images stay in TensorFlow's memory from row to row.
 *
 * <p>Guidance is the same run with each image twice: the graph gives the network k copies of x, one
 * per set of labels, and adds up the k outputs with a weight each. Without guidance k is 1.
 */
final class TfPredictor implements Predictor {
  /**
   * Pixels that one run works on at most, counting copies for guidance, as long as that is one
   * image at least: 64 images of 28x28. This bounds the memory for hidden images, whatever the
   * number of images asked for.
   */
  static final int PIXELS_PER_RUN = 64 * 28 * 28;

  /**
   * Numbers of a network's weights that become constants of the graph, which TensorFlow folds and
   * reorders as it likes and copies several times as it goes. What a larger network has beyond them
   * stays in tensors of ours that each run is fed with, which copies nothing, except to a GPU.
   */
  private static final long MAX_CONSTANTS = 1 << 22;

  private static final String X = "x";
  private static final String TIMESTEP = "timestep";
  private static final String LABELS = "labels";
  private static final String COPY_WEIGHTS = "copy_weights";
  private static final String OUT = "out";
  private static final String ROW = "row";
  private static final String CLIP = "clip";
  private static final String PREVIOUS_X0 = "previous_x0";
  private static final String OLDER_X0 = "older_x0";
  private static final String Z = "z";
  private static final String X0 = "x0";
  private static final String NEXT = "next";

  private final ModelInfo info;
  private final Sampler pipeline;

  /** The weights by name that are not constants. */
  private final Map<String, TFloat32> fedWeights = new LinkedHashMap<>();

  private final Graph graph;
  private final Session session;

  /**
   * Held during a run of TensorFlow's own convolutions: those of several samplers take turns, row
   * by row. TensorFlow 2.18's convolution that adds a residual keeps state in itself, so that two
   * runs of it at once would crash the process.
   */
  private final Lock running = new ReentrantLock(true);

  /** Held for reading by whoever runs the session, for writing by who closes it. */
  private final ReentrantReadWriteLock closing = new ReentrantReadWriteLock();

  private boolean closed;

  /**
   * Builds the graph.
   *
   * @param pipeline how the model is sampled, before it has one
   * @param weights all that the network needs, in PyTorch's order of axes
   */
  TfPredictor(
      UNetConfig config,
      ModelInfo info,
      Sampler pipeline,
      Map<String, Weight> weights,
      Precision precision) {
    this(
        config,
        info,
        pipeline,
        weights,
        precision,
        Sessions.hasGpu() ? Long.MAX_VALUE : MAX_CONSTANTS);
  }

  TfPredictor(
      UNetConfig config,
      ModelInfo info,
      Sampler pipeline,
      Map<String, Weight> weights,
      Precision precision,
      long maxConstants) {
    this.info = info;
    this.pipeline = pipeline;
    this.graph = Sessions.graph();
    Ops tf = Ops.create(graph);
    AtomicLong constants = new AtomicLong();
    Scratch scratch = new Scratch();
    try {
      build(
          tf,
          config,
          precision,
          (name, shape) -> {
            Weight weight = weights.get(name).toTensorFlow(scratch);
            if (constants.addAndGet(shape.size()) <= maxConstants) {
              return constant(tf.withName(name), weight);
            }
            fedWeights.put(name, TFloat32.tensorOf(shape, DataBuffers.of(weight.values())));
            return placeholder(tf, name, shape);
          });
    } catch (RuntimeException e) {
      fedWeights.values().forEach(Tensor::close);
      graph.close();
      throw e;
    }
    this.session = Sessions.open(graph);
  }

  /**
   * Opens a saved model.
   *
   * @throws IOException if its weights can't be read
   */
  static TfPredictor of(ModelFolder model, Precision precision) throws IOException {
    try {
      return new TfPredictor(
          model.config(), model.info(), model.pipeline().sampler(), model.weights(), precision);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static void build(Ops tf, UNetConfig config, Precision precision, Weights weights) {
    Shape imageShape = Shape.of(-1, config.height(), config.width(), config.channels());
    Operand<TFloat32> x = placeholder(tf, X, imageShape);
    Operand<TFloat32> timestep = placeholder(tf, TIMESTEP, Shape.of(1));
    Operand<TFloat32> copyWeights = placeholder(tf, COPY_WEIGHTS, Shape.of(-1));
    Optional<Operand<TInt32>> labels =
        config.classEmbeddings() == 0
            ? Optional.empty()
            : Optional.of(
                tf.withName(LABELS)
                    .placeholder(TInt32.class, Placeholder.shape(Shape.of(Shape.UNKNOWN_SIZE))));

    Operand<TInt32> copies = tf.reshape(tf.size(copyWeights), tf.constant(new int[] {1}));
    Operand<TFloat32> copied =
        tf.reshape(
            tf.tile(
                x, tf.concat(List.of(copies, tf.constant(new int[] {1, 1, 1})), tf.constant(0))),
            tf.constant(imageShape));
    Operand<TFloat32> outs =
        UNet.forward(tf, config, precision, weights, copied, timestep, labels, Dropout.NONE);
    // [k·n, h, w, c] as k long vectors, of which the weighted sum is a product with a row vector.
    Operand<TFloat32> perCopy =
        tf.reshape(outs, tf.concat(List.of(copies, tf.constant(new int[] {-1})), tf.constant(0)));
    Operand<TFloat32> out =
        tf.withName(OUT)
            .reshape(
                tf.linalg.matMul(tf.expandDims(copyWeights, tf.constant(0)), perCopy),
                tf.constant(imageShape));

    Operand<TFloat32> row = placeholder(tf, ROW, Shape.of(SchedulerOps.ROW_LENGTH));
    Operand<TFloat32> x0 =
        tf.withName(X0)
            .identity(
                SchedulerOps.estimate(tf, row, x, out, placeholder(tf, CLIP, Shape.scalar())));
    Operand<TFloat32> next =
        SchedulerOps.step(
            tf,
            row,
            x,
            out,
            x0,
            placeholder(tf, PREVIOUS_X0, Shape.unknown()),
            placeholder(tf, OLDER_X0, Shape.unknown()),
            placeholder(tf, Z, Shape.unknown()));
    tf.withName(NEXT).identity(next);
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public Sampler sampler() {
    return pipeline.with(this);
  }

  @Override
  public float[] predict(float[] x, double timestep, int... labels) {
    int count = info.checkInput(x, timestep, labels);
    if (count == 0) {
      return whileOpen(() -> new float[0]);
    }
    return whileOpen(
        () -> {
          try (TFloat32 images = images(x);
              Feeds feeds = new Feeds(labels, 1);
              TFloat32 t = TFloat32.vectorOf((float) timestep);
              Result result =
                  run(feeds.into(session.runner()).feed(X, images).feed(TIMESTEP, t).fetch(OUT))) {
            return values(result.get(0));
          }
        });
  }

  @Override
  public Images denoise(DenoiseRequest request) {
    whileOpen(() -> request.labels(info));
    int copies = request.isGuided() ? 2 : 1;
    int batch = Math.max(1, PIXELS_PER_RUN / (info.height() * info.width() * copies));
    float[] images = new float[Math.multiplyExact(request.count(), info.imageSize())];
    for (int from = 0; from < request.count(); from += batch) {
      DenoiseRequest part = request.slice(from, Math.min(request.count(), from + batch));
      float[] finished = whileOpen(() -> run(part));
      System.arraycopy(finished, 0, images, from * info.imageSize(), finished.length);
    }
    return info.images(images);
  }

  private float[] run(DenoiseRequest request) {
    int[] labels = request.labels(info);
    if (request.isGuided()) {
      labels = Ints.concat(labels, request.nullLabels(info));
    }
    // The results of the last two rows, newest first: the next row needs their tensors.
    Deque<Result> recent = new ArrayDeque<>();
    try (TFloat32 start = images(request.initialNoise(info.imageSize()));
        Feeds feeds = new Feeds(labels, request.guidance());
        TFloat32 clip = TFloat32.scalarOf((float) request.clip());
        TFloat32 zero = TFloat32.scalarOf(0)) {
      Tensor x = start;
      Tensor previousX0 = zero;
      Tensor olderX0 = zero;
      for (int i = 0; i < request.steps().size(); i++) {
        Step step = request.steps().get(i);
        try (TFloat32 t = TFloat32.vectorOf((float) step.timestep());
            TFloat32 row = TFloat32.vectorOf(SchedulerOps.row(step));
            TFloat32 z =
                step.fromNoise() > 0
                    ? images(request.stepNoise(i, info.imageSize()))
                    : TFloat32.scalarOf(0)) {
          recent.push(
              run(
                  feeds
                      .into(session.runner())
                      .feed(X, x)
                      .feed(TIMESTEP, t)
                      .feed(ROW, row)
                      .feed(CLIP, clip)
                      .feed(PREVIOUS_X0, previousX0)
                      .feed(OLDER_X0, olderX0)
                      .feed(Z, z)
                      .fetch(NEXT)
                      .fetch(X0)));
        }
        x = recent.peek().get(0);
        olderX0 = previousX0;
        previousX0 = recent.peek().get(1);
        Tensor estimate = previousX0;
        request.report(i, () -> info.images(values(estimate)));
        if (recent.size() > 2) {
          recent.removeLast().close();
        }
      }
      return values(x);
    } finally {
      recent.forEach(Result::close);
    }
  }

  private Result run(Session.Runner runner) {
    if (Kernels.available()) {
      return runner.run();
    }
    running.lock();
    try {
      return runner.run();
    } finally {
      running.unlock();
    }
  }

  @Override
  public void close() {
    // Else this thread would wait for itself.
    checkState(
        closing.getReadHoldCount() == 0, "a listener can't close the model that it is told of");
    Lock lock = closing.writeLock();
    lock.lock();
    try {
      if (!closed) {
        closed = true;
        session.close();
        graph.close();
        fedWeights.values().forEach(Tensor::close);
      }
    } finally {
      lock.unlock();
    }
  }

  private <T> T whileOpen(Supplier<T> work) {
    Lock lock = closing.readLock();
    lock.lock();
    try {
      checkState(!closed, "the model is closed");
      return work.get();
    } finally {
      lock.unlock();
    }
  }

  private TFloat32 images(float[] values) {
    Shape shape =
        Shape.of(values.length / info.imageSize(), info.height(), info.width(), info.channels());
    return TFloat32.tensorOf(shape, DataBuffers.of(values));
  }

  private static float[] values(Tensor tensor) {
    float[] values = new float[(int) tensor.size()];
    ((TFloat32) tensor).copyTo(DataBuffers.of(values));
    return values;
  }

  private static Operand<TFloat32> placeholder(Ops tf, String name, Shape shape) {
    return tf.withName(name).placeholder(TFloat32.class, Placeholder.shape(shape));
  }

  static Operand<TFloat32> constant(Ops tf, Weight weight) {
    return tf.constant(weight.shape(), DataBuffers.of(weight.values()));
  }

  /**
   * What stays the same from row to row: the labels, and the weight of the output for each set of
   * them.
   */
  private final class Feeds implements AutoCloseable {
    private final Optional<TInt32> labels;
    private final TFloat32 copyWeights;

    Feeds(int[] labels, double guidance) {
      this.labels = info.classes() == 0 ? Optional.empty() : Optional.of(TInt32.vectorOf(labels));
      this.copyWeights =
          guidance == 1
              ? TFloat32.vectorOf(1)
              : TFloat32.vectorOf((float) guidance, (float) (1 - guidance));
    }

    Session.Runner into(Session.Runner runner) {
      labels.ifPresent(tensor -> runner.feed(LABELS, tensor));
      fedWeights.forEach(runner::feed);
      return runner.feed(COPY_WEIGHTS, copyWeights);
    }

    @Override
    public void close() {
      labels.ifPresent(Tensor::close);
      copyWeights.close();
    }
  }
}

package io.github.ddpm.tf.sampling;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.primitives.Ints;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Guidance;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Step;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import org.tensorflow.Result;
import org.tensorflow.Tensor;
import org.tensorflow.types.TFloat32;

/**
 * A U-Net ready to sample: each row of a sampler's table is one run of its graph. The images stay
 * in TensorFlow's memory from row to row.
 */
public final class TfPredictor implements Predictor {
  private final ModelConfig model;
  private final ModelInfo info;
  private final SamplingGraph graph;

  /** Is held for reading by whoever runs the graph, for writing by whoever closes it. */
  private final ReentrantReadWriteLock closing = new ReentrantReadWriteLock();

  private boolean closed;

  /**
   * Makes a predictor of a model.
   *
   * @param weights exactly those that the network has
   * @throws IOException if they are not, or can't be read
   */
  public TfPredictor(ModelConfig model, WeightSource weights, Precision precision)
      throws IOException {
    this(model, new SamplingGraph(model.network(), weights, precision));
  }

  TfPredictor(ModelConfig model, SamplingGraph graph) {
    this.model = model;
    this.info = model.info();
    this.graph = graph;
  }

  @Override
  public ModelInfo info() {
    return info;
  }

  @Override
  public Sampler sampler() {
    return model.pipeline().sampler(learnedVariance()).with(this);
  }

  private boolean learnedVariance() {
    return model.network().picture().learnedVariance();
  }

  @Override
  public float[] predict(float[] x, double timestep, int... labels) {
    return call(x, timestep, labels, (feeds, images) -> feeds.predict(images, timestep));
  }

  @Override
  public float[] predictVariance(float[] x, double timestep, int... labels) {
    checkLearnedVariance();
    return call(x, timestep, labels, (feeds, images) -> feeds.predictVariance(images, timestep));
  }

  private void checkLearnedVariance() {
    checkArgument(learnedVariance(), "the model learned no variance");
  }

  private float[] call(float[] x, double timestep, int[] labels, Call call) {
    int count = info.checkInput(x, timestep, labels);
    if (count == 0) {
      return whileOpen(() -> new float[0]);
    }
    return whileOpen(
        () -> {
          int channels = info.channels() + info.conditionChannels();
          try (TFloat32 images = graph.images(channels, x);
              SamplingGraph.Feeds feeds = graph.new Feeds(new float[0], labels, 1, 0);
              Result result = call.run(feeds, images)) {
            return SamplingGraph.values(result.get(0));
          }
        });
  }

  @Override
  public Images denoise(DenoiseRequest request) {
    whileOpen(() -> request.labels(info));
    if (request.learnedVariance()) {
      checkLearnedVariance();
    }
    Heap.checkArgument(
        request.count() + " pictures of " + info.height() + "x" + info.width(),
        SamplingMemory.heap(info, request.count()));
    int copies = request.isGuided() ? 2 : 1;
    int batch = Math.max(1, pixelsPerRun() / (info.height() * info.width() * copies));
    float[] images = new float[Math.multiplyExact(request.count(), info.imageSize())];
    for (int from = 0; from < request.count(); from += batch) {
      DenoiseRequest part = request.slice(from, Math.min(request.count(), from + batch));
      float[] finished = whileOpen(() -> run(part));
      System.arraycopy(finished, 0, images, from * info.imageSize(), finished.length);
    }
    return info.images(images);
  }

  /**
   * Pixels that one run works on at most, counting copies for guidance, as long as that is one
   * image at least: 64 images of 28x28, and 512 on a GPU, which fewer don't fill. This bounds the
   * memory for hidden images, whatever the number of images asked for.
   */
  static int pixelsPerRun() {
    return (TensorFlowRuntime.hasGpu() ? 512 : 64) * 28 * 28;
  }

  private float[] run(DenoiseRequest request) {
    int[] labels = request.labels(info);
    int[] both = request.isGuided() ? Ints.concat(labels, request.nullLabels(info)) : labels;
    Guidance guidance = request.guidance();
    // The results of the rows whose tensors the next row needs, newest first.
    Deque<Result> recent = new ArrayDeque<>();
    float[] start = request.initial(info.imageSize());
    float[] condition = request.conditions();
    try (TFloat32 first = graph.images(info.channels(), start);
        SamplingGraph.Feeds plain = graph.new Feeds(condition, labels, 1, 0);
        SamplingGraph.Feeds guided =
            graph.new Feeds(condition, both, guidance.weight(), guidance.rescale());
        TFloat32 clip = TFloat32.scalarOf((float) request.clip());
        TFloat32 ratio = TFloat32.scalarOf((float) request.thresholdRatio());
        TFloat32 zero = TFloat32.scalarOf(0)) {
      Tensor x = first;
      Optional<TFloat32> painted = Optional.empty();
      try {
        for (int i = 0; i < request.steps().size(); i++) {
          Step step = request.steps().get(i);
          // What a row keeps is the last of its results.
          List<Tensor> kept = recent.stream().map(result -> result.get(result.size() - 1)).toList();
          boolean isGuided = request.isGuided(i);
          double varianceRange = request.varianceRange(i);
          boolean linear =
              request.thresholdRatio() == 0
                  && !(isGuided && guidance.rescale() > 0)
                  && varianceRange == 0;
          try (TFloat32 range = TFloat32.scalarOf((float) varianceRange);
              TFloat32 z =
                  step.fromNoise() > 0
                      ? graph.images(info.channels(), request.stepNoise(i, info.imageSize()))
                      : TFloat32.scalarOf(0)) {
            recent.push(
                (isGuided ? guided : plain)
                    .step(step, x, clip, kept, zero, z, ratio, range, linear));
          }
          painted.ifPresent(Tensor::close);
          painted = Optional.empty();
          painted = painted(request, i, recent.peek().get(0));
          x = painted.isPresent() ? painted.get() : recent.peek().get(0);
          Tensor estimate = recent.peek().get(1);
          request.report(i, () -> info.images(SamplingGraph.values(estimate)));
          if (recent.size() > SamplingGraph.MOST_KEPT) {
            recent.removeLast().close();
          }
        }
        return SamplingGraph.values(x);
      } finally {
        painted.ifPresent(Tensor::close);
      }
    } finally {
      recent.forEach(Result::close);
    }
  }

  /** Returns x after a row with what is known put in; empty if nothing is. */
  private Optional<TFloat32> painted(DenoiseRequest request, int row, Tensor x) {
    if (request.inpainting().isEmpty()) {
      return Optional.empty();
    }
    float[] values = SamplingGraph.values(x);
    request.inpaint(row, values);
    return Optional.of(graph.images(info.channels(), values));
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
        graph.close();
      }
    } finally {
      lock.unlock();
    }
  }

  /** One of what a graph may be asked for. */
  private interface Call {
    Result run(SamplingGraph.Feeds feeds, Tensor images);
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
}

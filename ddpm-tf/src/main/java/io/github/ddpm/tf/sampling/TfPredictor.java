package io.github.ddpm.tf.sampling;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.primitives.Floats;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.SideBySide;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.tensorflow.Result;
import org.tensorflow.Tensor;
import org.tensorflow.types.TFloat32;

/**
 * A U-Net ready to sample: each row of a sampler's table is one run of its graph, for images that
 * are divided among the cores one on each. The images stay in TensorFlow's memory from row to row.
 */
public final class TfPredictor implements Predictor {
  /** Pixels of a part at least: with fewer than 8 images of 28x28, starting operations shows. */
  private static final int LEAST_PIXELS = 8 * 28 * 28;

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
    int size = x.length / count;
    int perLabel = labels.length / count;
    return whileOpen(
        () -> {
          if (parts(count) == 1) {
            return answer(x, labels, call);
          }
          List<Integer> numbers = IntStream.range(0, parts(count)).boxed().toList();
          List<float[]> answers =
              SideBySide.map(
                  numbers,
                  part -> {
                    int from = from(part, count);
                    int to = from(part + 1, count);
                    return answer(
                        Arrays.copyOfRange(x, from * size, to * size),
                        Arrays.copyOfRange(labels, from * perLabel, to * perLabel),
                        call);
                  },
                  answer -> {});
          return Floats.concat(answers.toArray(float[][]::new));
        });
  }

  private float[] answer(float[] x, int[] labels, Call call) {
    int channels = info.channels() + info.conditionChannels();
    try (TFloat32 images = graph.images(channels, x);
        SamplingGraph.Feeds feeds = graph.new Feeds(new float[0], labels, 1, 0);
        Result result = call.run(feeds, images)) {
      return SamplingGraph.values(result.get(0));
    }
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
    int batch = Math.max(1, TensorFlowRuntime.imagesPerRun(info.height(), info.width()) / copies);
    float[] images = new float[Math.multiplyExact(request.count(), info.imageSize())];
    for (int from = 0; from < request.count(); from += batch) {
      DenoiseRequest part = request.slice(from, Math.min(request.count(), from + batch));
      float[] finished = whileOpen(() -> run(part));
      System.arraycopy(finished, 0, images, from * info.imageSize(), finished.length);
    }
    return info.images(images);
  }

  /** Takes all rows; images are divided among the cores, and all are at the same row. */
  private float[] run(DenoiseRequest request) {
    List<Denoising> parts = new ArrayList<>();
    try {
      int count = request.count();
      for (int i = 0; i < parts(count); i++) {
        DenoiseRequest part = request.slice(from(i, count), from(i + 1, count));
        parts.add(new Denoising(graph, info, part));
      }
      for (int i = 0; i < request.steps().size(); i++) {
        int row = i;
        SideBySide.forEach(parts, part -> part.row(row));
        request.report(row, () -> info.images(joined(parts, Denoising::estimate)));
      }
      return joined(parts, Denoising::images);
    } finally {
      parts.forEach(Denoising::close);
    }
  }

  /** Returns how many parts images are computed in at the same time. */
  private int parts(int images) {
    long parts = (long) images * info.height() * info.width() / LEAST_PIXELS;
    return (int) Math.max(1, Math.min(Math.min(images, TensorFlowRuntime.runsAtOnce()), parts));
  }

  /** Returns the first image of a part; the last part's end is that of one more. */
  private int from(int part, int images) {
    return (int) ((long) images * part / parts(images));
  }

  private static float[] joined(List<Denoising> parts, Function<Denoising, float[]> values) {
    return Floats.concat(parts.stream().map(values).toArray(float[][]::new));
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

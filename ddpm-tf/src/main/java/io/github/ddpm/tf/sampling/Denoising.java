package io.github.ddpm.tf.sampling;

import com.google.common.primitives.Ints;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Guidance;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Step;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Result;
import org.tensorflow.Tensor;
import org.tensorflow.types.TFloat32;

/**
 * Images on their way from noise, all in one run of the graph for each row of the sampler's table.
 * They stay in TensorFlow's memory from row to row.
 *
 * <p>One thread at a time uses it; whoever makes one closes it.
 */
final class Denoising implements AutoCloseable {
  private final SamplingGraph graph;
  private final ModelInfo info;
  private final DenoiseRequest request;

  private final SamplingGraph.Feeds plain;
  private final SamplingGraph.Feeds guided;

  /** What closes those two. */
  private final List<Runnable> closers = new ArrayList<>();

  /** The results of the rows whose tensors the next row needs, newest first. */
  private final Deque<Result> recent = new ArrayDeque<>();

  /** The images where they are not what a row gave: at the start, and painted. */
  private Optional<TFloat32> own = Optional.empty();

  Denoising(SamplingGraph graph, ModelInfo info, DenoiseRequest request) {
    this.graph = graph;
    this.info = info;
    this.request = request;
    int[] labels = request.labels(info);
    int[] both = request.isGuided() ? Ints.concat(labels, request.nullLabels(info)) : labels;
    Guidance guidance = request.guidance();
    float[] condition = request.conditions();
    boolean made = false;
    try {
      own = Optional.of(graph.images(info.channels(), request.initial(info.imageSize())));
      plain = graph.new Feeds(condition, labels, 1, 0);
      closers.add(plain::close);
      guided = graph.new Feeds(condition, both, guidance.weight(), guidance.rescale());
      closers.add(guided::close);
      made = true;
    } finally {
      if (!made) {
        close();
      }
    }
  }

  /** Takes a row; rows are taken in their order. */
  void row(int row) {
    Step step = request.steps().get(row);
    // What a row keeps is the last of its results.
    List<Tensor> kept = recent.stream().map(result -> result.get(result.size() - 1)).toList();
    boolean isGuided = request.isGuided(row);
    double varianceRange = request.varianceRange(row);
    boolean linear =
        request.thresholdRatio() == 0
            && !(isGuided && request.guidance().rescale() > 0)
            && varianceRange == 0;
    try (TFloat32 range = TFloat32.scalarOf((float) varianceRange);
        TFloat32 clip = TFloat32.scalarOf((float) request.clip());
        TFloat32 ratio = TFloat32.scalarOf((float) request.thresholdRatio());
        TFloat32 zero = TFloat32.scalarOf(0);
        TFloat32 z =
            step.fromNoise() > 0
                ? graph.images(info.channels(), request.stepNoise(row, info.imageSize()))
                : TFloat32.scalarOf(0)) {
      recent.push(
          (isGuided ? guided : plain).step(step, x(), clip, kept, zero, z, ratio, range, linear));
    }
    own.ifPresent(Tensor::close);
    own = Optional.empty();
    own = painted(row);
    if (recent.size() > SamplingGraph.MOST_KEPT) {
      recent.removeLast().close();
    }
  }

  /** Returns x after a row with what is known put in; empty if nothing is. */
  private Optional<TFloat32> painted(int row) {
    if (request.inpainting().isEmpty()) {
      return Optional.empty();
    }
    float[] values = SamplingGraph.values(recent.peek().get(0));
    request.inpaint(row, values);
    return Optional.of(graph.images(info.channels(), values));
  }

  private Tensor x() {
    return own.isPresent() ? own.get() : recent.peek().get(0);
  }

  /** Returns the images as they are. */
  float[] images() {
    return SamplingGraph.values(x());
  }

  /** Returns the last row's estimate of the images. */
  float[] estimate() {
    return SamplingGraph.values(recent.peek().get(1));
  }

  @Override
  public void close() {
    own.ifPresent(Tensor::close);
    recent.forEach(Result::close);
    closers.forEach(Runnable::run);
  }
}

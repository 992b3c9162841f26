package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.tf.TrainingGraph.Outcome;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The rounds of a training whose replicas take steps by themselves and are then averaged: w ← Σ s_r
 * w_r, where s_r is replica r's share of the images of a batch (McMahan et al. 2017,
 * "Communication-Efficient Learning of Deep Networks from Decentralized Data", algorithm 1), and
 * the same of Adam's moments.
 *
 * <p>The moving average follows the weights that were averaged, once a round, by what all of its
 * steps would have kept, so no replica has one.
 */
final class LocalSteps {
  /** The vectors of a replica. */
  private static final List<Vector> REPLICATED =
      List.of(Vector.WEIGHTS, Vector.ADAM_M, Vector.ADAM_V);

  private final TrainingGraph graph;
  private final TrainingOptions options;
  private final List<Part> parts;

  LocalSteps(TrainingGraph graph, TrainingOptions options) {
    this.graph = graph;
    this.options = options;
    this.parts = options.parts();
  }

  /**
   * Returns how many steps the next round has: wherever a training is resumed, it begins there.
   *
   * @param total steps in all; 0 while not known
   */
  int count(long taken, long total) {
    long all = options.localSteps();
    return (int) (total == 0 ? all : Math.min(all, total - taken));
  }

  /**
   * Returns the round that begins with the vectors of the graph.
   *
   * @param factor of the {@link LossScale}
   */
  Round begin(long taken, long skipped, long total, int factor) {
    return new Round(vectors(), taken, skipped, total, count(taken, total), factor);
  }

  private List<ByteBuffer> vectors() {
    return REPLICATED.stream().map(graph::bytes).toList();
  }

  private void set(List<ByteBuffer> vectors) {
    for (int i = 0; i < vectors.size(); i++) {
      graph.set(REPLICATED.get(i), vectors.get(i).duplicate());
    }
  }

  /** Refuses vectors that are not those of the network. */
  void check(List<ByteBuffer> vectors) {
    int bytes = Float.BYTES * graph.layout().size();
    List<Integer> sizes = vectors.stream().map(ByteBuffer::remaining).toList();
    checkArgument(
        sizes.size() == REPLICATED.size() && sizes.stream().allMatch(size -> size == bytes),
        "a replica must have %s vectors of %s bytes, got %s",
        REPLICATED.size(),
        bytes,
        sizes);
  }

  /** Trains all replicas here, one after the other, and leaves the graph as it was. */
  List<Replica> train(Round round, Dataset data, Runnable beforeStep) {
    try {
      return parts.stream().map(part -> train(round, part.number(), data, beforeStep)).toList();
    } finally {
      set(round.vectors());
    }
  }

  /**
   * Trains a replica. The graph has its vectors then.
   *
   * @param beforeStep is called before each step; what it throws ends the round
   */
  Replica train(Round round, int number, Dataset data, Runnable beforeStep) {
    Part part = parts.get(number);
    set(round.vectors());
    double sum = 0;
    double norm = 0;
    for (int i = 0; i < round.steps(); i++) {
      beforeStep.run();
      long step = round.taken() + i;
      Outcome outcome = step(round, step, part, data);
      if (!outcome.isFinite()) {
        return new Replica(List.of(), outcome.loss(), outcome.norm());
      }
      sum += outcome.loss();
      norm = outcome.norm();
    }
    return new Replica(vectors(), sum / round.steps(), norm);
  }

  private Outcome step(Round round, long step, Part part, Dataset data) {
    long attempt = step + round.skipped();
    Batches.Batch batch = Batches.part(part, attempt, data, options, graph.info().classes() > 0);
    // A batch of its own, whose timesteps are spaced evenly among themselves.
    return graph.step(
        batch.images(),
        batch.labels(),
        step,
        part.draws(attempt),
        round.total(),
        round.lossScale());
  }

  /**
   * Ends a round: gives the graph the mean of the replicas, or leaves it as it is if one is not
   * finite.
   *
   * @param replicas all of them, in their order
   */
  Outcome average(Round round, List<Replica> replicas) {
    checkArgument(
        replicas.size() == parts.size(),
        "there must be %s replicas, got %s",
        parts.size(),
        replicas.size());
    double loss = 0;
    double norm = 0;
    for (Part part : parts) {
      Replica replica = replicas.get(part.number());
      Outcome outcome = new Outcome(replica.loss(), replica.norm());
      if (!outcome.isFinite()) {
        return outcome;
      }
      check(replica.vectors());
      loss += part.share() * replica.loss();
      norm = replica.norm();
    }
    List<ByteBuffer> means =
        IntStream.range(0, REPLICATED.size())
            .mapToObj(i -> mean(replicas.stream().map(each -> each.vectors().get(i)).toList()))
            .toList();
    graph.set(Vector.EMA, follow(round, means.get(REPLICATED.indexOf(Vector.WEIGHTS))));
    set(means);
    return new Outcome(loss, norm);
  }

  /** Returns the mean of a vector, which is rounded once: that of equal ones is the same. */
  private ByteBuffer mean(List<ByteBuffer> vectors) {
    FloatBuffer[] values = vectors.stream().map(LocalSteps::floats).toArray(FloatBuffer[]::new);
    double[] shares = parts.stream().mapToDouble(Part::share).toArray();
    ByteBuffer mean = ByteBuffer.allocate(vectors.get(0).remaining());
    FloatBuffer into = floats(mean);
    for (int i = 0; i < into.limit(); i++) {
      double sum = 0;
      for (int k = 0; k < values.length; k++) {
        sum += shares[k] * values[k].get(i);
      }
      into.put(i, (float) sum);
    }
    return mean;
  }

  /** Returns the moving average after a round. */
  private ByteBuffer follow(Round round, ByteBuffer weights) {
    double kept = 1;
    for (int i = 0; i < round.steps(); i++) {
      kept *= options.ema().decay(round.taken() + i);
    }
    ByteBuffer average = graph.bytes(Vector.EMA);
    FloatBuffer values = floats(average);
    FloatBuffer to = floats(weights);
    for (int i = 0; i < values.limit(); i++) {
      double value = values.get(i);
      values.put(i, (float) (value + (1 - kept) * (to.get(i) - value)));
    }
    return average;
  }

  private static FloatBuffer floats(ByteBuffer vector) {
    return vector.duplicate().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
  }
}

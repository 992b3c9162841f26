package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.primitives.Longs;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.TrainingGraph.Outcome;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import java.nio.FloatBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Predicate;

/**
 * The steps of a training, one by one or in a row: how many were taken, how many were skipped, and
 * how many there are. {@link Trainer} says what each method does.
 */
final class Steps {
  /** What a double, which learning rates are computed in, counts to. */
  static final long MAX_TOTAL = 1L << 53;

  /** Training ends when so many steps, or rounds of replicas, in a row are not finite. */
  private static final int MAX_SKIPPED_IN_A_ROW = 10;

  private final ModelInfo info;
  private final TrainingOptions options;
  private final TrainingGraph graph;
  private final LocalSteps localSteps;

  /** How many images of each class were learned; nothing if that is not known. */
  private final long[] labelCounts;

  /** What the classes are called; nothing before there is data with names for them. */
  private List<String> classNames;

  private LossScale lossScale;
  private long taken;
  private long skipped;
  private long total;

  /** Who computes gradients; empty for the graph. */
  private Optional<GradientSource> elsewhere = Optional.empty();

  /** Who trains replicas, if there are any; empty for the graph. */
  private Optional<ReplicaSource> replicasElsewhere = Optional.empty();

  /** Goes on after those of a state. */
  Steps(ModelInfo info, TrainingGraph graph, TrainingFolder.State state) {
    this.info = info;
    this.options = state.options();
    this.graph = graph;
    this.localSteps = new LocalSteps(graph, options);
    // Of a training whose labels are all dropped none is learned.
    boolean counts = options.labelDropout() < 1 && state.step() == 0;
    this.labelCounts = counts ? new long[info.classes()] : Longs.toArray(state.labelCounts());
    this.classNames = info.classNames();
    this.lossScale = state.lossScale();
    this.taken = state.step();
    this.skipped = state.skipped();
    this.total = state.totalSteps();
  }

  long taken() {
    return taken;
  }

  long skipped() {
    return skipped;
  }

  LossScale lossScale() {
    return lossScale;
  }

  /** Returns the scale after some steps that were taken or skipped as one. */
  private LossScale lossScaleAfter(LossScale scale, Outcome outcome, int together) {
    return options.scalesLoss() ? scale.after(outcome, together) : scale;
  }

  /**
   * Returns how many images of each class were learned; nothing before the first step, or if that
   * is not known.
   */
  List<Long> labelCounts() {
    return taken == 0 ? List.of() : Longs.asList(labelCounts.clone());
  }

  private void count(int... labels) {
    if (labelCounts.length > 0) {
      for (int label : labels) {
        labelCounts[label]++;
      }
    }
  }

  List<String> classNames() {
    return classNames;
  }

  void setClassNames(List<String> names) {
    classNames = ModelInfo.checkClassNames(info.classes(), names);
  }

  /** Returns how many there are in all; 0 while not known. */
  long total() {
    return total;
  }

  void setTotal(long steps) {
    checkArgument(
        steps >= Math.max(1, taken) && steps <= MAX_TOTAL,
        "total steps must be at least %s and at most %s, got %s",
        Math.max(1, taken),
        MAX_TOTAL,
        steps);
    total = steps;
  }

  /** Tells whether there is a step to take. */
  boolean isOneLeft() {
    return hasStepAfter(taken);
  }

  private boolean hasStepAfter(long steps) {
    return total == 0 || steps < total;
  }

  /** Takes a step, or throws and changes nothing. */
  double take(Images batch, int... classes) {
    checkState(
        options.localSteps() == 0,
        "replicas take local steps by batches of their own, so no batch can be given: call train");
    graph.check(batch, classes);
    FloatBuffer values = batch.values();
    LossScale scale = lossScale;
    Outcome outcome = step(values, classes, scale);
    while (scale.isToBlame(outcome)) {
      scale = lossScaleAfter(scale, outcome, 1);
      outcome = step(values, classes, scale);
    }
    if (!outcome.isFinite()) {
      throw notFinite(outcome, "", badImage(values, 0, "the batch"));
    }
    lossScale = lossScaleAfter(scale, outcome, 1);
    taken++;
    count(classes);
    return outcome.loss();
  }

  private Outcome step(FloatBuffer values, int[] classes, LossScale scale) {
    return graph.step(values, classes, taken, skipped, total, scale.factor(), () -> {});
  }

  /**
   * Takes those that are left.
   *
   * @param time that fixes how many there are, if that is not known
   */
  void take(Dataset data, Duration time, Predicate<TrainingProgress> listener) {
    data.checkFits(info.withClassNames(classNames));
    if (info.classes() > 0 && classNames.isEmpty()) {
      classNames = data.classNames();
    }
    double budget = time.toMillis() / 1e3;
    Pace pace = new Pace();
    boolean goOn = true;
    int skippedInARow = 0;
    boolean shown = elsewhere.isEmpty() && options.localSteps() == 0;
    try (Batches batches = new Batches(data, options, info.classes() > 0, shown, taken + skipped)) {
      while (goOn && isOneLeft()) {
        checkNotInterrupted();
        pace.starts();
        int together = together();
        List<Batches.Batch> batch = new ArrayList<>();
        for (int i = 1; i <= together; i++) {
          batch.add(batches.next(hasStepAfter(taken + i)));
        }
        Outcome outcome = attempt(batch.get(0), data);
        boolean scaleToBlame = lossScale.isToBlame(outcome);
        lossScale = lossScaleAfter(lossScale, outcome, together);
        if (!outcome.isFinite()) {
          skipped += together;
          if (scaleToBlame) {
            continue;
          }
          skippedInARow++;
          if (skippedInARow == MAX_SKIPPED_IN_A_ROW) {
            throw notFinite(
                outcome,
                ", " + skippedInARow + " times in a row",
                shown
                    ? badImage(batch.get(0).images(), 0, "the batch")
                    : badImage(data, taken + skipped - together, together));
          }
          continue;
        }
        skippedInARow = 0;
        taken += together;
        double learningRate = options.optimizer().learningRate(taken - 1, total);
        batch.forEach(each -> count(each.labels()));
        pace.ends(together);
        if (total == 0 && pace.canTell(budget, options.optimizer().warmupSteps())) {
          setTotal(taken + pace.stepsLeft(budget));
        }
        goOn =
            listener.test(
                new TrainingProgress(
                    taken,
                    total,
                    outcome.loss(),
                    outcome.norm(),
                    learningRate,
                    options.batchSize() / pace.secondsPerStep(),
                    pace.left(total - taken),
                    skipped));
      }
    } finally {
      // What is saved after this is resumed with the steps that this training would have had.
      if (total == 0 && pace.isTimed()) {
        setTotal(taken + pace.stepsLeft(budget));
      }
    }
  }

  void computeGradientsBy(Optional<GradientSource> source) {
    elsewhere = source;
  }

  void trainReplicasBy(Optional<ReplicaSource> source) {
    replicasElsewhere = source;
  }

  /** Returns how many steps are taken or skipped next, as one. */
  private int together() {
    return options.localSteps() == 0 ? 1 : localSteps.count(taken, total);
  }

  private Outcome attempt(Batches.Batch batch, Dataset data) {
    if (options.localSteps() > 0) {
      Round round = localSteps.begin(taken, skipped, total, lossScale.factor());
      return localSteps.average(
          round,
          replicasElsewhere
              .orElse((from, count) -> localSteps.train(from, data, this::checkNotInterrupted))
              .train(round, options.parts().size()));
    }
    if (elsewhere.isEmpty()) {
      return graph.step(
          batch.images(),
          batch.labels(),
          taken,
          skipped,
          total,
          lossScale.factor(),
          this::checkNotInterrupted);
    }
    int parts = options.parts().size();
    return graph.step(
        elsewhere
            .get()
            .compute(graph.bytes(Vector.WEIGHTS), taken + skipped, lossScale.factor(), parts),
        taken,
        total);
  }

  private void checkNotInterrupted() {
    if (Thread.currentThread().isInterrupted()) {
      throw new CancellationException(
          "training was interrupted after step %s%s"
              .formatted(taken, total == 0 ? "" : " of " + total));
    }
  }

  /** Says what happened, and what may be the reason: an image, or else the learning rate. */
  private IllegalStateException notFinite(
      Outcome outcome, String howOften, Optional<String> badImage) {
    return new IllegalStateException(
        "the loss is %s and the gradient's norm %s at step %s%s; the weights stay as they were, %s"
            .formatted(
                outcome.loss(),
                outcome.norm(),
                taken,
                howOften,
                badImage.orElse("try a lower learning rate")));
  }

  /** Looks at the images of some attempts, which whoever took the steps has read elsewhere. */
  private Optional<String> badImage(Dataset data, long attempt, int together) {
    for (int i = 0; i < together; i++) {
      String where = together == 1 ? "the batch" : "the batch of step " + (taken + i);
      for (Part part : options.parts()) {
        Batches.Batch images = Batches.part(part, attempt + i, data, options, false);
        Optional<String> bad = badImage(images.images(), part.from(), where);
        if (bad.isPresent()) {
          return bad;
        }
      }
    }
    return Optional.empty();
  }

  /** Returns which image has a value that is not finite, if one has. */
  private Optional<String> badImage(FloatBuffer images, int first, String where) {
    int bad = TrainingGraph.firstNotFinite(images);
    return bad < 0
        ? Optional.empty()
        : Optional.of(
            "image %s of %s has the value %s"
                .formatted(first + bad / info.imageSize(), where, images.get(bad)));
  }
}

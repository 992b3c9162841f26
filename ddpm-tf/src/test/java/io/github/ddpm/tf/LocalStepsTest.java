package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.Ints;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.Snapshot;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.function.IntConsumer;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class LocalStepsTest {
  private static final int SIZE = 16;
  private static final UNetConfig NETWORK =
      UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 16).withClasses(10);
  private static final Dataset DIGITS = Digits.dataset(100, SIZE, 1);
  private static final TrainingOptions PLAIN =
      TrainingOptions.defaults().withBatchSize(7).withMicroBatch(3).withLearningRate(2e-3, 2);

  /** Replicas of 3, 3 and 1 images. */
  private static final TrainingOptions OPTIONS = PLAIN.withLocalSteps(3);

  private static final double[] SHARES = {3 / 7.0, 3 / 7.0, 1 / 7.0};

  @TempDir Path folder;

  @AfterEach
  void isNotInterruptedAnyMore() {
    Thread.interrupted();
  }

  @ParameterizedTest
  // Float16Test has that of float16, which takes longest.
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "FLOAT16")
  void replicasTrainedElsewhereInAnyOrderGiveTheSameTraining(Precision precision)
      throws IOException {
    TrainingOptions options = OPTIONS.withPrecision(precision);
    List<TrainingProgress> here = new ArrayList<>();
    try (Trainer trainer = trainer(options)) {
      trainer.train(DIGITS, here::add);
      trainer.save(folder.resolve("here"));
      assertThat(trainer.info().labelCounts().stream().mapToLong(n -> n).sum()).isEqualTo(8 * 7);
    }
    List<Double> elsewhere = new ArrayList<>();
    try (Trainer trainer = trainer(options);
        GradientWorker one = GradientWorker.open(trainer.description());
        GradientWorker other = GradientWorker.open(trainer.description())) {
      trainer.trainReplicasBy(
          (round, replicas) -> {
            List<Replica> trained = new ArrayList<>();
            for (int k = replicas - 1; k >= 0; k--) {
              GradientWorker worker = (round.taken() + k) % 2 == 0 ? one : other;
              worker.train(round, k, DIGITS);
              trained.add(worker.train(round, k, DIGITS));
            }
            Collections.reverse(trained);
            return trained;
          });
      trainer.train(DIGITS, progress -> elsewhere.add(progress.loss()));
      trainer.save(folder.resolve("elsewhere"));
    }
    assertThat(here).extracting(TrainingProgress::step).containsExactly(3L, 6L, 8L);
    assertThat(here)
        .extracting(TrainingProgress::learningRate)
        .containsExactly(
            options.optimizer().learningRate(2, 8),
            options.optimizer().learningRate(5, 8),
            options.optimizer().learningRate(7, 8));
    assertThat(here).extracting(TrainingProgress::loss).containsExactlyElementsOf(elsewhere);
    assertSame("elsewhere", "here");
  }

  @Test
  void aRoundEndsWithTheMeanOfItsReplicas() throws IOException {
    List<Round> rounds = new ArrayList<>();
    List<List<Replica>> replicas = new ArrayList<>();
    List<float[]> averages = new ArrayList<>();
    try (Trainer trainer = trainer(OPTIONS);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      trainer.trainReplicasBy(
          (round, count) -> {
            rounds.add(round);
            replicas.add(trained(worker, round, count, DIGITS));
            return replicas.get(replicas.size() - 1);
          });
      trainer.train(
          DIGITS,
          progress -> {
            averages.add(average(trainer));
            return true;
          });
    }
    assertThat(rounds).extracting(Round::steps).containsExactly(3, 3, 2);
    for (int i = 0; i < 2; i++) {
      List<Replica> of = replicas.get(i);
      for (int vector = 0; vector < 3; vector++) {
        float[] mean = new float[averages.get(0).length];
        for (int j = 0; j < mean.length; j++) {
          double sum = 0;
          for (int k = 0; k < 3; k++) {
            sum += SHARES[k] * floats(of.get(k).vectors().get(vector)).get(j);
          }
          mean[j] = (float) sum;
        }
        assertThat(array(rounds.get(i + 1).vectors().get(vector))).isEqualTo(mean);
      }
      assertThat(of.get(0).vectors().get(0)).isNotEqualTo(of.get(1).vectors().get(0));
    }
    float[] first = array(rounds.get(1).vectors().get(0));
    assertThat(averages.get(0)).as("the first step keeps nothing").isEqualTo(first);
    float[] second = array(rounds.get(2).vectors().get(0));
    double kept = PLAIN.ema().decay(3) * PLAIN.ema().decay(4) * PLAIN.ema().decay(5);
    float[] expected = new float[second.length];
    for (int j = 0; j < second.length; j++) {
      expected[j] = (float) (first[j] + (1 - kept) * ((double) second[j] - first[j]));
    }
    assertThat(averages.get(1)).isEqualTo(expected);
  }

  private static List<Replica> trained(
      GradientWorker worker, Round round, int count, Dataset data) {
    return IntStream.range(0, count).mapToObj(k -> worker.train(round, k, data)).toList();
  }

  /** The first replica draws what a training of its images alone would. */
  @Test
  void aReplicaTakesTheStepsOfATrainingOfItsPart() throws IOException {
    List<Replica> first = new ArrayList<>();
    try (Trainer trainer = trainer(OPTIONS);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      trainer.trainReplicasBy(
          (round, count) -> {
            List<Replica> all = trained(worker, round, count, DIGITS);
            first.add(all.get(0));
            return all;
          });
      trainer.train(DIGITS, progress -> false);
    }
    double sum = 0;
    try (Trainer alone = trainer(PLAIN.withBatchSize(3).withMicroBatch(0))) {
      for (int step = 0; step < 3; step++) {
        int[] part = Arrays.copyOf(DIGITS.batch(step * 7L, 7, PLAIN.seed()), 3);
        sum += alone.step(DIGITS.images(part), DIGITS.labels(part));
      }
      alone.save(folder);
    }
    assertThat(first.get(0).loss()).isEqualTo(sum / 3);
    List<Vector> vectors = List.of(Vector.WEIGHTS, Vector.ADAM_M, Vector.ADAM_V);
    for (int i = 0; i < 3; i++) {
      assertThat(array(first.get(0).vectors().get(i))).isEqualTo(saved(folder, vectors.get(i)));
    }
  }

  @Test
  void replicasLearnFromModelsToo() throws IOException {
    for (String model : List.of("model", "guide")) {
      try (Trainer trainer = trainer(PLAIN.withSeed(model.equals("guide") ? 1 : 0))) {
        trainer.save(folder.resolve(model));
      }
    }
    for (boolean here : new boolean[] {true, false}) {
      try (Trainer trainer =
              Trainer.distill(
                  folder.resolve("model"), new Autoguidance(folder.resolve("guide"), 2), OPTIONS);
          GradientWorker worker = GradientWorker.open(trainer.description())) {
        if (!here) {
          trainer.trainReplicasBy((round, count) -> trained(worker, round, count, DIGITS));
        }
        trainer.setTotalSteps(3);
        trainer.train(DIGITS, progress -> true);
        trainer.save(folder.resolve(here ? "here" : "elsewhere"));
      }
    }
    assertSame("elsewhere", "here");
  }

  /**
   * The first moment is linear in the gradient, and the mean of squares is at least the square of
   * the mean.
   */
  @Test
  void afterOneLocalStepTheMomentsAreThoseOfAllGradients() throws IOException {
    TrainingOptions plain =
        PLAIN.withPrecision(Precision.FLOAT32).withMaxGradientNorm(Double.POSITIVE_INFINITY);
    for (TrainingOptions options : List.of(plain, plain.withLocalSteps(1))) {
      // Of one timestep: those of a batch's parts are spaced as one, those of replicas each for
      // itself.
      try (Trainer trainer =
          Trainer.create(NETWORK, BetaSchedule.of(0.5), PredictionType.EPSILON, options)) {
        trainer.setTotalSteps(8);
        trainer.train(DIGITS, progress -> false);
        assertThat(trainer.stepsTaken()).isEqualTo(1);
        trainer.save(folder.resolve("every " + options.localSteps()));
      }
    }
    Path accumulated = folder.resolve("every 0");
    Path averaged = folder.resolve("every 1");
    assertThat(saved(averaged, Vector.ADAM_M))
        .containsExactly(saved(accumulated, Vector.ADAM_M), within(1e-8f));
    float[] ofMean = saved(accumulated, Vector.ADAM_V);
    float[] meanOf = saved(averaged, Vector.ADAM_V);
    double more = 0;
    for (int i = 0; i < ofMean.length; i++) {
      assertThat(meanOf[i]).isGreaterThanOrEqualTo(ofMean[i] * 0.9999f);
      more += meanOf[i] - ofMean[i];
    }
    assertThat(more).as("replicas differ").isGreaterThan(1e-6);
  }

  @Test
  void aTrainingThatStoppedOrFailedGoesOnBitForBit() throws IOException {
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("in one go"));
    }
    Thread training = Thread.currentThread();
    int inSecondRound = DIGITS.batch(4 * 7L, 7, OPTIONS.seed())[4];
    try (Trainer trainer = trainer(OPTIONS)) {
      Dataset interrupting =
          digits(
              index -> {
                if (index == inSecondRound) {
                  training.interrupt();
                }
              });
      assertThatThrownBy(() -> trainer.train(interrupting, progress -> true))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted after step 3 of 8");
      assertThat(Thread.interrupted()).as("is kept").isTrue();
      assertThat(trainer.stepsTaken()).isEqualTo(3);
      trainer.save(folder.resolve("stopped"));
    }
    try (Trainer trainer = Trainer.resume(folder.resolve("stopped"))) {
      assertThat(trainer.options()).isEqualTo(OPTIONS);
      trainer.trainReplicasBy(
          (round, count) -> {
            throw new IllegalStateException("the cluster is gone");
          });
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessage("the cluster is gone");
      assertThat(trainer.stepsTaken()).isEqualTo(3);
      trainer.computeGradients();
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("stopped"));
    }
    assertSame("stopped", "in one go");
  }

  @Test
  void aRoundWithAStepThatIsNotFiniteIsSkipped() throws IOException {
    int inSecondRound = DIGITS.batch(4 * 7L, 7, OPTIONS.seed())[4];
    List<Round> rounds = new ArrayList<>();
    for (boolean here : new boolean[] {true, false}) {
      try (Trainer trainer = trainer(OPTIONS);
          GradientWorker worker = GradientWorker.open(trainer.description())) {
        if (!here) {
          trainer.trainReplicasBy(
              (round, count) -> {
                rounds.add(round);
                return trained(worker, round, count, broken(index -> index == inSecondRound));
              });
        }
        trainer.train(broken(index -> index == inSecondRound), progress -> true);
        trainer.save(folder.resolve(here ? "here" : "elsewhere"));
      }
    }
    assertThat(rounds).extracting(Round::taken).containsExactly(0L, 3L, 3L, 6L);
    assertThat(rounds).extracting(Round::skipped).containsExactly(0L, 0L, 3L, 3L);
    assertThat(rounds.get(2).vectors()).isEqualTo(rounds.get(1).vectors());
    assertSame("elsewhere", "here");
    try (Trainer trainer = trainer(OPTIONS.withLearningRate(1e30, 0))) {
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessageMatching(
              "the loss is NaN and the gradient's norm NaN at step 0, 10 times in a row; the weights"
                  + " stay as they were, try a lower learning rate");
      assertThat(trainer.stepsTaken()).isZero();
    }
  }

  /** As it is where one process takes the steps and sees their batches. */
  @Test
  void anImageThatIsNotFiniteIsNamedWhoeverReadIt() throws IOException {
    // The last of ten rounds has the batches from 27 on. All of the first is good, and of the
    // second what comes before image 3.
    Set<Integer> good = Set.copyOf(Ints.asList(DIGITS.batch(27 * 7L, 7 + 3, OPTIONS.seed())));
    try (Trainer trainer = trainer(OPTIONS)) {
      assertThatThrownBy(
              () -> trainer.train(broken(index -> !good.contains(index)), progress -> true))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "the loss is NaN and the gradient's norm NaN at step 0, 10 times in a row; the weights"
                  + " stay as they were, image 3 of the batch of step 1 has the value NaN");
    }
    Set<Integer> goodOfTheTenth = Set.copyOf(Ints.asList(DIGITS.batch(9 * 7L, 4, PLAIN.seed())));
    Dataset broken = broken(index -> !goodOfTheTenth.contains(index));
    try (Trainer trainer = trainer(PLAIN);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      trainer.computeGradientsBy(
          (weights, attempt, lossScale, parts) ->
              IntStream.range(0, parts)
                  .mapToObj(
                      part -> worker.compute(weights.duplicate(), attempt, lossScale, part, broken))
                  .toList());
      assertThatThrownBy(() -> trainer.train(broken, progress -> true))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageEndingWith(
              "10 times in a row; the weights stay as they were, image 4 of the batch has the value NaN");
    }
  }

  private static Dataset broken(IntPredicate broken) {
    return new Dataset(100, SIZE, SIZE, 1, 10) {
      @Override
      protected void read(int index, FloatBuffer into) {
        float[] values = DIGITS.images(index).toArray();
        values[5] = broken.test(index) ? Float.NaN : values[5];
        into.put(values);
      }

      @Override
      protected int readLabel(int index) {
        return DIGITS.label(index);
      }
    };
  }

  private static Dataset digits(IntConsumer whenRead) {
    return new Dataset(100, SIZE, SIZE, 1, 10) {
      @Override
      protected void read(int index, FloatBuffer into) {
        whenRead.accept(index);
        into.put(DIGITS.floats(index));
      }

      @Override
      protected int readLabel(int index) {
        return DIGITS.label(index);
      }
    };
  }

  @Test
  void timeFixesTheNumberOfSteps() {
    try (Trainer trainer = trainer(OPTIONS, 0)) {
      trainer.train(DIGITS, Duration.ofSeconds(2), progress -> true);
      assertThat(trainer.stepsTaken()).isEqualTo(trainer.totalSteps()).isGreaterThan(3);
    }
  }

  @Test
  void aStateSaysOfLocalStepsIfThereAreAny() throws IOException {
    for (TrainingOptions options : List.of(PLAIN, OPTIONS)) {
      Path model = folder.resolve("every " + options.localSteps());
      try (Trainer trainer = trainer(options)) {
        trainer.save(model);
        assertThat(trainer.description().contains("localSteps")).isEqualTo(options.equals(OPTIONS));
      }
      assertThat(
              Json.read(model.resolve("training/state.json")).at("/options/localSteps").asInt(-1))
          .isEqualTo(options.equals(OPTIONS) ? 3 : -1);
    }
  }

  @Test
  void whatDoesNotFitIsRefused() throws IOException {
    assertThatThrownBy(() -> PLAIN.withLocalSteps(-1))
        .hasMessage("local steps must be at least 0, got -1");
    assertThatThrownBy(() -> trainer(OPTIONS.withMicroBatch(0)))
        .hasMessage(
            "local steps are taken by replicas, one for each part of a batch: microBatch must be in"
                + " [1, 6], got 0");
    try (Trainer plain = trainer(PLAIN);
        Trainer trainer = trainer(OPTIONS);
        GradientWorker ofPlain = GradientWorker.open(plain.description());
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      ReplicaSource none = (round, replicas) -> List.of();
      assertThatThrownBy(() -> plain.trainReplicasBy(none))
          .hasMessage(
              "without local steps gradients are computed elsewhere, not replicas trained: call"
                  + " computeGradientsBy");
      assertThatThrownBy(
              () -> trainer.computeGradientsBy((weights, attempt, lossScale, parts) -> List.of()))
          .hasMessage(
              "with 3 local steps replicas are trained elsewhere, not gradients computed: call"
                  + " trainReplicasBy");
      assertThatThrownBy(() -> trainer.step(DIGITS.images(0), DIGITS.labels(0)))
          .hasMessage(
              "replicas take local steps by batches of their own, so no batch can be given: call"
                  + " train");
      trainer.trainReplicasBy(none);
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessage("there must be 3 replicas, got 0");
      trainer.trainReplicasBy(
          (round, replicas) ->
              Collections.nCopies(replicas, new Replica(List.of(ByteBuffer.allocate(4)), 1, 1)));
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessageMatching("a replica must have 3 vectors of \\d+ bytes, got \\[4\\]");
      Round round = new Round(List.of(), 0, 0, 0, 1, 1);
      assertThatThrownBy(() -> ofPlain.train(round, 0, DIGITS))
          .hasMessage("a training without local steps has no replicas: call compute, not train");
      assertThatThrownBy(() -> worker.compute(ByteBuffer.allocate(0), 0, 1, 0, DIGITS))
          .hasMessage("a training with local steps is one of replicas: call train, not compute");
      assertThatThrownBy(() -> worker.train(round, 0, DIGITS))
          .hasMessageMatching("a replica must have 3 vectors of \\d+ bytes, got \\[\\]");
      assertThatThrownBy(() -> worker.train(round, 0, Digits.dataset(4, 8, 1)))
          .hasMessage("the network is for pictures of 16x16x1, got 8x8x1");
    }
    assertThatThrownBy(() -> new Round(List.of(), 0, -1, 0, 1, 1))
        .hasMessage("steps taken and skipped must be at least 0, got 0 and -1");
    assertThatThrownBy(() -> new Round(List.of(), 5, 0, 5, 1, 1))
        .hasMessage("total steps must be 0 or above 5, got 5");
    assertThatThrownBy(() -> new Round(List.of(), 0, 0, 0, 0, 1))
        .hasMessage("steps of a round must be at least 1, got 0");
    assertThatThrownBy(() -> new Round(List.of(), 0, 0, 0, 1, 0))
        .hasMessage("loss scale must be a power of 2 in [1, 16777216], got 0");
  }

  @Test
  void aWorkerKnowsItsReplicasAndItsEnd() throws IOException {
    try (Trainer trainer = trainer(OPTIONS)) {
      List<Round> rounds = new ArrayList<>();
      trainer.trainReplicasBy(
          (round, replicas) -> {
            rounds.add(round);
            throw new IllegalStateException("seen");
          });
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true)).hasMessage("seen");
      GradientWorker worker = GradientWorker.open(trainer.description());
      assertThatThrownBy(() -> worker.train(rounds.get(0), 3, DIGITS))
          .isInstanceOf(IndexOutOfBoundsException.class);
      Thread.currentThread().interrupt();
      assertThatThrownBy(() -> worker.train(rounds.get(0), 0, DIGITS))
          .isInstanceOf(CancellationException.class)
          .hasMessage("the replica's training was interrupted");
      assertThat(Thread.interrupted()).as("is kept").isTrue();
      worker.close();
      assertThatThrownBy(() -> worker.train(rounds.get(0), 0, DIGITS))
          .hasMessage("the worker is closed");
    }
  }

  private static FloatBuffer floats(ByteBuffer vector) {
    return vector.duplicate().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
  }

  private static float[] array(ByteBuffer vector) {
    float[] values = new float[vector.remaining() / Float.BYTES];
    floats(vector).get(values);
    return values;
  }

  private float[] average(Trainer trainer) {
    try {
      trainer.save(folder.resolve("average"));
      return saved(folder.resolve("average"), Vector.EMA);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static float[] saved(Path model, Vector vector) throws IOException {
    try (ModelFolder saved = ModelFolder.read(Snapshot.ofTraining(model))) {
      return TrainingFolder.read(saved.files(), vector, ModelFiles.layout(saved));
    }
  }

  private void assertSame(String one, String other) {
    for (String file :
        List.of(
            "weights.safetensors",
            "ema.safetensors",
            "adam_m.safetensors",
            "adam_v.safetensors",
            "state.json")) {
      Path saved = Path.of("training", file);
      assertThat(folder.resolve(one).resolve(saved))
          .hasSameBinaryContentAs(folder.resolve(other).resolve(saved));
    }
  }

  private static Trainer trainer(TrainingOptions options) {
    return trainer(options, 8);
  }

  private static Trainer trainer(TrainingOptions options, int totalSteps) {
    Trainer trainer =
        Trainer.create(NETWORK, BetaSchedule.cosine(), PredictionType.V_PREDICTION, options);
    if (totalSteps > 0) {
      trainer.setTotalSteps(totalSteps);
    }
    return trainer;
  }
}

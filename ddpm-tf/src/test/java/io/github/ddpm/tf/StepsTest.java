package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.primitives.Floats;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What ends a training, and what it leaves then. */
class StepsTest {
  private static final int SIZE = 8;
  private static final Dataset DIGITS = Digits.dataset(100, SIZE, 1);
  private static final TrainingOptions OPTIONS =
      TrainingOptions.defaults().withBatchSize(8).withLearningRate(2e-3, 10).withSeed(5);
  private static final List<String> SAVED =
      List.of(
          "training/weights.safetensors",
          "training/ema.safetensors",
          "training/adam_m.safetensors",
          "training/adam_v.safetensors",
          "training/state.json",
          "unet/config.json",
          "unet/diffusion_pytorch_model.safetensors");

  @TempDir Path folder;

  /** Digits of which some can't be used. */
  private static class Broken extends Dataset {
    private final IntPredicate isBroken;

    Broken(IntPredicate isBroken) {
      super(100, SIZE, SIZE, 1, 10);
      this.isBroken = isBroken;
    }

    @Override
    protected void read(int index, FloatBuffer into) {
      float[] values = DIGITS.images(index).toArray();
      values[5] = isBroken.test(index) ? Float.NaN : values[5];
      into.put(values);
    }

    @Override
    protected int readLabel(int index) {
      return DIGITS.label(index);
    }
  }

  @AfterEach
  void isNotInterruptedAnyMore() {
    Thread.interrupted();
  }

  /** All pictures and labels are alike and the weights stay, so a loss is that of its draws. */
  @Test
  void aSkippedStepUsesUpItsBatchAndItsRandomness() {
    TrainingOptions frozen = OPTIONS.withLearningRate(1e-12, 1);
    List<Double> all = lossesOfGray(frozen, -1);
    List<Double> skipping = lossesOfGray(frozen, DIGITS.batch(3 * 8L, 8, frozen.seed())[4]);
    assertThat(skipping).hasSize(12);
    assertThat(skipping.subList(0, 3)).isEqualTo(all.subList(0, 3));
    for (int i = 3; i < 11; i++) {
      assertThat(skipping.get(i)).isCloseTo(all.get(i + 1), within(1e-6));
    }
    assertThat(all.get(3)).isNotCloseTo(all.get(4), within(1e-3));
  }

  private static List<Double> lossesOfGray(TrainingOptions options, int broken) {
    Dataset gray =
        new Dataset(100, SIZE, SIZE, 1, 10) {
          @Override
          protected void read(int index, FloatBuffer into) {
            float[] values = new float[SIZE * SIZE];
            values[0] = index == broken ? Float.NaN : 0;
            into.put(values);
          }

          @Override
          protected int readLabel(int index) {
            return 1;
          }
        };
    List<Double> losses = new ArrayList<>();
    AtomicInteger skipped = new AtomicInteger();
    try (Trainer trainer = trainer(options)) {
      trainer.setTotalSteps(12);
      trainer.train(
          gray,
          progress -> {
            skipped.set((int) progress.skipped());
            return losses.add(progress.loss());
          });
    }
    assertThat(skipped).hasValue(broken < 0 ? 0 : 1);
    return losses;
  }

  /** The last step is skipped as well, after which no batch is on its way. */
  @Test
  void aTrainingThatSkippedGoesOnBitForBit() throws IOException {
    int last = DIGITS.batch(19 * 8L, 8, OPTIONS.seed())[0];
    Dataset broken = new Broken(index -> index == last);
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(19);
      trainer.train(broken, progress -> true);
      assertThat(trainer.stepsTaken()).isEqualTo(19);
      trainer.save(whole);
    }
    assertThat(Json.read(whole.resolve("training/state.json")).get("skipped").asInt())
        .isGreaterThan(1);
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(19);
      trainer.train(broken, progress -> progress.step() < 13);
      trainer.save(halves);
    }
    try (Trainer trainer = Trainer.resume(halves)) {
      trainer.train(broken, progress -> true);
      trainer.save(halves);
    }
    assertSame(halves, whole);
  }

  @Test
  void tenSkippedInARowEndTrainingAndChangeNothing() throws IOException {
    Path before = folder.resolve("before");
    Path after = folder.resolve("after");
    AtomicInteger read = new AtomicInteger();
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(20);
      trainer.train(DIGITS, progress -> progress.step() < 5);
      trainer.save(before);
      Dataset broken =
          new Broken(
              index -> {
                read.incrementAndGet();
                return true;
              });
      assertThatThrownBy(() -> trainer.train(broken, progress -> true))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "the loss is NaN and the gradient's norm NaN at step 5, 10 times in a row; the weights"
                  + " stay as they were, image 0 of the batch has the value NaN");
      assertThat(read.get()).isBetween(10 * 8, 11 * 8);
      trainer.save(after);
      Path state = after.resolve("training/state.json");
      ObjectNode json = (ObjectNode) Json.read(state);
      assertThat(json.get("skipped").asInt()).isEqualTo(10);
      Json.write(state, json.put("skipped", 0));
      assertSame(after, before);
      trainer.train(DIGITS, progress -> true);
      assertThat(trainer.stepsTaken()).isEqualTo(20);
    }
  }

  @Test
  void aStateThatIsOlderThanSkippingSkippedNothing() throws IOException {
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    train(whole, 10);
    train(halves, 5);
    Fixtures.unseal(halves);
    Path state = halves.resolve("training/state.json");
    ObjectNode json = (ObjectNode) Json.read(state);
    json.remove("skipped");
    Json.write(state, json);
    resume(halves);
    assertSame(halves, whole);
    Fixtures.unseal(halves);
    json.put("skipped", -1);
    Json.write(state, json);
    assertThatThrownBy(() -> Trainer.resume(halves))
        .isInstanceOf(IOException.class)
        .hasMessage(state + ": skipped must be at least 0 and at most 4294967290, got -1");
  }

  /** What was learned until then is not known, and what comes after says nothing of it. */
  @Test
  void aStateThatIsOlderThanCountingLabelsKnowsNone() throws IOException {
    train(folder, 5);
    Fixtures.unseal(folder);
    Path state = folder.resolve("training/state.json");
    ObjectNode json = (ObjectNode) Json.read(state);
    json.remove("label_counts");
    Json.write(state, json);
    resume(folder);
    assertThat(ModelFolder.read(folder).config().info().labelCounts()).isEmpty();
    try (Trainer trainer = Trainer.resume(folder)) {
      assertThat(trainer.info().labelCounts()).isEmpty();
    }
    Map<String, String> bad =
        Map.of(
            "[1, 2]", "there must be one label count for each of 10 classes, got 2",
            "[1.5]", "label_counts must be whole numbers, got 1.5",
            "{}", "label_counts must be a list, got {}");
    Fixtures.unseal(folder);
    for (Map.Entry<String, String> each : bad.entrySet()) {
      Json.write(state, json.set("label_counts", Json.MAPPER.readTree(each.getKey())));
      assertThatThrownBy(() -> Trainer.resume(folder))
          .isInstanceOf(IOException.class)
          .hasMessage(state + ": " + each.getValue());
    }
  }

  /** Trains for 10 steps, of which so many are taken, and saves. */
  private static void train(Path out, int taken) throws IOException {
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(10);
      trainer.train(DIGITS, progress -> progress.step() < taken);
      trainer.save(out);
    }
  }

  private static void resume(Path out) throws IOException {
    try (Trainer trainer = Trainer.resume(out)) {
      trainer.train(DIGITS, progress -> true);
      trainer.save(out);
    }
  }

  @Test
  void anInterruptEndsTrainingAfterTheStepAndItGoesOnBitForBit() throws IOException {
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    train(whole, 10);
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(10);
      assertThatThrownBy(
              () ->
                  trainer.train(
                      DIGITS,
                      progress -> {
                        if (progress.step() == 4) {
                          Thread.currentThread().interrupt();
                        }
                        return true;
                      }))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted after step 4 of 10");
      assertThat(trainer.stepsTaken()).isEqualTo(4);
      trainer.save(halves);
      assertThat(Thread.interrupted()).as("is kept, and no reason not to save").isTrue();
    }
    resume(halves);
    assertSame(halves, whole);
  }

  /** The second batch is read while the first step is taken, which has many parts. */
  @Test
  void anInterruptWithinAStepGivesItUp() throws IOException {
    TrainingOptions parts = OPTIONS.withBatchSize(64).withMicroBatch(1);
    Thread training = Thread.currentThread();
    int second = DIGITS.batch(64, 64, parts.seed())[0];
    Dataset interrupting =
        new Broken(
            index -> {
              if (index == second) {
                training.interrupt();
              }
              return false;
            });
    int[] first = DIGITS.batch(0, 64, parts.seed());
    assertThat(first).doesNotContain(second);
    Path before = folder.resolve("before");
    Path after = folder.resolve("after");
    try (Trainer trainer = trainer(parts)) {
      trainer.setTotalSteps(10);
      trainer.save(before);
      assertThatThrownBy(() -> trainer.train(interrupting, progress -> true))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted after step 0 of 10");
      assertThat(Thread.interrupted()).as("is kept").isTrue();
      trainer.save(after);
    }
    assertSame(after, before);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void aStepGivenUpBeforeAnyPartChangesNothing(int part) throws IOException {
    TrainingOptions parts = OPTIONS.withMicroBatch(2);
    int[] indices = DIGITS.batch(0, 8, 1);
    FloatBuffer batch = DIGITS.floats(indices);
    int[] labels = DIGITS.labels(indices);
    TrainingStart start =
        TrainingStart.random(network(), BetaSchedule.cosine(), PredictionType.EPSILON, parts);
    List<float[]> vectors = new ArrayList<>();
    for (boolean givingUp : new boolean[] {true, false}) {
      try (TrainingGraph graph =
          new TrainingGraph(start.model(), parts, Optional.empty(), start.layout())) {
        graph.set(start.vectors());
        graph.step(batch, labels, 0, 0, 9, 1, () -> {});
        float[] before = vectors(graph);
        AtomicInteger left = new AtomicInteger(part);
        if (givingUp) {
          assertThatThrownBy(
                  () ->
                      graph.step(
                          batch,
                          labels,
                          1,
                          0,
                          9,
                          1,
                          () -> {
                            if (left.getAndDecrement() == 0) {
                              throw new CancellationException("enough");
                            }
                          }))
              .hasMessage("enough");
          assertThat(vectors(graph)).isEqualTo(before);
        }
        graph.step(batch, labels, 1, 0, 9, 1, () -> {});
        vectors.add(vectors(graph));
        assertThat(vectors(graph)).isNotEqualTo(before);
      }
    }
    assertThat(vectors.get(0)).isEqualTo(vectors.get(1));
  }

  /** Returns all of them, one after the other. */
  private static float[] vectors(TrainingGraph graph) {
    return Floats.concat(Arrays.stream(Vector.values()).map(graph::get).toArray(float[][]::new));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void timeThatIsCutShortFixesTheStepsByThePaceSoFar(boolean interrupt) throws IOException {
    try (Trainer trainer = trainer(OPTIONS.withLearningRate(2e-3, 1000))) {
      List<Double> pace = new ArrayList<>();
      try {
        trainer.train(
            DIGITS,
            Duration.ofMinutes(2),
            progress -> {
              assertThat(progress.totalSteps()).isZero();
              pace.add(progress.imagesPerSecond() / OPTIONS.batchSize());
              if (progress.step() == 6 && interrupt) {
                Thread.currentThread().interrupt();
              }
              return interrupt || progress.step() < 6;
            });
      } catch (CancellationException e) {
        assertThat(e).hasMessage("training was interrupted after step 6");
        assertThat(Thread.interrupted()).isTrue();
      }
      assertThat(trainer.stepsTaken()).isEqualTo(6);
      double expected = 120 * pace.get(5);
      assertThat((double) trainer.totalSteps()).isBetween(0.5 * expected, 1.01 * expected + 6);
      trainer.save(folder);
      try (Trainer resumed = Trainer.resume(folder)) {
        assertThat(resumed.totalSteps()).isEqualTo(trainer.totalSteps());
      }
    }
  }

  @Test
  void timeThatIsCutShortBeforeTheFirstStepFixesNothing() {
    try (Trainer trainer = trainer(OPTIONS)) {
      Thread.currentThread().interrupt();
      assertThatThrownBy(
              () -> trainer.train(DIGITS, Duration.ofMinutes(1), progress -> progress.step() < 1))
          .isInstanceOf(CancellationException.class)
          .hasMessage("training was interrupted after step 0");
      assertThat(trainer.totalSteps()).isZero();
    }
  }

  private static void assertSame(Path actual, Path expected) {
    for (String file : SAVED) {
      assertThat(actual.resolve(file)).hasSameBinaryContentAs(expected.resolve(file));
    }
  }

  private static UNetConfig network() {
    return UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 16).withClasses(10);
  }

  private static Trainer trainer(TrainingOptions options) {
    return Trainer.create(network(), BetaSchedule.cosine(), PredictionType.V_PREDICTION, options);
  }
}

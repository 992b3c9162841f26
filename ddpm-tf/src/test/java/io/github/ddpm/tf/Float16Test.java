package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

/** Training in float16: how near it is to float32, and how its loss scale is found and kept. */
class Float16Test {
  private static final int SIZE = 8;
  private static final int MOST = 1 << 24;
  private static final Dataset DIGITS = Digits.dataset(100, SIZE, 1);

  private static final UNetConfig SMALL =
      UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8).withClasses(10);
  private static final UNetConfig NETWORK = SMALL.withBlockOutChannels(8, 16).withLayersPerBlock(2);

  /** Parts of 3, 3 and 2 images. */
  private static final TrainingOptions OPTIONS =
      TrainingOptions.defaults()
          .withBatchSize(8)
          .withMicroBatch(3)
          .withLearningRate(2e-3, 2)
          .withSeed(5)
          .withPrecision(Precision.FLOAT16);

  @TempDir Path folder;

  /** Pictures that no network of so few steps comes near. */
  private static final class Loud extends Dataset {
    private final float loudness;

    Loud(float loudness) {
      super(100, SIZE, SIZE, 1, 10);
      this.loudness = loudness;
    }

    @Override
    protected void read(int index, FloatBuffer into) {
      for (float value : DIGITS.images(index).toArray()) {
        into.put(loudness * value);
      }
    }

    @Override
    protected int readLabel(int index) {
      return DIGITS.label(index);
    }
  }

  @ParameterizedTest
  @EnumSource
  void lossAndGradientsAreNearThoseOfFloat32(PredictionType type) throws IOException {
    Gradients exact = gradients(type, Precision.FLOAT32, 1, 1);
    for (int factor : new int[] {1 << 10, 1 << 14}) {
      Gradients half = gradients(type, Precision.FLOAT16, factor, 1);
      assertThat(half.loss).isNotEqualTo(exact.loss).isCloseTo(exact.loss, withinPercentage(0.2));
      assertThat(half.difference(exact)).isGreaterThan(0).isLessThan(0.005);
    }
  }

  /**
   * Behind an output layer of small weights, as networks begin with that are to do nothing at
   * first, gradients are below 2^-24, where float16 ends.
   */
  @Test
  void gradientsThatAreRoundedToZeroSurviveWithAScale() throws IOException {
    float small = 1e-6f;
    Gradients exact = gradients(PredictionType.EPSILON, Precision.FLOAT32, 1, small);
    Gradients lost = gradients(PredictionType.EPSILON, Precision.FLOAT16, 1, small);
    Gradients kept = gradients(PredictionType.EPSILON, Precision.FLOAT16, 1 << 16, small);
    assertThat(exact.of("conv_in.weight")).doesNotContain(0f);
    assertThat(lost.of("conv_in.weight")).containsOnly(0f);
    assertThat(lost.of("conv_out.weight")).doesNotContain(0f);
    assertThat(kept.of("conv_in.weight")).doesNotContain(0f);
    assertThat(kept.difference(exact, "conv_in.weight")).isLessThan(0.02);
    assertThat(kept.difference(exact)).isLessThan(0.005);
  }

  /** What teaches is computed in float16, too, and the student goes nearly the same way. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void distillingIsNearFloat32(boolean guided) throws IOException {
    Path model = folder.resolve("model");
    Path guide = folder.resolve("guide");
    save(model, OPTIONS);
    save(guide, OPTIONS.withSeed(6));
    Distillation distillation =
        guided ? new Autoguidance(guide, 2) : new ProgressiveDistillation(model, 4);
    TrainingOptions exact = OPTIONS.withPrecision(Precision.FLOAT32);
    assertThat(distilled(model, distillation, OPTIONS))
        .isNotEqualTo(distilled(model, distillation, exact))
        .isCloseTo(distilled(model, distillation, exact), withinPercentage(2));
  }

  private static void save(Path model, TrainingOptions options) throws IOException {
    try (Trainer trainer = trainer(options)) {
      trainer.save(model);
    }
  }

  /** Returns the loss after three steps. */
  private static double distilled(Path model, Distillation distillation, TrainingOptions options)
      throws IOException {
    double[] loss = new double[1];
    try (Trainer trainer = Trainer.distill(model, distillation, options)) {
      trainer.setTotalSteps(4);
      trainer.train(
          DIGITS,
          progress -> {
            loss[0] = progress.loss();
            return true;
          });
    }
    return loss[0];
  }

  /** The loss of a batch of 8 images, and its gradients by the weights. */
  private record Gradients(double loss, Map<String, Weight> all) {
    float[] of(String name) {
      return floats(all.get(name).values());
    }

    double difference(Gradients other) {
      return difference(other, all.keySet().toArray(String[]::new));
    }

    /** Length of the difference, as a share of that of the other's. */
    double difference(Gradients other, String... names) {
      double difference = 0;
      double length = 0;
      for (String name : names) {
        float[] mine = of(name);
        float[] its = other.of(name);
        for (int i = 0; i < its.length; i++) {
          difference = Math.hypot(difference, (double) mine[i] - its[i]);
          length = Math.hypot(length, its[i]);
        }
      }
      return difference / length;
    }
  }

  /**
   * Computes gradients.
   *
   * @param outputs what the weights of the last layer are multiplied by
   */
  private static Gradients gradients(
      PredictionType type, Precision precision, int factor, float outputs) throws IOException {
    TrainingOptions options = OPTIONS.withMicroBatch(0).withPrecision(precision);
    TrainingStart start = TrainingStart.random(NETWORK, BetaSchedule.cosine(), type, options);
    WeightLayout layout = start.layout();
    float[] weights = start.vectors().of(Vector.WEIGHTS);
    FloatBuffer last = layout.source(weights).get("conv_out.weight", Shape.unknown()).values();
    for (int i = 0; i < last.limit(); i++) {
      last.put(i, outputs * last.get(i));
    }
    try (TrainingGraph graph =
        new TrainingGraph(start.model(), options, Optional.empty(), layout)) {
      graph.set(vector -> weights);
      int[] indices = IntStream.range(0, 8).toArray();
      PartGradient gradient =
          graph.gradient(
              DIGITS.floats(indices), DIGITS.labels(indices), new Part(0, 0, 8, 8), 0, factor);
      FloatBuffer values = gradient.gradient().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      return new Gradients(gradient.loss(), layout.unpack(floats(values)));
    }
  }

  private static float[] floats(FloatBuffer buffer) {
    float[] values = new float[buffer.limit()];
    buffer.get(0, values);
    return values;
  }

  /** It halves more often than so many other steps in a row would end the training. */
  @Test
  void aTrainingDoesNotEndWhileItsScaleIsFound() throws IOException {
    try (Trainer trainer = resumed("start", OPTIONS, MOST, 0)) {
      trainer.setTotalSteps(2);
      long[] skipped = new long[1];
      trainer.train(
          new Loud(1000),
          progress -> {
            skipped[0] = progress.skipped();
            return true;
          });
      assertThat(skipped[0]).isGreaterThan(10);
      assertThat(trainer.stepsTaken()).isEqualTo(2);
      trainer.save(folder.resolve("found"));
      JsonNode state = state("found");
      assertThat(state.get("loss_scale").intValue()).isEqualTo(MOST >> skipped[0]);
      assertThat(state.get("skipped").longValue()).isEqualTo(skipped[0]);
    }
  }

  /**
   * All but noise goes in, and pictures come out that are so loud that the output's gradient is
   * beyond 65504 without a scale, though the loss is finite.
   */
  @ParameterizedTest
  @CsvSource({"1, 10", "8, 13"})
  void aTrainingEndsWhereNoScaleHelps(int factor, int attempts) throws IOException {
    BetaSchedule noisy = BetaSchedule.of(1 - 1e-6);
    save("start", Trainer.create(SMALL, noisy, PredictionType.SAMPLE, OPTIONS), factor, 0);
    try (Trainer trainer = Trainer.resume(folder.resolve("start"))) {
      trainer.setTotalSteps(2);
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.train(new Loud(3e7f), progress -> true))
          .withMessageContaining(", 10 times in a row; the weights stay as they were");
      trainer.save(folder.resolve("ended"));
      assertFile("ended", "start", "training/weights.safetensors");
      assertThat(state("ended").get("skipped").intValue()).isEqualTo(attempts);
      assertThat(state("ended").get("loss_scale").intValue()).isOne();
    }
  }

  @Test
  void aLossThatIsNotFiniteLeavesTheScale() throws IOException {
    try (Trainer trainer = resumed("start", OPTIONS, 4096, 7)) {
      trainer.setTotalSteps(2);
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.train(new Loud(Float.NaN), progress -> true))
          .withMessageContaining("10 times in a row")
          .withMessageEndingWith("image 0 of the batch has the value NaN");
      trainer.save(folder.resolve("ended"));
      assertThat(state("ended").get("skipped").intValue()).isEqualTo(10);
      assertThat(state("ended").get("loss_scale").intValue()).isEqualTo(4096);
      assertThat(state("ended").get("loss_scale_steps").intValue()).isZero();
    }
  }

  /** A batch that is given is not given up, so it is tried with lower ones. */
  @Test
  void aStepOfItsOwnFindsTheScale() throws IOException {
    double loss;
    try (Trainer trainer = resumed("start", OPTIONS, 1, 0)) {
      loss = trainer.step(DIGITS.images(0, 1), DIGITS.labels(0, 1));
    }
    try (Trainer trainer = resumed("start", OPTIONS, MOST, 0)) {
      assertThat(trainer.step(DIGITS.images(0, 1), DIGITS.labels(0, 1))).isEqualTo(loss);
      trainer.save(folder.resolve("stepped"));
      JsonNode state = state("stepped");
      assertThat(state.get("step").intValue()).isOne();
      assertThat(state.get("skipped").intValue()).isZero();
      assertThat(state.get("loss_scale").intValue()).isBetween(2, MOST / 2);
      assertThat(state.get("loss_scale_steps").intValue()).isOne();
      float[] values = new float[SIZE * SIZE];
      Arrays.fill(values, 1e30f);
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.step(Images.of(1, SIZE, SIZE, 1, values), 0))
          .withMessageContaining("at step 1; the weights stay as they were");
      trainer.save(folder.resolve("after"));
      assertSame("after", "stepped");
    }
  }

  /** The scale is halved before the save, and doubled after it. */
  @ParameterizedTest
  @ValueSource(ints = {0, 2})
  void aTrainingThatIsResumedGoesOnWithItsScaleBitForBit(int localSteps) throws IOException {
    TrainingOptions options = OPTIONS.withLocalSteps(localSteps);
    try (Trainer trainer = resumed("start", options, MOST, 0)) {
      trainer.setTotalSteps(12);
      trainer.train(DIGITS, progress -> progress.step() < 4);
      trainer.save(folder.resolve("half"));
    }
    int halved = state("half").get("loss_scale").intValue();
    assertThat(halved).isLessThan(MOST);
    assertThat(state("half").get("loss_scale_steps").intValue()).isEqualTo(4);
    // As if it had taken more.
    change("half", halved, 1994);
    try (Trainer trainer = Trainer.resume(folder.resolve("half"))) {
      trainer.train(DIGITS, progress -> progress.step() < 8);
      trainer.save(folder.resolve("paused"));
      assertThat(state("paused").get("loss_scale_steps").intValue()).isEqualTo(1998);
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("whole"));
    }
    try (Trainer trainer = Trainer.resume(folder.resolve("paused"))) {
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("paused"));
    }
    assertSame("paused", "whole");
    assertThat(state("whole").get("step").intValue()).isEqualTo(12);
    assertThat(state("whole").get("loss_scale").intValue()).isLessThanOrEqualTo(2 * halved);
  }

  /** Skips some steps, or rounds, with too high a scale. */
  @ParameterizedTest
  @ValueSource(ints = {0, 2})
  void workersHaveTheScaleOfTheStep(int localSteps) throws IOException {
    TrainingOptions options = OPTIONS.withLocalSteps(localSteps);
    try (Trainer trainer = resumed("start", options, MOST, 0)) {
      trainer.setTotalSteps(4);
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("here"));
    }
    assertThat(state("here").get("skipped").intValue()).isPositive();
    try (Trainer trainer = resumed("other start", options, MOST, 0);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      trainer.setTotalSteps(4);
      if (localSteps == 0) {
        trainer.computeGradientsBy(
            (weights, attempt, lossScale, parts) ->
                IntStream.range(0, parts)
                    .mapToObj(k -> worker.compute(weights, attempt, lossScale, k, DIGITS))
                    .toList());
      } else {
        trainer.trainReplicasBy(
            (round, replicas) ->
                IntStream.range(0, replicas)
                    .mapToObj(k -> worker.train(round, k, DIGITS))
                    .toList());
      }
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("elsewhere"));
    }
    assertSame("elsewhere", "here");
  }

  @Test
  void aStateWithoutAScaleBeginsWithTheFirst() throws IOException {
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.save(folder);
      assertThat(state(".").get("loss_scale").intValue()).isEqualTo(65536);
      assertThat(state(".").get("loss_scale_steps").intValue()).isZero();
    }
    Fixtures.unseal(folder);
    ObjectNode state = state(".");
    state.remove(List.of("loss_scale", "loss_scale_steps"));
    Json.write(folder.resolve("training/state.json"), state);
    try (Trainer trainer = Trainer.resume(folder)) {
      trainer.save(folder);
      assertThat(state(".").get("loss_scale").intValue()).isEqualTo(65536);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "3, 0, 'state.json: loss scale must be a power of 2 in [1, 16777216], got 3'",
    "8, 2000, 'state.json: steps with a loss scale must be in [0, 1999], got 2000'",
    "8, 1e3, 'state.json: loss_scale_steps must be a whole number, got 1000.0'",
  })
  void aDamagedStateIsNamed(int factor, String steps, String problem) throws IOException {
    save(folder, OPTIONS);
    Fixtures.unseal(folder);
    ObjectNode state = state(".").put("loss_scale", factor);
    state.set("loss_scale_steps", Json.MAPPER.readTree(steps));
    Json.write(folder.resolve("training/state.json"), state);
    assertThatIOException().isThrownBy(() -> Trainer.resume(folder)).withMessageEndingWith(problem);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "FLOAT16")
  void statesOfOtherPrecisionsHaveNone(Precision precision) throws IOException {
    try (Trainer trainer = trainer(OPTIONS.withPrecision(precision))) {
      trainer.save(folder);
      assertThat(state(".").has("loss_scale")).isFalse();
      assertThat(state(".").has("loss_scale_steps")).isFalse();
    }
  }

  private ObjectNode state(String name) throws IOException {
    return (ObjectNode)
        Json.MAPPER.readTree(Files.readString(folder.resolve(name).resolve("training/state.json")));
  }

  private void change(String name, int factor, int steps) throws IOException {
    Fixtures.unseal(folder.resolve(name));
    ObjectNode state = state(name).put("loss_scale", factor).put("loss_scale_steps", steps);
    Json.write(folder.resolve(name).resolve("training/state.json"), state);
  }

  /** A training that begins with a scale. */
  private Trainer resumed(String name, TrainingOptions options, int factor, int steps)
      throws IOException {
    save(name, trainer(options), factor, steps);
    return Trainer.resume(folder.resolve(name));
  }

  private void save(String name, Trainer started, int factor, int steps) throws IOException {
    try (Trainer trainer = started) {
      trainer.save(folder.resolve(name));
    }
    change(name, factor, steps);
  }

  private static Trainer trainer(TrainingOptions options) {
    return Trainer.create(SMALL, BetaSchedule.cosine(), PredictionType.V_PREDICTION, options);
  }

  private void assertSame(String one, String other) {
    for (String file : List.of("weights", "ema", "adam_m", "adam_v")) {
      assertFile(one, other, "training/" + file + ".safetensors");
    }
    assertFile(one, other, "training/state.json");
  }

  private void assertFile(String one, String other, String file) {
    assertThat(folder.resolve(one).resolve(file))
        .hasSameBinaryContentAs(folder.resolve(other).resolve(file));
  }
}

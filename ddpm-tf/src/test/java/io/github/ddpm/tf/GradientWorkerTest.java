package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.withinPercentage;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class GradientWorkerTest {
  private static final int SIZE = 16;
  private static final Dataset DIGITS = Digits.dataset(40, SIZE, 1);
  private static final TrainingOptions OPTIONS =
      TrainingOptions.defaults().withBatchSize(7).withMicroBatch(3).withLearningRate(2e-3, 2);

  @TempDir Path folder;

  @ParameterizedTest
  // Float16Test has that of float16, which takes longest.
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "FLOAT16")
  void partsComputedElsewhereInAnyOrderGiveTheSameTraining(Precision precision) throws IOException {
    TrainingOptions options = OPTIONS.withPrecision(precision);
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer = trainer(options)) {
      trainer.setTotalSteps(4);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      trainer.save(folder.resolve("here"));
    }
    List<Double> elsewhere = new ArrayList<>();
    try (Trainer trainer = trainer(options);
        GradientWorker one = GradientWorker.open(trainer.description());
        GradientWorker other = GradientWorker.open(trainer.description())) {
      trainer.setTotalSteps(4);
      trainer.computeGradientsBy(
          (weights, attempt, lossScale, parts) -> {
            List<PartGradient> gradients = new ArrayList<>();
            for (int k = parts - 1; k >= 0; k--) {
              GradientWorker worker = (attempt + k) % 2 == 0 ? one : other;
              worker.compute(weights, attempt, lossScale, k, DIGITS);
              gradients.add(worker.compute(weights, attempt, lossScale, k, DIGITS));
            }
            Collections.reverse(gradients);
            return gradients;
          });
      trainer.train(DIGITS, progress -> elsewhere.add(progress.loss()));
      trainer.save(folder.resolve("elsewhere"));
    }
    assertThat(elsewhere).isEqualTo(losses).hasSize(4);
    assertSameTraining(folder.resolve("elsewhere"), folder.resolve("here"));
  }

  /** Of n numbers c, of which one part has all: |c|·√n. */
  @Test
  void theNormIsToldOfTheWholeGradientBeforeItIsClipped() {
    List<Double> norms = new ArrayList<>();
    int[] numbers = new int[1];
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(2);
      trainer.computeGradientsBy(
          (weights, attempt, lossScale, parts) -> {
            numbers[0] = weights.remaining() / Float.BYTES;
            return IntStream.range(0, parts)
                .mapToObj(k -> new PartGradient(0.5, constant(numbers[0], k == 1 ? -3f : 0f)))
                .toList();
          });
      trainer.train(DIGITS, progress -> norms.add(progress.gradientNorm()));
    }
    double expected = 3 * Math.sqrt(numbers[0]);
    assertThat(expected).isGreaterThan(OPTIONS.optimizer().maxGradientNorm());
    assertThat(norms)
        .hasSize(2)
        .allSatisfy(norm -> assertThat(norm).isCloseTo(expected, withinPercentage(1e-4)));
  }

  private static ByteBuffer constant(int count, float value) {
    ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * count).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      bytes.putFloat(value);
    }
    return bytes.flip();
  }

  /** A task that was given up may still run when the next step's begins. */
  @Test
  void aTaskOfAnotherStepDoesNotChangeTheWeights() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try (Trainer trainer = trainer(OPTIONS);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      ByteBuffer[] weights = new ByteBuffer[2];
      trainer.setTotalSteps(2);
      trainer.computeGradientsBy(
          (given, attempt, lossScale, parts) -> {
            weights[(int) attempt] = given;
            return IntStream.range(0, parts)
                .mapToObj(k -> worker.compute(given, attempt, lossScale, k, DIGITS))
                .toList();
          });
      trainer.train(DIGITS, progress -> true);
      List<PartGradient> alone =
          List.of(
              worker.compute(weights[0], 0, 1, 1, DIGITS),
              worker.compute(weights[1], 1, 1, 1, DIGITS));
      try (GradientWorker other = GradientWorker.open(trainer.description())) {
        assertThat(other.compute(weights[1], 0, 1, 1, DIGITS))
            .as("the weights matter")
            .isNotEqualTo(alone.get(0));
      }
      List<Future<PartGradient>> mixed = new ArrayList<>();
      for (int i = 0; i < 40; i++) {
        int attempt = i % 2;
        mixed.add(threads.submit(() -> worker.compute(weights[attempt], attempt, 1, 1, DIGITS)));
      }
      for (int i = 0; i < 40; i++) {
        assertThat(mixed.get(i).get()).isEqualTo(alone.get(i % 2));
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void anInterruptedOrFailedSourceLeavesTheLastStep() throws IOException {
    try (Trainer trainer = trainer(OPTIONS);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      trainer.setTotalSteps(4);
      trainer.computeGradientsBy(
          (weights, attempt, lossScale, parts) -> {
            if (attempt == 2) {
              throw new IllegalStateException("the cluster is gone");
            }
            return IntStream.range(0, parts)
                .mapToObj(k -> worker.compute(weights, attempt, lossScale, k, DIGITS))
                .toList();
          });
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessage("the cluster is gone");
      assertThat(trainer.stepsTaken()).isEqualTo(2);
      trainer.computeGradients();
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("went on"));
    }
    try (Trainer trainer = trainer(OPTIONS)) {
      trainer.setTotalSteps(4);
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder.resolve("in one go"));
    }
    assertSameTraining(folder.resolve("went on"), folder.resolve("in one go"));
  }

  @Test
  void whatDoesNotFitIsRefused() throws IOException {
    try (Trainer whole = trainer(OPTIONS.withMicroBatch(0));
        Trainer trainer = trainer(OPTIONS);
        GradientWorker worker = GradientWorker.open(trainer.description())) {
      GradientSource none = (weights, attempt, lossScale, parts) -> List.of();
      assertThatThrownBy(() -> whole.computeGradientsBy(none))
          .hasMessage(
              "gradients are computed elsewhere by parts of a batch: microBatch must be in [1, 6], got 0");
      trainer.setTotalSteps(2);
      trainer.computeGradientsBy(none);
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessage("there must be a gradient for each of 3 parts, got 0");
      trainer.computeGradientsBy(
          (given, attempt, lossScale, parts) ->
              Collections.nCopies(parts, new PartGradient(1, ByteBuffer.allocate(4))));
      assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .hasMessageMatching("a gradient must have \\d+ numbers of 4 bytes, got 4 bytes");
      assertThatThrownBy(() -> GradientWorker.open(whole.description()))
          .hasMessageContaining("microBatch must be in [1, 6], got 0");
      ByteBuffer weights = ByteBuffer.allocate(8);
      assertThatThrownBy(() -> worker.compute(weights, 0, 1, 0, DIGITS))
          .hasMessageMatching("there must be \\d+ weights of 4 bytes, got 8 bytes");
      assertThatThrownBy(() -> worker.compute(weights, 0, 1, 0, Digits.dataset(4, 8, 1)))
          .hasMessage("the network is for pictures of 16x16x1, got 8x8x1");
      assertThatThrownBy(() -> worker.compute(weights, 0, 3, 0, DIGITS))
          .hasMessage("loss scale must be a power of 2 in [1, 16777216], got 3");
      String description = trainer.description();
      assertThatThrownBy(() -> GradientWorker.open("{\"version\": \"0.0.1\"}"))
          .hasMessageMatching(
              "the training is of version 0.0.1 of ddpm, and this is version \\d.*: both must be the same");
      assertThatThrownBy(() -> GradientWorker.open(description.substring(1)))
          .hasMessageStartingWith("not JSON: ");
    }
  }

  @Test
  void aClosedWorkerSaysSo() throws IOException {
    try (Trainer trainer = trainer(OPTIONS)) {
      GradientWorker worker = GradientWorker.open(trainer.description());
      worker.close();
      ByteBuffer all = ByteBuffer.allocate(bytes(trainer));
      assertThatThrownBy(() -> worker.compute(all, 0, 1, 0, DIGITS))
          .hasMessage("the worker is closed");
    }
  }

  private static int bytes(Trainer trainer) {
    int[] bytes = new int[1];
    trainer.setTotalSteps(2);
    trainer.computeGradientsBy(
        (weights, attempt, lossScale, parts) -> {
          bytes[0] = weights.remaining();
          throw new IllegalStateException("seen");
        });
    assertThatThrownBy(() -> trainer.train(DIGITS, progress -> true)).hasMessage("seen");
    return bytes[0];
  }

  /**
   * With fewer pictures than threads, each is divided among them; sums must not depend on how.
   * TensorFlow's own operations add by threads, so this is for ours.
   */
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "FLOAT16")
  void anyNumberOfThreadsGivesTheSameBits(Precision precision) throws Exception {
    Assumptions.assumeTrue(TensorFlowRuntime.hasKernels());
    for (String threads : List.of("1", "7")) {
      Process process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  "-Dio.github.ddpm.tf.threads=" + threads,
                  TrainMain.class.getName(),
                  folder.resolve(threads).toString(),
                  precision.name())
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      assertThat(process.waitFor()).isZero();
    }
    assertSameTraining(folder.resolve("7"), folder.resolve("1"));
  }

  /** Trains a network as large as that of the README. */
  static final class TrainMain {
    public static void main(String[] args) throws IOException {
      TrainingOptions options = OPTIONS.withPrecision(Precision.valueOf(args[1]));
      try (Trainer trainer =
          Trainer.create(
              UNetConfig.small(28, 28, 1).withClasses(10),
              BetaSchedule.cosine(),
              PredictionType.V_PREDICTION,
              options)) {
        trainer.setTotalSteps(3);
        trainer.train(Digits.dataset(40, 28, 1), progress -> true);
        trainer.save(Path.of(args[0]));
      }
    }
  }

  private static Trainer trainer(TrainingOptions options) {
    return Trainer.create(
        UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 16).withClasses(10),
        BetaSchedule.cosine(),
        PredictionType.V_PREDICTION,
        options);
  }

  private static void assertSameTraining(Path one, Path other) throws IOException {
    for (String file : List.of("weights", "ema", "adam_m", "adam_v")) {
      Path training = Path.of("training", file + ".safetensors");
      assertThat(Files.mismatch(one.resolve(training), other.resolve(training)))
          .as(file)
          .isEqualTo(-1);
    }
  }
}

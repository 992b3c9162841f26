package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.data.Percentage.withPercentage;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TrainerTest {
  private static final int SIZE = 8;
  private static final Dataset DIGITS = Digits.dataset(100, SIZE, 1);
  private static final TrainingOptions OPTIONS =
      TrainingOptions.defaults().withBatchSize(8).withLearningRate(2e-3, 10).withSeed(5);

  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource
  void theLossGoesDown(PredictionType type) {
    try (Trainer trainer = trainer(type, OPTIONS)) {
      List<Double> losses = new ArrayList<>();
      trainer.setTotalSteps(150);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      assertThat(losses).hasSize(150);
      assertThat(mean(losses.subList(130, 150))).isLessThan(0.5 * mean(losses.subList(0, 5)));
    }
  }

  @Test
  void stoppingAndResumingInANewProcessGivesTheSameWeightsBitForBit() throws Exception {
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS)) {
      trainer.setTotalSteps(40);
      trainer.train(DIGITS, progress -> true);
      trainer.save(whole);
    }
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS)) {
      trainer.setTotalSteps(40);
      trainer.train(DIGITS, progress -> progress.step() < 20);
      assertThat(trainer.step()).isEqualTo(20);
      trainer.save(halves);
    }
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                ResumeMain.class.getName(),
                halves.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertThat(process.waitFor()).isZero();
    for (String file :
        List.of(
            "training/weights.safetensors",
            "training/ema.safetensors",
            "training/adam_m.safetensors",
            "training/adam_v.safetensors",
            "training/state.json",
            "unet/diffusion_pytorch_model.safetensors")) {
      assertThat(halves.resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
    }
  }

  /** The second half of the training above, in a process of its own. */
  static final class ResumeMain {
    public static void main(String[] args) throws IOException {
      try (Trainer trainer = Trainer.resume(Path.of(args[0]))) {
        trainer.train(DIGITS, progress -> true);
        trainer.save(Path.of(args[0]));
      }
    }
  }

  @Test
  void bfloat16LearnsAsFloat32Does() {
    List<Double> exact = losses(OPTIONS);
    List<Double> rounded = losses(OPTIONS.withPrecision(Precision.BFLOAT16));
    assertThat(rounded).isNotEqualTo(exact);
    for (int i = 0; i < exact.size(); i++) {
      assertThat(rounded.get(i)).isCloseTo(exact.get(i), withPercentage(2));
    }
    assertThat(rounded.get(rounded.size() - 1)).isLessThan(rounded.get(0));
  }

  private static List<Double> losses(TrainingOptions options) {
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer = trainer(PredictionType.EPSILON, options)) {
      trainer.setTotalSteps(20);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
    }
    return losses;
  }

  @Test
  void aSavedModelSamplesAsTheTrainerDoes() throws IOException {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(5);
      trainer.train(DIGITS, progress -> true);
      trainer.save(folder);
      try (Predictor before = trainer.predictor();
          Predictor after = Predictor.load(folder)) {
        assertThat(after.info()).isEqualTo(before.info());
        assertThat(after.info()).isEqualTo(trainer.info());
        Sampler sampler = Sampler.ddim(0.5).steps(4).labels(3, 1, 4).guidance(2).seed(9);
        assertThat(sampler.with(after).sample(5)).isEqualTo(sampler.with(before).sample(5));
      }
    }
  }

  @Test
  void anExportedModelIsTheSavedOneInHalfTheBytes() throws IOException {
    Path exported = folder.resolve("exported");
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS)) {
      trainer.save(folder);
      trainer.export(exported);
    }
    ModelFolder saved = ModelFolder.read(folder);
    ModelFolder model = ModelFolder.read(exported);
    assertThat(model.config()).isEqualTo(saved.config());
    assertThat(model.schedule()).isEqualTo(saved.schedule());
    assertThat(model.predictionType()).isEqualTo(saved.predictionType());
    saved
        .weights()
        .forEach(
            (name, weight) -> {
              Weight rounded = model.weights().get(name);
              for (int i = 0; i < weight.values().remaining(); i++) {
                float value = weight.values().get(i);
                // Half a unit in the last of 11 bits, or of the smallest numbers.
                assertThat(rounded.values().get(i))
                    .isCloseTo(value, within(Math.max(Math.abs(value) * 0x1p-11f, 0x1p-25f)));
              }
            });
    String file = "unet/diffusion_pytorch_model.safetensors";
    assertThat(Files.size(exported.resolve(file)))
        .isLessThan(6 * Files.size(folder.resolve(file)) / 10);
    assertThatThrownBy(() -> Trainer.resume(exported))
        .hasMessageContaining("state.json is missing");
  }

  @Test
  void aPredictorDoesNotChangeAsTrainingGoesOn() {
    try (Trainer trainer = trainer(PredictionType.SAMPLE, OPTIONS)) {
      try (Predictor predictor = trainer.predictor()) {
        float[] x = new float[SIZE * SIZE];
        float[] before = predictor.predict(x, 3, 0);
        trainer.step(DIGITS.images(0, 1), DIGITS.labels(0, 1));
        assertThat(predictor.predict(x, 3, 0)).isEqualTo(before);
        try (Predictor later = trainer.predictor()) {
          assertThat(later.predict(x, 3, 0)).isNotEqualTo(before);
        }
      }
    }
  }

  @Test
  void timeFixesTheNumberOfSteps() {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      long start = System.nanoTime();
      trainer.train(DIGITS, Duration.ofSeconds(3), progress -> true);
      assertThat(trainer.step()).isEqualTo(trainer.totalSteps()).isPositive();
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(60));
    }
  }

  @Test
  void savingKeepsOtherFilesAndReplacesTheModel() throws IOException {
    Files.writeString(folder.resolve("notes.txt"), "mine");
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.save(folder);
      trainer.step(DIGITS.images(0), DIGITS.labels(0));
      trainer.save(folder);
    }
    assertThat(folder.resolve("notes.txt")).hasContent("mine");
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "notes.txt", "model_index.json", "unet", "scheduler", "training");
    }
    try (Trainer resumed = Trainer.resume(folder)) {
      assertThat(resumed.step()).isEqualTo(1);
      assertThat(resumed.options()).isEqualTo(OPTIONS);
    }
  }

  @Test
  void aFileInThePlaceOfTheFolderStays() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "mine");
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      assertThatThrownBy(() -> trainer.save(file))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("file");
    }
    assertThat(file).hasContent("mine");
  }

  @Test
  void trainingThatIsNotThereCannotBeResumed() throws IOException {
    assertThatThrownBy(() -> Trainer.resume(folder.resolve("none")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("none");
    Path model = Fixtures.path("golden/unet-attention");
    assertThatThrownBy(() -> Trainer.resume(model))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("no state of training");
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                Trainer.create(
                    network(),
                    BetaSchedule.linear().zeroTerminalSnr(),
                    PredictionType.EPSILON,
                    OPTIONS))
        .withMessageContaining("zero SNR");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> UNetConfig.small(30, 30, 1))
        .withMessageContaining("divisible by 4")
        .withMessageContaining("30x30");
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.step(Images.of(1, 4, 4, 1, new float[16]), 0))
          .withMessageContaining("8x8x1");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.step(DIGITS.images(0), 10))
          .withMessageContaining("labels must be in [0, 9], got 10");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.step(DIGITS.images(0)))
          .withMessageContaining("needs 1 labels");
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.train(DIGITS, progress -> true))
          .withMessageContaining("setTotalSteps");
    }
  }

  @Test
  void aGradientThatOverflowsLeavesTheWeights() throws IOException {
    try (Trainer trainer = trainer(PredictionType.SAMPLE, OPTIONS)) {
      float[] huge = new float[SIZE * SIZE];
      Arrays.fill(huge, 1e19f);
      trainer.save(folder.resolve("before"));
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.step(Images.of(1, SIZE, SIZE, 1, huge), 0))
          .withMessageContaining("the weights stay as they were");
      trainer.save(folder.resolve("after"));
    }
    String weights = "training/weights.safetensors";
    assertThat(folder.resolve("after").resolve(weights))
        .hasSameBinaryContentAs(folder.resolve("before").resolve(weights));
  }

  @Test
  void dataOfAnotherShapeIsRefused() {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(1);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.train(Digits.dataset(10, 12, 1), progress -> true))
          .withMessageContaining("8x8x1, got 12x12x1");
    }
  }

  @Test
  void aClosedTrainerSaysSo() {
    Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS);
    trainer.close();
    trainer.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> trainer.step(DIGITS.images(0), 0))
        .withMessageContaining("closed");
    assertThatIllegalStateException().isThrownBy(trainer::predictor);
    assertThatIllegalStateException().isThrownBy(() -> trainer.save(folder));
  }

  @Test
  void theLearningRateRisesThenFallsAlongACosine() {
    TrainingOptions options = TrainingOptions.defaults().withLearningRate(1, 10);
    assertThat(options.learningRate(0, 110)).isEqualTo(0.1);
    assertThat(options.learningRate(9, 110)).isEqualTo(1);
    assertThat(options.learningRate(60, 110)).isEqualTo(0.5);
    assertThat(options.learningRate(110, 110)).isZero();
    assertThat(options.learningRate(5000, 0)).isEqualTo(1);
  }

  @Test
  void theMovingAverageIsThatOfDiffusers() {
    TrainingOptions options = TrainingOptions.defaults();
    assertThat(options.emaDecay(0)).isZero();
    assertThat(options.emaDecay(15)).isEqualTo(1 - Math.pow(16, -0.75)).isEqualTo(0.875);
    assertThat(options.emaDecay(10_000_000)).isEqualTo(0.9999);
  }

  @Test
  void weightsStartAsPyTorchHasThem() {
    Parameters parameters = Parameters.of(network());
    Map<String, Weight> weights = parameters.unpack(parameters.initial(3));
    Weight conv = weights.get("conv_in.weight");
    assertThat(conv.shape().asArray()).containsExactly(8, 1, 3, 3);
    for (int i = 0; i < conv.values().remaining(); i++) {
      assertThat(Math.abs(conv.values().get(i))).isLessThan(1f / 3);
    }
    assertThat(weights.get("conv_norm_out.weight").values().get(0)).isEqualTo(1);
    assertThat(weights.get("conv_norm_out.bias").values().get(0)).isZero();
    assertThat(Parameters.of(UNetConfig.small(28, 28, 1)).size()).isEqualTo(1_112_801);
  }

  @Test
  void minSnrWeightingAndDropoutTrain() {
    UNetConfig config = network();
    UNetConfig dropping =
        new UNetConfig(
            config.height(),
            config.width(),
            config.channels(),
            config.blockOutChannels(),
            config.layersPerBlock(),
            config.downAttention(),
            config.upAttention(),
            config.addAttention(),
            config.attentionHeadDim(),
            config.normNumGroups(),
            config.normEps(),
            config.downsamplePadding(),
            config.scaleShift(),
            config.flipSinToCos(),
            config.freqShift(),
            0.2,
            config.classEmbeddings(),
            config.nullLabel());
    try (Trainer trainer =
        Trainer.create(
            dropping,
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            OPTIONS.withMinSnrGamma(5))) {
      List<Double> losses = new ArrayList<>();
      trainer.setTotalSteps(60);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      assertThat(mean(losses.subList(50, 60))).isLessThan(0.8 * mean(losses.subList(0, 3)));
    }
  }

  private static UNetConfig network() {
    return UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 16).withClasses(10);
  }

  private static Trainer trainer(PredictionType type, TrainingOptions options) {
    return Trainer.create(network(), BetaSchedule.cosine(), type, options);
  }

  private static double mean(List<Double> values) {
    return values.stream().mapToDouble(value -> value).average().orElseThrow();
  }
}

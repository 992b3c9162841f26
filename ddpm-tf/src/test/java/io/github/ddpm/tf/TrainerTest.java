package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.data.Percentage.withPercentage;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.Lists;
import com.google.common.primitives.Ints;
import com.google.common.primitives.Longs;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.TrainingOptions.Method;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.SafeTensors;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.Activation;
import io.github.ddpm.tf.graph.Resampling;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

class TrainerTest {
  private static final int SIZE = 8;
  private static final Dataset DIGITS = Digits.dataset(100, SIZE, 1);
  private static final int BROKEN = 3;
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

  @ParameterizedTest
  @EnumSource
  void stoppingAndResumingInANewProcessGivesTheSameWeightsBitForBit(Method method)
      throws Exception {
    TrainingOptions options = OPTIONS.withMethod(method);
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, options)) {
      trainer.setTotalSteps(40);
      trainer.train(DIGITS, progress -> true);
      trainer.save(whole);
    }
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, options)) {
      trainer.setTotalSteps(40);
      trainer.train(DIGITS, progress -> progress.step() < 20);
      assertThat(trainer.stepsTaken()).isEqualTo(20);
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
  void muonMovesMatricesByOrthogonalStepsAndTheRestAsAdamwDoes() throws IOException {
    // The largest rate from the first step on.
    TrainingOptions options = OPTIONS.withLearningRate(1e-3, 0).withMaxGradientNorm(1e-2);
    Map<String, Weight> start = weightsAfter(0, options, "start");
    Map<String, Weight> adamw = weightsAfter(1, options, "adamw");
    Map<String, Weight> muon = weightsAfter(1, options.withMethod(Method.MUON), "muon");
    int matrices = 0;
    for (String name : start.keySet()) {
      float[] before = floats(start.get(name));
      float[] after = floats(muon.get(name));
      boolean ends = name.matches("(conv_in|conv_out|class_embedding)\\..*");
      if (ends || start.get(name).shape().numDimensions() == 1) {
        assertThat(after)
            .as(name)
            .usingComparatorWithPrecision(1e-6f)
            .containsExactly(floats(adamw.get(name)));
        continue;
      }
      matrices++;
      double squares = 0;
      for (int i = 0; i < before.length; i++) {
        squares += Math.pow(after[i] - (double) before[i], 2);
      }
      // The squares of an orthogonal matrix add up to its smaller side.
      double length = 0.2e-3 * Math.sqrt(before.length);
      assertThat(Math.sqrt(squares) / length).as(name).isBetween(0.1, 1.25);
    }
    assertThat(matrices).isGreaterThan(20);
  }

  private Map<String, Weight> weightsAfter(int steps, TrainingOptions options, String name)
      throws IOException {
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, options)) {
      if (steps > 0) {
        trainer.setTotalSteps(1000);
        trainer.train(DIGITS, progress -> progress.step() < steps);
      }
      trainer.save(folder.resolve(name));
    }
    return SafeTensors.read(folder.resolve(name).resolve("training/weights.safetensors"));
  }

  private static float[] floats(Weight weight) {
    float[] values = new float[weight.values().remaining()];
    weight.values().duplicate().get(values);
    return values;
  }

  @ParameterizedTest
  @CsvSource({"BFLOAT16, 2", "FLOAT16, 0.5"})
  void othersLearnAsFloat32Does(Precision precision, double percent) {
    List<Double> exact = losses(OPTIONS.withPrecision(Precision.FLOAT32));
    List<Double> rounded = losses(OPTIONS.withPrecision(precision));
    assertThat(rounded).isNotEqualTo(exact);
    for (int i = 0; i < exact.size(); i++) {
      assertThat(rounded.get(i)).isCloseTo(exact.get(i), withPercentage(percent));
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
  void aModelSavedInHalfPrecisionIsHalfTheSizeAndNearlyTheSame() throws IOException {
    Path half = folder.resolve("half");
    Path whole = folder.resolve("whole");
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.saveHalf(half);
      trainer.save(whole);
    }
    String weights = "unet/diffusion_pytorch_model.safetensors";
    assertThat(Files.size(half.resolve(weights)))
        .isLessThan(Files.size(whole.resolve(weights)) * 6 / 10);
    assertThat(half.resolve("training")).doesNotExist();
    Map<String, Weight> exact = Fixtures.weights(ModelFolder.read(whole));
    Fixtures.weights(ModelFolder.read(half))
        .forEach(
            (name, rounded) -> {
              for (int i = 0; i < rounded.values().limit(); i++) {
                float value = exact.get(name).values().get(i);
                // Eleven bits: an error of at most 2^-11, or half of the smallest number.
                assertThat(rounded.values().get(i))
                    .isCloseTo(value, within(Math.max(Math.abs(value) * 0x1p-11f, 0x1p-25f)));
              }
            });
  }

  @Test
  void aWeightThatHalfPrecisionCannotHoldIsRefusedByName() throws IOException {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.saveHalf(folder.resolve("good"));
    }
    ModelFolder good = ModelFolder.read(folder.resolve("good"));
    Map<String, Weight> weights = new LinkedHashMap<>(Fixtures.weights(good));
    weights.put("conv_out.bias", new Weight(Shape.of(1), FloatBuffer.wrap(new float[] {-7e4f})));
    assertThatThrownBy(
            () -> ModelFolder.write(folder.resolve("good"), good.config(), weights, DType.F16))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("array conv_out.bias holds -70000.0, but float16 ends at 65504");
    assertThat(Fixtures.weights(ModelFolder.read(folder.resolve("good"))))
        .as("what was there stays")
        .isEqualTo(Fixtures.weights(good));
  }

  /**
   * With next to no noise and x0 to be predicted, the noise that a part draws makes no difference,
   * so the parts must add up to the whole batch.
   */
  @Test
  void theGradientsOfPartsAddUpToThatOfTheBatch() throws IOException {
    TrainingOptions options =
        OPTIONS.withBatchSize(7).withLabelDropout(0).withPrecision(Precision.FLOAT32);
    Map<String, Weight> whole = meanGradient(options, "whole");
    Map<String, Weight> parts = meanGradient(options.withMicroBatch(3), "parts");
    double largest = 0;
    double worst = 0;
    for (String name : whole.keySet()) {
      for (int i = 0; i < whole.get(name).values().limit(); i++) {
        float value = whole.get(name).values().get(i);
        largest = Math.max(largest, Math.abs(value));
        worst = Math.max(worst, Math.abs(parts.get(name).values().get(i) - value));
      }
    }
    assertThat(largest).isGreaterThan(1e-2);
    assertThat(worst).isLessThan(1e-3 * largest);
  }

  @Test
  void whatIsComputedAtTheSameTimeAddsUpInTheOrderOfParts() {
    // Of images of 8x8, 784 have the pixels of 64 of 28x28.
    Images images = Images.of(1600, SIZE, SIZE, 1, values(1600 * SIZE * SIZE));
    TrainingOptions options = OPTIONS.withBatchSize(1600);
    try (Trainer atOnce = trainer(PredictionType.EPSILON, options);
        Trainer inTurn = trainer(PredictionType.EPSILON, options.withMicroBatch(784))) {
      for (int i = 0; i < 3; i++) {
        assertThat(atOnce.step(images, new int[1600]))
            .isEqualTo(inTurn.step(images, new int[1600]));
      }
      assertThat(atOnce.predictor().predict(values(SIZE * SIZE), 500, 3))
          .isEqualTo(inTurn.predictor().predict(values(SIZE * SIZE), 500, 3));
    }
  }

  private static float[] values(int count) {
    Random random = new Random(1);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = 2 * random.nextFloat() - 1;
    }
    return values;
  }

  /** AdamW's first moment after three steps. */
  private Map<String, Weight> meanGradient(TrainingOptions options, String name)
      throws IOException {
    try (Trainer trainer =
        Trainer.create(network(), BetaSchedule.of(1e-12), PredictionType.SAMPLE, options)) {
      trainer.setTotalSteps(1000);
      trainer.train(DIGITS, progress -> progress.step() < 3);
      trainer.save(folder.resolve(name));
    }
    return SafeTensors.read(folder.resolve(name).resolve("training/adam_m.safetensors"));
  }

  @Test
  void partsDrawTheirOwnNoiseAndTrain() {
    List<Double> losses = losses(OPTIONS.withMicroBatch(3));
    assertThat(losses).isEqualTo(losses(OPTIONS.withMicroBatch(3)));
    assertThat(losses).isNotEqualTo(losses(OPTIONS.withMicroBatch(4)));
    assertThat(losses(OPTIONS.withMicroBatch(8))).isEqualTo(losses(OPTIONS));
    assertThat(mean(losses.subList(15, 20))).isLessThan(mean(losses.subList(0, 5)));
    Images same = Images.of(2, SIZE, SIZE, 1, new float[2 * SIZE * SIZE]);
    try (Trainer whole = trainer(PredictionType.EPSILON, OPTIONS.withBatchSize(1).withSeed(6));
        Trainer parts =
            trainer(
                PredictionType.EPSILON, OPTIONS.withBatchSize(2).withMicroBatch(1).withSeed(6))) {
      // If both parts drew the same, they would have the loss of the first alone.
      double first = whole.step(Images.of(1, SIZE, SIZE, 1, new float[SIZE * SIZE]), 1);
      assertThat(parts.step(same, 1, 1)).isNotCloseTo(first, within(1e-3));
    }
  }

  /** Of a step of its own and of 3 steps of 8, the last of them after resuming. */
  @Test
  void theLabelsThatWereLearnedAreCounted() throws IOException {
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS)) {
      assertThat(trainer.info().labelCounts()).isEmpty();
      trainer.step(DIGITS.images(0, 1), 3, 3);
      assertThat(trainer.info().labelCounts()).isEqualTo(counts(3, 3));
      trainer.setTotalSteps(4);
      trainer.train(DIGITS, progress -> progress.step() < 3);
      trainer.save(folder);
    }
    int[] trained = DIGITS.labels(DIGITS.batch(8, 24, OPTIONS.seed()));
    List<Long> expected = counts(Ints.concat(new int[] {3, 3}, trained));
    try (Trainer trainer = Trainer.resume(folder)) {
      trainer.train(DIGITS, progress -> true);
      assertThat(trainer.info().labelCounts()).isEqualTo(expected);
      try (Predictor model = trainer.predictor()) {
        assertThat(model.info()).isEqualTo(trainer.info());
      }
      trainer.save(folder);
      trainer.saveHalf(folder.resolve("half"));
    }
    for (Path each : List.of(folder, folder.resolve("half"))) {
      assertThat(ModelFolder.read(each).config().info().labelCounts()).isEqualTo(expected);
    }
    try (Trainer trainer = Trainer.fineTune(folder, OPTIONS.withLabelDropout(1))) {
      assertThat(trainer.info().labelCounts()).isEmpty();
      trainer.step(DIGITS.images(0), 3);
      assertThat(trainer.info().labelCounts()).as("of labels that are all dropped").isEmpty();
    }
  }

  @Test
  void theNamesOfTheClassesAreKeptAndCompared() throws IOException {
    List<String> names = List.of("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
    List<String> others = Lists.reverse(names);
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS)) {
      assertThat(trainer.info().classNames()).isEmpty();
      trainer.setTotalSteps(3);
      trainer.train(DIGITS.withClassNames(names), progress -> false);
      assertThat(trainer.info().classNames()).isEqualTo(names);
      trainer.save(folder);
    }
    String message =
        "the network's classes (a, b, c, d, e, f, g, h, i, j) are not those of the data (j, i,";
    try (Trainer trainer = Trainer.resume(folder)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.train(DIGITS.withClassNames(others), progress -> true))
          .withMessageStartingWith(message);
      assertThat(trainer.stepsTaken()).isEqualTo(1);
      trainer.train(DIGITS, progress -> false);
      assertThat(trainer.info().classNames()).as("of data without names").isEqualTo(names);
    }
    try (Trainer trainer = Trainer.fineTune(folder, OPTIONS)) {
      trainer.setTotalSteps(1);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.train(DIGITS.withClassNames(others), progress -> true))
          .withMessageStartingWith(message);
      trainer.setClassNames(others);
      trainer.train(DIGITS.withClassNames(others), progress -> true);
      assertThat(trainer.info().classNames()).isEqualTo(others);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> trainer.setClassNames(List.of("a")))
          .withMessage("there must be one name for each of 10 classes, got 1");
    }
  }

  private static List<Long> counts(int... labels) {
    long[] counts = new long[10];
    for (int label : labels) {
      counts[label]++;
    }
    return Longs.asList(counts);
  }

  /** Only the mean is trained, so that the other half no longer fits it. */
  @Test
  void fineTuningEndsALearnedVariance() throws IOException {
    Path golden = Fixtures.path("golden/folder-learned-variance");
    Path scheduler = Path.of("scheduler", "scheduler_config.json");
    try (Trainer trainer = Trainer.fineTune(golden, OPTIONS.withLabelDropout(0))) {
      trainer.save(folder);
    }
    String before = Files.readString(golden.resolve(scheduler));
    String after = Files.readString(folder.resolve(scheduler));
    assertThat(before).contains("\"learned_range\"").doesNotContain("fixed_small");
    assertThat(after).contains("\"fixed_small\"").doesNotContain("learned");
    try (Predictor model = Predictor.load(folder)) {
      Sampler ddpm = Sampler.ddpm().steps(3).seed(1).with(model);
      assertThat(model.sampler().steps(3).seed(1).sample(1)).isEqualTo(ddpm.sample(1));
    }
  }

  @Test
  void aNetworkThatTakesAConditionIsNotTrained() {
    String message =
        "training on pairs of pictures is not built, so a network can't have condition channels, got 1";
    Path golden = Fixtures.path("golden/folder-condition");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Trainer.fineTune(golden, OPTIONS.withLabelDropout(0)))
        .withMessage(message);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Trainer.deepen(golden, 2, OPTIONS.withLabelDropout(0)))
        .withMessage(message);
    UNetConfig network = network().withPicture(new UNetConfig.Picture(8, 8, 1, 1, false, false));
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                Trainer.create(
                    network, BetaSchedule.cosine(), PredictionType.V_PREDICTION, OPTIONS))
        .withMessage(message);
  }

  @Test
  void fineTuningStartsFromAFinishedModel() throws IOException {
    Path diffusers = Fixtures.path("golden/folder-fp16");
    ModelFolder model = ModelFolder.read(diffusers);
    try (Trainer trainer = Trainer.fineTune(diffusers, OPTIONS.withLabelDropout(0))) {
      assertThat(trainer.stepsTaken()).isZero();
      assertThat(trainer.info().predictionType()).isEqualTo(PredictionType.V_PREDICTION);
      trainer.save(folder);
      assertThat(Fixtures.weights(ModelFolder.read(folder))).isEqualTo(Fixtures.weights(model));
      assertThat(ModelFolder.read(folder).config().pipeline()).isEqualTo(model.config().pipeline());
      trainer.step(Digits.dataset(3, 28, 1).images(0, 1, 2), 0, 1, 2);
      trainer.save(folder);
      assertThat(Fixtures.weights(ModelFolder.read(folder))).isNotEqualTo(Fixtures.weights(model));
      assertThat(trainer.startedFrom()).contains(diffusers);
    }
    try (Trainer resumed = Trainer.resume(folder)) {
      assertThat(resumed.startedFrom()).contains(diffusers);
    }
    assertThatThrownBy(() -> Trainer.fineTune(diffusers, OPTIONS.withLabelDropout(0.1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("label dropout needs a network with a null label, got dropout 0.1");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"unet-attention", "unet-scale-shift", "folder-fp16", "unet-adm", "unet-mish"})
  void aDeeperNetworkAnswersAsBeforeAndThenLearns(String golden) throws IOException {
    Path model = Fixtures.path("golden/" + golden);
    UNetConfig before = ModelFolder.read(model).config().network();
    UNetConfig after = before.withLayersPerBlock(before.levels().layersPerBlock() + 2);
    TrainingOptions options = OPTIONS.withLabelDropout(0).withPrecision(Precision.FLOAT32);
    try (Trainer trainer = Trainer.deepen(model, after.levels().layersPerBlock(), options);
        Predictor shallow = Predictor.load(model, Precision.FLOAT32);
        Predictor deep = trainer.predictor()) {
      assertThat(trainer.network()).isEqualTo(after);
      assertThat(trainer.startedFrom()).contains(model);
      int[] labels = before.labels().classes() == 0 ? new int[0] : new int[] {0, 1};
      float[] x = new float[2 * shallow.info().imageSize()];
      Random random = new Random(1);
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) random.nextGaussian();
      }
      assertThat(deep.predict(x, 30, labels))
          .containsExactly(shallow.predict(x, 30, labels), within(1e-5f));

      Images two =
          Images.of(
              2,
              before.picture().height(),
              before.picture().width(),
              before.picture().channels(),
              x);
      trainer.step(two, labels);
      trainer.save(folder);
      Map<String, Weight> learned =
          SafeTensors.read(folder.resolve("training/weights.safetensors"));
      String newest =
          "down_blocks.0.resnets." + (after.levels().layersPerBlock() - 1) + ".conv2.weight";
      assertThat(learned.get(newest).values())
          .isNotEqualTo(FloatBuffer.allocate(learned.get(newest).values().remaining()));
    }
    assertThatThrownBy(() -> Trainer.deepen(model, before.levels().layersPerBlock() - 1, options))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "a deeper network needs at least the %s residual blocks a level that the model has, got %s",
            before.levels().layersPerBlock(), before.levels().layersPerBlock() - 1);
  }

  /**
   * At first the error is that of the model itself, out - (w·out + (1-w)·guide) = (w-1)·(guide -
   * out), so nothing with w = 1, and four times as much with w = 3 as with w = 2.
   */
  @Test
  void distillingStartsAtTheModelAndGoesAwayFromTheGuide() throws IOException {
    Path model = untrained("model", 5);
    Path guide = untrained("guide", 6);
    TrainingOptions options = OPTIONS.withPrecision(Precision.FLOAT32);
    assertThat(distilled(model, guide, 1, options)).isLessThan(1e-12);
    double twice = distilled(model, guide, 2, options);
    assertThat(twice).isGreaterThan(1e-3);
    assertThat(distilled(model, guide, 3, options) / twice).isCloseTo(4, within(1e-4));
    assertThat(distilled(model, model, 3, options)).isLessThan(1e-12);

    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    Autoguidance autoguidance = new Autoguidance(guide, 2);
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer = Trainer.distill(model, autoguidance, options)) {
      trainer.setTotalSteps(60);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      trainer.save(whole);
    }
    assertThat(losses.get(0)).isEqualTo(twice);
    assertThat(mean(losses.subList(50, 60))).isLessThan(0.5 * mean(losses.subList(0, 5)));
    try (Trainer trainer = Trainer.distill(model, autoguidance, options)) {
      trainer.setTotalSteps(60);
      trainer.train(DIGITS, progress -> progress.step() < 30);
      trainer.save(halves);
    }
    try (Trainer trainer = Trainer.resume(halves)) {
      assertThat(trainer.startedFrom()).contains(model);
      assertThat(trainer.distillation()).contains(autoguidance);
      trainer.train(DIGITS, progress -> true);
      trainer.save(halves);
    }
    for (String file : List.of("training/state.json", "unet/diffusion_pytorch_model.safetensors")) {
      assertThat(halves.resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
    }

    float[] student = predict(whole);
    float[] strong = predict(model);
    float[] weak = predict(guide);
    double left = 0;
    double whenStarted = 0;
    for (int i = 0; i < student.length; i++) {
      double target = 2 * strong[i] - weak[i];
      left += Math.pow(student[i] - target, 2);
      whenStarted += Math.pow(strong[i] - target, 2);
    }
    assertThat(left).isLessThan(0.7 * whenStarted);

    Fixtures.unseal(halves);
    Path state = halves.resolve("training/state.json");
    String saved = Files.readString(state);
    for (String damaged :
        List.of(
            "null",
            "5",
            "{'weight': 2, 'digest': ''}",
            "{'guide': 'x', 'weight': '2', 'digest': ''}",
            "{'guide': 'x', 'weight': 2}")) {
      ObjectNode json = (ObjectNode) Json.read(state);
      json.set("autoguidance", Json.MAPPER.readTree(damaged.replace('\'', '"')));
      Json.write(state, json);
      assertThatThrownBy(() -> Trainer.resume(halves))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(
              state + ": autoguidance needs a guide, a weight and a digest, got ");
    }
    Files.writeString(state, saved);
    Files.move(guide, folder.resolve("moved"));
    assertThatThrownBy(() -> Trainer.resume(halves))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith(state + ": " + guide);
    untrained("guide", 7);
    assertThatThrownBy(() -> Trainer.resume(halves))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "%s: %s or %s is another model than when this training began", state, model, guide);
    Fixtures.copyModel("golden/unet-attention", model);
    assertThatThrownBy(() -> Trainer.resume(halves))
        .isInstanceOf(IOException.class)
        .hasMessage(state + ": started_from " + model + " is another model by now");
  }

  private static float[] predict(Path model) throws IOException {
    try (Predictor predictor = Predictor.load(model, Precision.FLOAT32)) {
      int[] indices = DIGITS.batch(0, 8, 0);
      return predictor.predict(DIGITS.images(indices).toArray(), 500, DIGITS.labels(indices));
    }
  }

  @Test
  void aGuideMustBeOfTheSamePictures() throws IOException {
    Path model = untrained("model", 5);
    Path other = Fixtures.path("golden/unet-attention");
    assertThatThrownBy(() -> Trainer.distill(model, new Autoguidance(other, 2), OPTIONS))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(
            "the guide must be a model of the same size, classes, noise and prediction, got ModelInfo[height=8")
        .hasMessageEndingWith(" in " + other);
    Path missing = folder.resolve("missing");
    assertThatThrownBy(() -> Trainer.distill(model, new Autoguidance(missing, 2), OPTIONS))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(missing.toString());
    assertThatThrownBy(() -> new Autoguidance(model, 0.5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("the weight of autoguidance must be at least 1 and finite, got 0.5");
  }

  @Test
  void whatTeachesMustCallTheClassesTheSame() throws IOException {
    List<String> names = classNames("digit");
    Path model = untrained("model", 5, names);
    Path other = untrained("other", 6, classNames("figure"));
    ProgressiveDistillation rounds =
        new ProgressiveDistillation(
            other, 2, 4, 1, ProgressiveDistillation.Weighting.TRUNCATED_SNR);
    for (Distillation each : List.of(new Autoguidance(other, 2), rounds)) {
      assertThatThrownBy(() -> Trainer.distill(model, each, OPTIONS).close())
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "the %s's classes must be those of the model that is taught, %s, got %s, in %s",
              each == rounds ? "teacher" : "guide",
              String.join(", ", names),
              String.join(", ", classNames("figure")),
              other);
    }
    // Where only one of them has names, the data must have these.
    Path nameless = untrained("nameless", 7);
    for (Distillation each : List.of(new Autoguidance(model, 2), rounds.withTeacher(model))) {
      try (Trainer trainer = Trainer.distill(nameless, each, OPTIONS)) {
        assertThat(trainer.info().classNames()).isEqualTo(names);
        trainer.setTotalSteps(1);
        assertThatThrownBy(
                () -> trainer.train(DIGITS.withClassNames(classNames("figure")), progress -> true))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("are not those of the data (figure 0, ");
      }
    }
    for (Distillation each : List.of(new Autoguidance(nameless, 2), rounds.withTeacher(nameless))) {
      try (Trainer trainer = Trainer.distill(model, each, OPTIONS)) {
        assertThat(trainer.info().classNames()).isEqualTo(names);
      }
    }
  }

  private static List<String> classNames(String kind) {
    return IntStream.range(0, DIGITS.classes()).mapToObj(i -> kind + " " + i).toList();
  }

  private Path untrained(String name, long seed) throws IOException {
    return untrained(name, seed, List.of());
  }

  private Path untrained(String name, long seed, List<String> classNames) throws IOException {
    Path model = folder.resolve(name);
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS.withSeed(seed))) {
      trainer.setClassNames(classNames);
      trainer.save(model);
    }
    return model;
  }

  /** The loss of the first step. */
  private static double distilled(Path model, Path guide, double weight, TrainingOptions options)
      throws IOException {
    try (Trainer trainer = Trainer.distill(model, new Autoguidance(guide, weight), options)) {
      int[] indices = DIGITS.batch(0, options.batchSize(), options.seed());
      return trainer.step(DIGITS.images(indices), DIGITS.labels(indices));
    }
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
      assertThat(trainer.stepsTaken()).isEqualTo(trainer.totalSteps()).isPositive();
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(60));
    }
  }

  @Test
  void optionsThatAreNewerThanTheStateHaveTheirOldMeaning() throws IOException {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.save(folder);
    }
    Fixtures.unseal(folder);
    Path state = folder.resolve("training/state.json");
    String old = Files.readString(state).replaceAll("\"(microBatch|precision)\" : [^,}]*,?", "");
    assertThat(old).contains("batchSize").doesNotContain("microBatch", "precision");
    Files.writeString(state, old.replaceAll(",\\s*}", "}"));
    try (Trainer resumed = Trainer.resume(folder)) {
      assertThat(resumed.options())
          .isEqualTo(OPTIONS.withMicroBatch(0).withPrecision(Precision.FLOAT32));
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
              "notes.txt",
              "model_index.json",
              "unet",
              "scheduler",
              "training",
              "SHA256SUMS",
              "saves");
    }
    try (Trainer resumed = Trainer.resume(folder)) {
      assertThat(resumed.stepsTaken()).isEqualTo(1);
      assertThat(resumed.options()).isEqualTo(OPTIONS);
      assertThat(resumed.startedFrom()).isEmpty();
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
    assertZeroTerminalSnrRefused(PredictionType.EPSILON, OPTIONS, "zero SNR");
    assertZeroTerminalSnrRefused(
        PredictionType.V_PREDICTION, OPTIONS.withMinSnrGamma(5), "gamma must be 0, got 5.0");
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                Trainer.create(
                    UNetConfig.small(30, 30, 1),
                    BetaSchedule.cosine(),
                    PredictionType.EPSILON,
                    OPTIONS.withLabelDropout(0)))
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

  private static void assertZeroTerminalSnrRefused(
      PredictionType type, TrainingOptions options, String message) {
    BetaSchedule schedule = BetaSchedule.linear().zeroTerminalSnr();
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Trainer.create(network(), schedule, type, options))
        .withMessageContaining(message);
  }

  /** With momentum, so that moments and weights would move if the gradient alone were left out. */
  @ParameterizedTest
  @CsvSource({
    "0, 1e19, ADAMW",
    "0, 1e30, ADAMW",
    "2, 1e19, ADAMW",
    "2, 1e30, ADAMW",
    "0, 1e30, MUON",
    "2, 1e19, MUON"
  })
  void aStepThatIsNotFiniteChangesNothing(int microBatch, float value, Method method)
      throws IOException {
    TrainingOptions options =
        OPTIONS.withMicroBatch(microBatch).withWeightDecay(0.1).withMethod(method);
    try (Trainer trainer = trainer(PredictionType.SAMPLE, options)) {
      trainer.setTotalSteps(100);
      trainer.train(DIGITS, progress -> progress.step() < 5);
      trainer.save(folder.resolve("before"));
      // The last part of the batch is as any other.
      float[] values = DIGITS.images(0, 1, 2, 3).toArray();
      Arrays.fill(values, 0, SIZE * SIZE, value);
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.step(Images.of(4, SIZE, SIZE, 1, values), 0, 1, 2, 3))
          .withMessageContaining("at step 5; the weights stay as they were");
      assertThat(trainer.stepsTaken()).isEqualTo(5);
      trainer.save(folder.resolve("after"));
    }
    assertSame("after", "before");
  }

  /** Whether two trainings are the same, bit for bit. */
  private void assertSame(String one, String other) {
    for (String file :
        List.of(
            "training/weights.safetensors",
            "training/ema.safetensors",
            "training/adam_m.safetensors",
            "training/adam_v.safetensors",
            "training/state.json")) {
      assertThat(folder.resolve(one).resolve(file))
          .hasSameBinaryContentAs(folder.resolve(other).resolve(file));
    }
  }

  /** In parts, more images than a step usually has give the same loss as if it had so many. */
  @Test
  void aStepWithMoreImagesThanUsualKeepsToTheBoundOfTheMemory() {
    TrainingOptions four = OPTIONS.withBatchSize(4).withMicroBatch(4);
    TrainingOptions eight = OPTIONS.withBatchSize(8).withMicroBatch(4);
    try (Trainer bounded = trainer(PredictionType.EPSILON, four);
        Trainer parts = trainer(PredictionType.EPSILON, eight);
        Trainer whole = trainer(PredictionType.EPSILON, OPTIONS)) {
      Images images = DIGITS.images(0, 1, 2, 3, 4, 5, 6, 7);
      int[] labels = DIGITS.labels(0, 1, 2, 3, 4, 5, 6, 7);
      double loss = bounded.step(images, labels);
      assertThat(loss).isEqualTo(parts.step(images, labels));
      assertThat(loss).isNotEqualTo(whole.step(images, labels));
    }
  }

  @Test
  void timeAfterAllStepsAreTakenIsRefused() {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(1);
      trainer.train(DIGITS, Duration.ofSeconds(1), progress -> true);
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.train(DIGITS, Duration.ofSeconds(1), progress -> true))
          .withMessage(
              "all 1 steps are taken, so no time is left to train: call setTotalSteps first");
      trainer.setTotalSteps(2);
      trainer.train(DIGITS, Duration.ofSeconds(1), progress -> true);
      assertThat(trainer.stepsTaken()).isEqualTo(2);
    }
  }

  /** A path relative to the working directory would mean another place when training goes on. */
  @Test
  void foldersAreSavedSoThatTheyAreFoundFromAnywhere() throws IOException {
    Path model = untrained("model", 5);
    Path guide = untrained("guide", 6);
    Path here = Path.of("").toAbsolutePath();
    Autoguidance autoguidance = new Autoguidance(here.relativize(guide), 2);
    try (Trainer trainer = Trainer.distill(here.relativize(model), autoguidance, OPTIONS)) {
      trainer.save(folder.resolve("student"));
    }
    assertThat(Json.read(folder.resolve("student/training/state.json")).findValuesAsText("guide"))
        .containsExactly(guide.toString());
    try (Trainer resumed = Trainer.resume(folder.resolve("student"))) {
      assertThat(resumed.startedFrom()).contains(model);
      assertThat(resumed.distillation()).contains(new Autoguidance(guide, 2));
    }
  }

  /** Pictures that are drawn as they are asked for, so that they need no memory. */
  @Test
  void dataOfOnesOwnAreReadInTheOrderOfTraining() {
    List<Integer> read = Collections.synchronizedList(new ArrayList<>());
    Dataset drawn =
        new Dataset(100, SIZE, SIZE, 1, 10) {
          @Override
          protected void read(int index, FloatBuffer into) {
            read.add(index);
            into.put(DIGITS.images(index).toArray());
          }

          @Override
          protected int readLabel(int index) {
            return DIGITS.label(index);
          }
        };
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(20);
      trainer.train(drawn, progress -> losses.add(progress.loss()));
    }
    assertThat(losses).isEqualTo(losses(OPTIONS));
    int[] order = DIGITS.batch(0, 20 * OPTIONS.batchSize(), OPTIONS.seed());
    assertThat(read).startsWith(Arrays.stream(order).boxed().toArray(Integer[]::new));
  }

  /** A reader may be closed once training is done. */
  @Test
  void nobodyReadsTheDataOnceTrainingIsDone() {
    AtomicInteger read = new AtomicInteger();
    AtomicBoolean done = new AtomicBoolean();
    AtomicBoolean late = new AtomicBoolean();
    Dataset slow =
        new Dataset(100, SIZE, SIZE, 1, 10) {
          @Override
          protected void read(int index, FloatBuffer into) {
            try {
              Thread.sleep(2);
            } catch (InterruptedException e) {
              throw new IllegalStateException(e);
            }
            late.compareAndSet(false, done.get());
            read.incrementAndGet();
            into.put(DIGITS.images(index).toArray());
          }

          @Override
          protected int readLabel(int index) {
            return DIGITS.label(index);
          }
        };
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(3);
      trainer.train(slow, progress -> true);
      assertThat(read).as("no batch more than there are steps").hasValue(3 * OPTIONS.batchSize());
      trainer.setTotalSteps(9);
      trainer.train(slow, progress -> false);
      done.set(true);
      int before = read.get();
      trainer.step(DIGITS.images(0), DIGITS.labels(0));
      assertThat(read).hasValue(before);
      assertThat(late).isFalse();
    }
  }

  @Test
  void anImageThatIsNotFiniteIsNamed() {
    Dataset broken =
        new Dataset(8, SIZE, SIZE, 1, 10) {
          @Override
          protected void read(int index, FloatBuffer into) {
            float[] values = new float[SIZE * SIZE];
            values[5] = index == BROKEN ? Float.NaN : 0;
            into.put(values);
          }

          @Override
          protected int readLabel(int index) {
            return 0;
          }
        };
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(1);
      // It is in each of the batches, and training ends with the tenth.
      int place =
          Arrays.stream(broken.batch(9 * 8L, 8, OPTIONS.seed())).boxed().toList().indexOf(BROKEN);
      assertThatIllegalStateException()
          .isThrownBy(() -> trainer.train(broken, progress -> true))
          .withMessageEndingWith(
              "the weights stay as they were, image " + place + " of the batch has the value NaN");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "layers_per_block, 2000000000, at most 128 residual blocks",
    "layers_per_block, 20, weight down_blocks.0.resnets.1.norm1.weight is missing",
    "num_class_embeds, 2147483647, weight class_embedding.weight must have shape"
  })
  void aNetworkThatTheWeightsCannotFillCostsNothing(String key, int value, String problem)
      throws IOException {
    Fixtures.copyModel("golden/unet-attention", folder);
    Path config = folder.resolve("unet/config.json");
    Json.write(config, ((ObjectNode) Json.read(config)).put(key, value));
    TrainingOptions options = OPTIONS.withLabelDropout(0);
    assertRefused(() -> Trainer.fineTune(folder, options), problem);
    assertRefused(() -> Trainer.deepen(folder, Math.min(value, 20), options), problem);
    assertRefused(() -> ModelFiles.convert(folder, folder, ModelFiles.Storage.FLOAT32), problem);
  }

  private static void assertRefused(ThrowingCallable call, String problem) {
    assertThatThrownBy(call).isInstanceOf(IOException.class).hasMessageContaining(problem);
  }

  @Test
  void anOptionThatIsNotKnownIsNamed() throws IOException {
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.save(folder);
    }
    Fixtures.unseal(folder);
    Path state = folder.resolve("training/state.json");
    ObjectNode json = (ObjectNode) Json.read(state);
    ((ObjectNode) json.get("options")).put("labelDropot", 0.2);
    Json.write(state, json);
    assertRefused(
        () -> Trainer.resume(folder), state + ": labelDropot is not an option of this version");
  }

  @Test
  void dataThatCannotBeReadEndsTrainingWithWhatTheyThrew() {
    Dataset broken =
        new Dataset(10, SIZE, SIZE, 1, 10) {
          @Override
          protected void read(int index, FloatBuffer into) {
            throw new UncheckedIOException(new IOException("picture " + index + " is gone"));
          }

          @Override
          protected int readLabel(int index) {
            return 0;
          }
        };
    try (Trainer trainer = trainer(PredictionType.EPSILON, OPTIONS)) {
      trainer.setTotalSteps(1);
      assertThatThrownBy(() -> trainer.train(broken, progress -> true))
          .isInstanceOf(UncheckedIOException.class)
          .hasMessageMatching(".*picture \\d is gone");
    }
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
    assertThat(options.optimizer().learningRate(0, 110)).isEqualTo(0.1);
    assertThat(options.optimizer().learningRate(9, 110)).isEqualTo(1);
    assertThat(options.optimizer().learningRate(60, 110)).isEqualTo(0.5);
    assertThat(options.optimizer().learningRate(110, 110)).isZero();
    assertThat(options.optimizer().learningRate(5000, 0)).isEqualTo(1);
  }

  @Test
  void theMovingAverageIsThatOfDiffusers() {
    TrainingOptions options = TrainingOptions.defaults();
    assertThat(options.ema().decay(0)).isZero();
    assertThat(options.ema().decay(15)).isEqualTo(1 - Math.pow(16, -0.75)).isEqualTo(0.875);
    assertThat(options.ema().decay(10_000_000)).isEqualTo(0.9999);
  }

  @Test
  void weightsStartAsPyTorchHasThem() {
    WeightLayout layout = new WeightLayout(UNet.shapes(network()));
    Map<String, Weight> weights = layout.unpack(layout.initial(3));
    Weight conv = weights.get("conv_in.weight");
    assertThat(conv.shape().asArray()).containsExactly(8, 1, 3, 3);
    for (int i = 0; i < conv.values().remaining(); i++) {
      assertThat(Math.abs(conv.values().get(i))).isLessThan(1f / 3);
    }
    assertThat(weights.get("conv_norm_out.weight").values().get(0)).isEqualTo(1);
    assertThat(weights.get("conv_norm_out.bias").values().get(0)).isZero();
    assertThat(new WeightLayout(UNet.shapes(UNetConfig.small(28, 28, 1))).size())
        .isEqualTo(1_112_801);
  }

  /**
   * Of the two timesteps the first, next to clean, has no weight to speak of and the second has 1.
   */
  @Test
  void minSnrWeightingDrawsByTheWeightsAndScalesByTheirMean() {
    List<Double> weighted = lossesOfTwoTimesteps(1);
    List<Double> plain = lossesOfTwoTimesteps(0);
    int second = 0;
    for (int i = 0; i < plain.size(); i++) {
      double ratio = weighted.get(i) / plain.get(i);
      second += Math.abs(ratio - 0.5) < 1e-4 ? 1 : 0;
    }
    assertThat(second).as("of %s and %s", weighted, plain).isBetween(4, 16);
  }

  /** The losses of 20 steps of one image that change next to nothing. */
  private static List<Double> lossesOfTwoTimesteps(double gamma) {
    TrainingOptions options =
        OPTIONS
            .withBatchSize(1)
            .withLearningRate(1e-12, 1)
            .withPrecision(Precision.FLOAT32)
            .withMinSnrGamma(gamma);
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer =
        Trainer.create(network(), BetaSchedule.of(1e-12, 0.5), PredictionType.EPSILON, options)) {
      for (int i = 0; i < 20; i++) {
        losses.add(trainer.step(DIGITS.images(0), DIGITS.labels(0)));
      }
    }
    return losses;
  }

  @Test
  void minSnrWeightingAndDropoutTrain() {
    try (Trainer trainer =
        Trainer.create(
            network().withDropout(0.2),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            OPTIONS.withMinSnrGamma(5))) {
      List<Double> losses = new ArrayList<>();
      trainer.setTotalSteps(60);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      assertThat(mean(losses.subList(50, 60))).isLessThan(0.8 * mean(losses.subList(0, 3)));
    }
  }

  @ParameterizedTest
  @EnumSource
  void anOtherActivationAndResamplingByBlocksTrain(Activation activation) throws IOException {
    UNetConfig other =
        network()
            .withActivation(activation)
            .withResampling(Resampling.RESNET)
            .withMiddle(Optional.of(new UNetConfig.Middle(OptionalInt.of(4), Math.sqrt(2))))
            .withLabels(new UNetConfig.Labels(11, true, true))
            .withAttentionHeadDim(6)
            .withDropout(0.1);
    try (Trainer trainer =
        Trainer.create(other, BetaSchedule.cosine(), PredictionType.V_PREDICTION, OPTIONS)) {
      List<Double> losses = new ArrayList<>();
      trainer.setTotalSteps(60);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      assertThat(mean(losses.subList(50, 60))).isLessThan(0.8 * mean(losses.subList(0, 3)));
      trainer.save(folder);
      try (Predictor before = trainer.predictor();
          Predictor after = Predictor.load(folder)) {
        Sampler sampler = Sampler.ddim(0).steps(3).labels(3, 1).guidance(2).seed(9);
        assertThat(sampler.with(after).sample(2)).isEqualTo(sampler.with(before).sample(2));
      }
    }
    try (Trainer trainer = Trainer.resume(folder)) {
      assertThat(trainer.network()).isEqualTo(other);
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

package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Step;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.SafeTensors;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

/**
 * Models that were trained or loaded and saved here, loaded by diffusers itself. Needs Python with
 * PyTorch and a checkout of diffusers, whose folder the system property names; {@code
 * src-test-resources/README.md} has the command.
 */
@EnabledIfSystemProperty(named = DiffusersLoadsTest.CHECKOUT, matches = ".+")
class DiffusersLoadsTest {
  static final String CHECKOUT = "io.github.ddpm.test.diffusers";

  @TempDir Path folder;

  @Test
  void diffusersLoadsWhatWeTrainAndSaveAndComputesTheSame() throws Exception {
    Dataset digits = Digits.dataset(50, 16, 1);
    Path whole = folder.resolve("whole");
    Path half = folder.resolve("half");
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(16, 16, 1).withBlockOutChannels(8, 16).withClasses(10),
            BetaSchedule.cosine().zeroTerminalSnr(),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults().withBatchSize(8))) {
      trainer.setTotalSteps(20);
      trainer.train(digits, progress -> true);
      trainer.save(whole);
      trainer.saveHalf(half);
    }
    for (Path model : new Path[] {whole, half}) {
      Path expected = folder.resolve("expected.safetensors");
      Files.deleteIfExists(expected);
      writeOutputs(model, expected, digits);
      assertLoads(model, expected);
    }
  }

  /** Its scheduler visits the noise levels that were learned, though its teacher's aren't even. */
  @ParameterizedTest
  @ValueSource(ints = {1, 4, 8})
  void diffusersDrawsTheSameWithAModelThatWasDistilled(int steps) throws Exception {
    Dataset digits = Digits.dataset(50, 16, 1);
    Path teacher = folder.resolve("teacher");
    Path student = folder.resolve("student");
    TrainingOptions options = TrainingOptions.defaults().withBatchSize(8).withLearningRate(2e-3, 5);
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(16, 16, 1).withBlockOutChannels(8, 16).withClasses(10),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            options)) {
      trainer.setTotalSteps(30);
      trainer.train(digits, progress -> true);
      trainer.save(teacher);
    }
    Fixtures.unseal(teacher);
    Path scheduler = teacher.resolve("scheduler/scheduler_config.json");
    Json.write(scheduler, ((ObjectNode) Json.read(scheduler)).put("_spacing_exponent", 0.5));
    try (Trainer trainer =
        Trainer.distill(teacher, new ProgressiveDistillation(teacher, steps), options)) {
      trainer.setTotalSteps(30);
      trainer.train(digits, progress -> true);
      trainer.save(student);
    }
    Path expected = folder.resolve("expected.safetensors");
    writeOutputs(student, expected, digits);
    assertLoads(student, expected);
  }

  /** There and back: what diffusers computed itself is what it computes with the copy. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "unet-attention",
        "unet-padding0",
        "unet-scale-shift",
        "unet-adm",
        "unet-mish",
        "unet-gelu",
        "unet-relu",
        "folder-flat",
        "folder-fp16",
        "folder-sharded",
        "folder-learned-variance",
        "folder-condition"
      })
  void diffusersLoadsWhatWeLoadedAndSaved(String name) throws Exception {
    Path original = Fixtures.path("golden/" + name);
    Fixtures.copyModel("golden/" + name, folder.resolve("copy"));
    assertLoads(folder.resolve("copy"), original.resolve("expected.safetensors"));
  }

  private static void assertLoads(Path model, Path expected) throws Exception {
    Process process =
        new ProcessBuilder(
                "/usr/bin/python3",
                Fixtures.path("golden/load_saved.py").toString(),
                System.getProperty(CHECKOUT),
                model.toString(),
                expected.toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(output).isZero();
  }

  private static void writeOutputs(Path model, Path file, Dataset digits) throws IOException {
    int[] labels = {3, 10};
    float[] x = digits.images(0, 1).toArray();
    try (Predictor predictor = Predictor.load(model, Precision.FLOAT32)) {
      // With one channel, NHWC and NCHW are the same numbers.
      Shape images = Shape.of(2, 1, 16, 16);
      Map<String, Weight> arrays = new LinkedHashMap<>();
      arrays.put("sample", new Weight(images, FloatBuffer.wrap(x)));
      arrays.put("timestep", new Weight(Shape.of(2), FloatBuffer.wrap(new float[] {321, 321})));
      arrays.put("class_labels", new Weight(Shape.of(2), FloatBuffer.wrap(new float[] {3, 10})));
      arrays.put("out", new Weight(images, FloatBuffer.wrap(predictor.predict(x, 321, labels))));
      if (predictor.info().steps() > 0) {
        List<Step> row = List.of(Step.at(999, 0, PredictionType.V_PREDICTION));
        DenoiseRequest request =
            new DenoiseRequest(row, 2, 5, 0, List.of(3), 1, 1, progress -> true);
        float[] noise = request.initialNoise(predictor.info().imageSize());
        Sampler sampler = predictor.sampler().seed(5).labels(3, Sampler.NULL_LABEL);
        float[] drawn = sampler.sample(2).toArray();
        arrays.put("noise", new Weight(images, FloatBuffer.wrap(noise)));
        arrays.put("images", new Weight(images, FloatBuffer.wrap(drawn)));
      }
      SafeTensors.write(file, arrays, DType.F32);
    }
  }
}

package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Guidance;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import io.github.ddpm.Step;
import io.github.ddpm.tf.Fixtures;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

/**
 * Folders in every layout and storage of diffusers, loaded and sampled, against diffusers itself in
 * double; {@code src-test-resources/README.md} says what made the numbers.
 */
class FolderGoldenTest {
  @TempDir Path saved;

  private record Loaded(
      ModelFolder model, ObjectNode scheduler, Predictor predictor, Map<String, Weight> expected)
      implements AutoCloseable {
    static Loaded of(String name) throws IOException {
      Path folder = Fixtures.path("golden/" + name);
      String scheduler = name.equals("folder-flat") ? "" : "scheduler/";
      return new Loaded(
          ModelFolder.read(folder),
          (ObjectNode) Json.read(folder.resolve(scheduler + "scheduler_config.json")),
          Predictor.load(folder, Precision.FLOAT32),
          SafeTensors.read(folder.resolve("expected.safetensors")));
    }

    /** Some images as we have them, [n, h, w, c]. */
    float[] images(String name) {
      return floats(expected.get(name).transposed(0, 2, 3, 1).values());
    }

    /** Calls the network with x and, if the folder has one, the condition after its channels. */
    float[] predict(float[] x, double timestep) {
      return predictor.predict(input(x), timestep, labels());
    }

    float[] input(float[] x) {
      if (!expected.containsKey("condition")) {
        return x;
      }
      float[] condition = images("condition");
      int channels = predictor.info().channels();
      int more = condition.length * channels / x.length;
      FloatBuffer both = FloatBuffer.allocate(x.length + condition.length);
      for (int pixel = 0; pixel < x.length / channels; pixel++) {
        both.put(x, pixel * channels, channels).put(condition, pixel * more, more);
      }
      return both.array();
    }

    int[] labels() {
      int[] labels = new int[predictor.info().classes() == 0 ? 0 : 2];
      for (int i = 0; i < labels.length; i++) {
        labels[i] = (int) expected.get("class_labels").values().get(i);
      }
      return labels;
    }

    @Override
    public void close() {
      predictor.close();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "folder-flat",
        "folder-fp16",
        "folder-sharded",
        "folder-learned-variance",
        "folder-condition"
      })
  void theForwardPassIsThatOfDiffusers(String name) throws IOException {
    try (Loaded folder = Loaded.of(name)) {
      float timestep = folder.expected().get("timestep").values().get(0);
      assertThat(folder.predict(folder.images("sample"), timestep))
          .containsExactly(folder.images("out"), within(1e-4f));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "folder-flat, DDIMScheduler, ddim5",
    "folder-flat, DDPMScheduler, ddpm5",
    "folder-fp16, DDIMScheduler, ddim5",
    "folder-sharded, DDIMScheduler, ddim5",
    "folder-sharded, DDPMScheduler, ddpm5",
    "folder-learned-variance, DDIMScheduler, ddim5",
    "folder-learned-variance, DDPMScheduler, ddpm5",
    "folder-condition, DDIMScheduler, ddim5",
    "folder-condition, DDPMScheduler, ddpm5",
    "unet-adm, DDIMScheduler, ddim5",
    "unet-adm, DDPMScheduler, ddpm5",
    "unet-mish, DDIMScheduler, ddim5",
    "unet-mish, DDPMScheduler, ddpm5",
    "unet-gelu, DDIMScheduler, ddim5",
    "unet-gelu, DDPMScheduler, ddpm5",
    "unet-relu, DDIMScheduler, ddim5",
    "unet-relu, DDPMScheduler, ddpm5"
  })
  void fiveStepsWithTheFoldersOwnConfigAreThoseOfDiffusers(
      String name, String schedulerClass, String result) throws IOException {
    try (Loaded folder = Loaded.of(name)) {
      PipelineScheduler pipeline =
          SchedulerJson.pipeline(
              folder.scheduler().put("_class_name", schedulerClass), Optional.empty());
      ModelFolder model = folder.model();
      BetaSchedule schedule = model.config().info().schedule();
      List<Step> rows =
          pipeline.steps(
              schedule,
              model.config().info().predictionType(),
              pipeline.spacing(5, model.config().info()).timesteps(schedule));
      float[] z = noise(folder);
      float[] x = folder.images("sample");
      for (int row = 0; row < rows.size(); row++) {
        x = step(folder, pipeline.clip(), rows.get(row), x, z, row * x.length, 0);
      }
      assertThat(x).containsExactly(folder.images(result), within(1e-3f));
    }
  }

  /** Of trailing plans all but the last step, where diffusers adds noise once more. */
  @ParameterizedTest
  @CsvSource({"leading, 5, leading5", "trailing, 4, trailing4"})
  void aLearnedVarianceIsThatOfDiffusers(String spacing, int steps, String result)
      throws IOException {
    try (Loaded folder = Loaded.of("folder-learned-variance")) {
      PipelineScheduler pipeline =
          SchedulerJson.pipeline(
              folder.scheduler().put("timestep_spacing", spacing), Optional.empty());
      ModelInfo info = folder.predictor().info();
      double[] plan = pipeline.spacing(5, info).timesteps(info.schedule());
      List<Step> rows = pipeline.steps(info.schedule(), info.predictionType(), plan);
      DenoiseRequest request =
          new DenoiseRequest(
              rows,
              2,
              0,
              0,
              List.of(),
              Guidance.of(1),
              pipeline.clip(),
              0,
              true,
              Optional.empty(),
              Optional.empty(),
              Optional.empty(),
              progress -> true);
      float[] z = noise(folder);
      float[] x = folder.images("sample");
      for (int row = 0; row < steps; row++) {
        double range = request.varianceRange(row);
        x = step(folder, pipeline.clip(), rows.get(row), x, z, row * x.length, range);
      }
      assertThat(x).containsExactly(folder.images(result), within(1e-3f));
    }
  }

  @Test
  void aFolderWithALearnedVarianceSamplesByIt() throws IOException {
    try (Loaded folder = Loaded.of("folder-learned-variance")) {
      Sampler ddpm = Sampler.ddpm().steps(5).seed(3).with(folder.predictor());
      assertThat(folder.predictor().sampler().steps(5).seed(3).sample(2))
          .isEqualTo(ddpm.learnedVariance().sample(2))
          .isNotEqualTo(ddpm.sample(2));
    }
    // Nor does one say so whose network has none.
    Fixtures.copyModel("golden/unet-gelu", saved);
    Path scheduler = saved.resolve("scheduler/scheduler_config.json");
    Json.write(
        scheduler, ((ObjectNode) Json.read(scheduler)).put("variance_type", "learned_range"));
    try (Predictor model = Predictor.load(saved, Precision.FLOAT32)) {
      assertThat(model.sampler().steps(5).seed(3).sample(1))
          .isEqualTo(
              Sampler.ddpm().steps(5).spacing(Spacing.leading(5)).seed(3).with(model).sample(1));
    }
  }

  @Test
  void aConditionIsPartOfSampling() throws IOException {
    try (Loaded folder = Loaded.of("folder-condition")) {
      Sampler sampler =
          Sampler.ddim(0)
              .spacing(Spacing.leading(5))
              .clip(Double.POSITIVE_INFINITY)
              .with(folder.predictor())
              .startingAt(Images.of(2, 8, 12, 3, folder.images("sample")));
      Images condition = Images.of(2, 8, 12, 1, folder.images("condition"));
      assertThat(sampler.condition(condition).sample(2).toArray())
          .containsExactly(folder.images("ddim5"), within(1e-3f));
    }
  }

  /** What {@code Predictor.denoise} is documented to do, but with noise that was given. */
  private static float[] step(
      Loaded folder, double clip, Step step, float[] x, float[] z, int offset, double range) {
    float[] variance =
        range > 0
            ? folder.predictor().predictVariance(folder.input(x), step.timestep(), folder.labels())
            : new float[x.length];
    float[] out = folder.predict(x, step.timestep());
    float[] next = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      double raw = step.x0FromX() * x[i] + step.x0FromOut() * out[i];
      next[i] =
          (float)
              (step.fromX() * x[i]
                  + step.fromOut() * out[i]
                  + step.fromX0() * Math.max(-clip, Math.min(clip, raw))
                  + step.fromNoise() * Math.exp(range * variance[i]) * z[offset + i]);
    }
    return next;
  }

  /** [rows, n, c, h, w] to [rows, n, h, w, c], by way of [rows·n, c, h, w]. */
  private static float[] noise(Loaded folder) {
    Weight z = folder.expected().get("z");
    Shape shape = z.shape();
    return floats(
        new Weight(
                Shape.of(shape.get(0) * shape.get(1), shape.get(2), shape.get(3), shape.get(4)),
                z.values())
            .transposed(0, 2, 3, 1)
            .values());
  }

  @ParameterizedTest
  @CsvSource({
    "folder-flat, false, false, fixed_large, leading, 0, true, 1",
    "folder-fp16, true, true, fixed_small, leading, 1, false, 1.5",
    "folder-sharded, false, false, fixed_small, leading, 0, true, Infinity",
    "folder-learned-variance, false, false, learned_range, trailing, 0, true, 1",
    "folder-condition, false, false, fixed_small, leading, 0, true, Infinity"
  })
  void thePipelineIsThatOfTheFolderBeforeAndAfterSaving(
      String name,
      boolean ddimPipeline,
      boolean ddim,
      String variance,
      String spacing,
      int offset,
      boolean alphaToOne,
      double clip)
      throws IOException {
    ModelFolder model = ModelFolder.read(Fixtures.path("golden/" + name));
    ObjectNode settings =
        Json.object()
            .put("variance_type", variance)
            .put("timestep_spacing", spacing)
            .put("steps_offset", offset)
            .put("set_alpha_to_one", alphaToOne);
    SchedulerClass kind = ddim ? SchedulerClass.DDIM : SchedulerClass.DDPM;
    assertThat(model.config().pipeline())
        .isEqualTo(new PipelineScheduler(ddimPipeline, kind, settings, clip, 0));
    Fixtures.copyModel("golden/" + name, saved);
    ModelFolder copy = ModelFolder.read(saved);
    assertThat(copy.config()).isEqualTo(model.config());
    assertThat(Fixtures.weights(copy)).isEqualTo(Fixtures.weights(model));
  }

  @Test
  void aPredictorsOwnSamplerIsThePipeline() throws IOException {
    try (Loaded folder = Loaded.of("folder-fp16")) {
      Predictor predictor = folder.predictor();
      Sampler own = predictor.sampler().labels(1).seed(3);
      Sampler byHand =
          Sampler.of(folder.model().config().pipeline())
              .clip(1.5)
              .with(predictor)
              .labels(1)
              .seed(3);
      assertThat(own.steps(4).sample(2)).isEqualTo(byHand.steps(4).sample(2));
      assertThat(own.steps(4).sample(2))
          .isNotEqualTo(Sampler.ddim(0).steps(4).with(predictor).labels(1).seed(3).sample(2));
      int[] rows = {0};
      own.listener(progress -> ++rows[0] < 60).sample(1);
      assertThat(rows[0]).as("steps of a DDIMPipeline").isEqualTo(50);
    }
  }

  private static float[] floats(FloatBuffer buffer) {
    float[] values = new float[buffer.remaining()];
    buffer.duplicate().get(values);
    return values;
  }
}

package io.github.ddpm.tf.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.ModelFiles.Storage;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A network of which the caller says the schedule and the prediction type. */
class NetworkAloneTest {
  private static final BetaSchedule SCHEDULE = BetaSchedule.linear(20, 1e-3, 0.3);

  @TempDir private Path folder;

  /** What {@code save_pretrained} of a pipeline writes. */
  private Path whole;

  /** What {@code save_pretrained} of its network writes. */
  private Path alone;

  @BeforeEach
  void copyAModelAndItsNetwork() throws IOException {
    whole = folder.resolve("whole");
    alone = folder.resolve("alone");
    Fixtures.copyModel("golden/unet-scale-shift", whole);
    Files.createDirectory(alone);
    for (String file : List.of("config.json", "diffusion_pytorch_model.safetensors")) {
      Files.copy(whole.resolve("unet").resolve(file), alone.resolve(file));
    }
  }

  static List<Arguments> noises() {
    return List.of(
        Arguments.of(
            "'beta_schedule': 'linear', 'num_train_timesteps': 20, 'beta_start': 1e-3, 'beta_end': 0.3,"
                + " 'prediction_type': 'epsilon'",
            SCHEDULE,
            PredictionType.EPSILON),
        Arguments.of(
            "'beta_schedule': 'squaredcos_cap_v2', 'num_train_timesteps': 30, 'rescale_betas_zero_snr': true,"
                + " 'prediction_type': 'v_prediction'",
            BetaSchedule.cosine(30).zeroTerminalSnr(),
            PredictionType.V_PREDICTION),
        Arguments.of(
            "'trained_betas': [0.1, 0.2, 0.3, 0.4], 'num_train_timesteps': 4, 'prediction_type': 'sample'",
            BetaSchedule.of(0.1, 0.2, 0.3, 0.4),
            PredictionType.SAMPLE));
  }

  @ParameterizedTest
  @MethodSource("noises")
  void drawsTheSameAsWithAConfiguration(String json, BetaSchedule schedule, PredictionType type)
      throws IOException {
    configure("'_class_name': 'DDPMScheduler', 'timestep_spacing': 'trailing', " + json);
    Drawn expected;
    try (Predictor model = Predictor.load(whole, Precision.FLOAT32)) {
      expected = Drawn.by(model);
    }
    assertThat(expected.rows()).isEqualTo(schedule.timesteps());
    try (Predictor model = Predictor.load(alone, schedule, type, Precision.FLOAT32)) {
      assertThat(Drawn.by(model)).isEqualTo(expected);
    }
    // What the folder of the pipeline says doesn't count.
    configure("'_class_name': 'PNDMScheduler', '_spacing_exponent': 0.5");
    Files.writeString(whole.resolve("model_index.json"), "{\"_class_name\": \"SomePipeline\"}");
    try (Predictor model = Predictor.load(whole, schedule, type, Precision.FLOAT32)) {
      assertThat(Drawn.by(model)).isEqualTo(expected);
    }
  }

  /** The moving average writes its own settings beside those of the network. */
  @Test
  void theNetworkOfACheckpointIsNamed() throws IOException {
    Path checkpoint = Files.createDirectory(folder.resolve("checkpoint-500"));
    Path average = Files.move(alone, checkpoint.resolve("unet_ema"));
    Path config = average.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replaceFirst("\\{", "{\"decay\": 0.9999, \"optimization_step\": 500,"));
    load(average).close();

    String several = "a checkpoint has several networks; give the folder of one, such as unet_ema";
    String missing = ": not a model folder: this file is missing; ";
    String network = checkpoint.resolve("unet").resolve("config.json") + missing;
    assertThatIOException().isThrownBy(() -> load(checkpoint)).withMessage(network + several);
    assertThatIOException()
        .isThrownBy(() -> Predictor.load(checkpoint))
        .withMessage(network + several);
    Files.move(whole.resolve("unet"), checkpoint.resolve("unet"));
    assertThatIOException()
        .isThrownBy(() -> load(checkpoint))
        .withMessage(checkpoint + ": " + several);
    load(checkpoint.resolve("unet")).close();
    for (Path each : List.of(checkpoint, average)) {
      assertThatIOException()
          .isThrownBy(() -> Predictor.load(each))
          .isInstanceOf(NoSuchFileException.class)
          .withMessage(
              each.resolve("scheduler").resolve("scheduler_config.json")
                  + missing
                  + "Predictor.load, Trainer.fineTune and ModelFiles.convert take a schedule and a type"
                  + " in place of it");
    }
  }

  /** Converted or trained on it is a whole model, of the noise that was said. */
  @ParameterizedTest
  @MethodSource("noises")
  void becomesAWholeModel(String json, BetaSchedule schedule, PredictionType type)
      throws IOException {
    Path converted = folder.resolve("converted");
    ModelFiles.convert(alone, schedule, type, converted, Storage.FLOAT32);
    Drawn expected;
    try (Predictor model = Predictor.load(alone, schedule, type, Precision.FLOAT32)) {
      expected = Drawn.by(model);
    }
    try (Predictor model = Predictor.load(converted, Precision.FLOAT32)) {
      assertThat(Drawn.by(model)).isEqualTo(expected);
    }
    Path trained = folder.resolve("trained");
    try (Trainer trainer =
        Trainer.fineTune(
            alone,
            schedule,
            type,
            TrainingOptions.defaults()
                .withMinSnrGamma(0)
                .withLabelDropout(0)
                .withPrecision(Precision.FLOAT32))) {
      assertThat(trainer.startedFrom()).contains(alone);
      try (Predictor model = trainer.predictor()) {
        assertThat(Drawn.by(model)).isEqualTo(expected);
      }
      trainer.setTotalSteps(1);
      trainer.step(expected.images(), 1, 0);
      trainer.save(trained);
    }
    try (Trainer resumed = Trainer.resume(trained)) {
      assertThat(resumed.stepsTaken()).isEqualTo(1);
      assertThat(resumed.info().schedule()).isEqualTo(schedule);
      assertThat(resumed.info().predictionType()).isEqualTo(type);
    }
  }

  @Test
  void whatCannotBeIsRefused() throws IOException {
    assertThatIllegalArgumentException()
        .isThrownBy(
            () -> Predictor.load(alone, SCHEDULE.zeroTerminalSnr(), PredictionType.EPSILON).close())
        .withMessageContaining("the schedule has zero SNR at timestep 19");
    assertThatIllegalArgumentException()
        .isThrownBy(
            () ->
                ModelFiles.convert(
                    alone,
                    SCHEDULE.zeroTerminalSnr(),
                    PredictionType.EPSILON,
                    whole,
                    Storage.FLOAT32))
        .withMessageContaining("the schedule has zero SNR at timestep 19");
    assertThatThrownBy(() -> Predictor.load(alone, null, PredictionType.EPSILON))
        .isInstanceOf(NullPointerException.class)
        .hasMessage("schedule");
    assertThatThrownBy(() -> Predictor.load(alone, SCHEDULE, null))
        .isInstanceOf(NullPointerException.class)
        .hasMessage("type");
    assertThatIOException()
        .isThrownBy(() -> load(folder.resolve("none")))
        .withMessage(folder.resolve("none") + ": a model is a folder, and this is none");

    Path config = alone.resolve("config.json");
    String good = Files.readString(config);
    Files.writeString(
        config,
        good.replace("\"sample_size\" : 12", "\"sample_size\" : 8192")
            .replaceAll("(\"(in|out)_channels\") : 1", "$1 : 32"));
    assertThatIOException()
        .isThrownBy(() -> load(alone))
        .withMessage(config + ": an image must have at most 2^31 - 1 values, got 8192x8192x32");
    Files.writeString(config, good.replace("UNet2DModel", "UNet1DModel"));
    assertThatIOException()
        .isThrownBy(() -> load(alone))
        .withMessage(config + ": _class_name must be UNet2DModel, got UNet1DModel");
    Files.writeString(config, good);
    Files.delete(alone.resolve("diffusion_pytorch_model.safetensors"));
    assertThatIOException()
        .isThrownBy(() -> load(alone))
        .withMessage(
            alone.resolve("diffusion_pytorch_model.safetensors") + ": this file is missing");
    Files.createDirectory(whole.resolve("vqvae"));
    assertThatIOException()
        .isThrownBy(() -> load(whole))
        .withMessageContaining("vqvae: not supported: a model of pixels");
  }

  /** Of what was saved here, the newest save that is whole is read, as without a schedule. */
  @Test
  void checksumsCount() throws IOException {
    Path saved = folder.resolve("saved");
    ModelFiles.convert(whole, saved, Storage.FLOAT32);
    load(saved).close();
    try (RandomAccessFile file =
        new RandomAccessFile(
            saved.resolve("unet").resolve("diffusion_pytorch_model.safetensors").toFile(), "rw")) {
      file.seek(file.length() - 1);
      int last = file.read();
      file.seek(file.length() - 1);
      file.write(last ^ 1);
    }
    assertThatIOException()
        .isThrownBy(() -> load(saved))
        .withMessageContaining("damaged, its SHA-256 is not that of SHA256SUMS");
  }

  private static Predictor load(Path folder) throws IOException {
    return Predictor.load(folder, SCHEDULE, PredictionType.EPSILON);
  }

  /** Writes the configuration of the scheduler, without a word of a pipeline. */
  private void configure(String json) throws IOException {
    Files.deleteIfExists(whole.resolve("model_index.json"));
    Files.writeString(
        whole.resolve("scheduler").resolve("scheduler_config.json"),
        "{" + json.replace('\'', '"') + "}");
  }

  /** What a model says of itself and draws by its own sampler. */
  private record Drawn(ModelInfo info, int rows, Images images, Images inFourSteps) {
    static Drawn by(Predictor model) {
      int[] rows = {0};
      Sampler own = model.sampler().labels(1, 0).seed(5);
      Images images = own.listener(progress -> ++rows[0] > 0).sample(2);
      return new Drawn(model.info(), rows[0], images, own.steps(4).sample(2));
    }
  }
}

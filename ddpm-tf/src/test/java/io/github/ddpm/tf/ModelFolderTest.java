package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

class ModelFolderTest {
  @TempDir Path folder;

  private ModelFolder model;

  @BeforeEach
  void copyAModel() throws IOException {
    model = ModelFolder.read(Fixtures.path("golden/unet-attention"));
    model.write(folder);
  }

  @ParameterizedTest
  @ValueSource(strings = {"unet-attention", "unet-padding0", "unet-scale-shift"})
  void aModelOfDiffusersIsTheSameAfterSavingAndLoading(String name) throws IOException {
    ModelFolder original = ModelFolder.read(Fixtures.path("golden/" + name));
    original.write(folder);
    ModelFolder copy = ModelFolder.read(folder);
    assertThat(copy.config()).isEqualTo(original.config());
    assertThat(copy.schedule()).isEqualTo(original.schedule());
    assertThat(copy.predictionType()).isEqualTo(original.predictionType());
    assertThat(copy.weights()).isEqualTo(original.weights());
  }

  static Stream<BetaSchedule> schedules() {
    return Stream.of(
        BetaSchedule.linear(),
        BetaSchedule.linear(10, 0.01, 0.5),
        BetaSchedule.cosine(100),
        BetaSchedule.cosine().zeroTerminalSnr(),
        BetaSchedule.scaledLinear(1000, 0.00085, 0.012).zeroTerminalSnr());
  }

  @ParameterizedTest
  @MethodSource("schedules")
  void schedulesTravelWithTheModel(BetaSchedule schedule) throws IOException {
    save(schedule, PredictionType.V_PREDICTION);
    assertThat(ModelFolder.read(folder).schedule()).isEqualTo(schedule);
    assertThat(ModelFolder.read(folder).predictionType()).isEqualTo(PredictionType.V_PREDICTION);
  }

  @Test
  void aTableOfBetasTravelsWithTheModel() throws IOException {
    BetaSchedule schedule = BetaSchedule.of(0.1, 0.2, 0.3).zeroTerminalSnr();
    save(schedule, PredictionType.SAMPLE);
    assertThat(ModelFolder.read(folder).schedule()).isEqualTo(schedule);
    assertThat(ModelFolder.read(folder).schedule().isZeroTerminalSnr()).isTrue();
  }

  @Test
  void theNullLabelIsMarkedWhereDiffusersLeavesItAlone() throws IOException {
    UNetConfig config = UNetConfig.small(8, 8, 1).withClasses(3);
    JsonNode json = DiffusersConfig.ofUnet(config, "0");
    assertThat(json.get("num_class_embeds").asInt()).isEqualTo(4);
    assertThat(json.get("_null_class_label").asBoolean()).isTrue();
    assertThat(DiffusersConfig.unet(json)).isEqualTo(config);
    assertThat(config.classes()).isEqualTo(3);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "unet/config.json | down_block_types | [\"CrossAttnDownBlock2D\"] | DownBlock2D or AttnDownBlock2D",
        "unet/config.json | act_fn | \"gelu\" | act_fn must be silu",
        "unet/config.json | time_embedding_type | \"fourier\" | time_embedding_type must be positional",
        "unet/config.json | sample_size | 9 | divisible by 2",
        "unet/config.json | norm_num_groups | 5 | divisible by norm_num_groups 5",
        "unet/config.json | out_channels | 2 | out_channels must equal in_channels 1",
        "unet/config.json | class_embed_type | \"timestep\" | class_embed_type is not supported",
        "unet/config.json | _class_name | \"UNet2DConditionModel\" | must be UNet2DModel",
        "unet/config.json | norm_eps | \"x\" | norm_eps must be a number",
        "unet/config.json | add_attention | \"no\" | add_attention must be true or false",
        "unet/config.json | layers_per_block | \"x\" | whole number",
        "scheduler/scheduler_config.json | beta_schedule | \"sigmoid\" | got sigmoid",
        "scheduler/scheduler_config.json | prediction_type | \"flow\" | got flow",
        "scheduler/scheduler_config.json | trained_betas | [0.1, 2] | betas[1] must be in (0, 1), got 2",
        "scheduler/scheduler_config.json | num_train_timesteps | 0 | at least 1 timestep, got 0",
      })
  void whatWeCannotDoIsRefusedByName(String name, String key, String value, String problem)
      throws IOException {
    Path file = folder.resolve(name);
    ObjectNode json = (ObjectNode) ModelFolder.readJson(file);
    json.set(key, ModelFolder.JSON.readTree(value));
    ModelFolder.writeJson(file, json);
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(problem);
  }

  @Test
  void aMissingAnExtraAndAMisshapenWeightAreRefused() throws IOException {
    Map<String, Weight> weights = new LinkedHashMap<>(model.weights());
    Weight bias = weights.remove("conv_in.bias");
    assertRefused(weights, "weight conv_in.bias is missing");
    weights.put("conv_in.bias", bias);
    weights.put("more", bias);
    assertRefused(weights, "weight more is not part of the network");
    weights.remove("more");
    weights.put("conv_in.bias", new Weight(Shape.of(1), FloatBuffer.allocate(1)));
    assertRefused(weights, "weight conv_in.bias must have shape [4], got [1]");
  }

  @Test
  void aMissingFileIsNamed() throws IOException {
    assertThatThrownBy(() -> Predictor.load(folder.resolve("none")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("none");
    Files.delete(folder.resolve("scheduler/scheduler_config.json"));
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("scheduler_config.json")
        .hasMessageContaining("missing");
  }

  @Test
  void brokenJsonIsNamed() throws IOException {
    Files.writeString(folder.resolve("unet/config.json"), "{");
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("config.json")
        .hasMessageContaining("not JSON");
  }

  private void save(BetaSchedule schedule, PredictionType type) throws IOException {
    new ModelFolder(model.config(), schedule, type, model.weights()).write(folder);
  }

  private void assertRefused(Map<String, Weight> weights, String problem) throws IOException {
    new ModelFolder(model.config(), model.schedule(), model.predictionType(), weights)
        .write(folder);
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("diffusion_pytorch_model.safetensors")
        .hasMessageContaining(problem);
  }
}

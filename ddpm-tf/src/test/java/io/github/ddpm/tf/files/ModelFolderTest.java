package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Spacing;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

class ModelFolderTest {
  private static final String INDEX = "model_index.json";
  private static final String UNET = "unet/config.json";
  private static final String SCHEDULER = "scheduler/scheduler_config.json";

  @TempDir Path folder;

  private ModelFolder model;

  @BeforeEach
  void copyAModel() throws IOException {
    model = ModelFolder.read(Fixtures.path("golden/unet-attention"));
    Fixtures.copyModel("golden/unet-attention", folder);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "unet-attention",
        "unet-padding0",
        "unet-scale-shift",
        "unet-adm",
        "unet-mish",
        "unet-gelu",
        "unet-relu"
      })
  void aModelOfDiffusersIsTheSameAfterSavingAndLoading(String name) throws IOException {
    ModelFolder original = ModelFolder.read(Fixtures.path("golden/" + name));
    Fixtures.copyModel("golden/" + name, folder);
    ModelFolder copy = ModelFolder.read(folder);
    assertThat(copy.config()).isEqualTo(original.config());
    assertThat(Fixtures.weights(copy)).isEqualTo(Fixtures.weights(original));
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
    ModelInfo info = ModelFolder.read(folder).config().info();
    assertThat(info.schedule()).isEqualTo(schedule);
    assertThat(info.predictionType()).isEqualTo(PredictionType.V_PREDICTION);
  }

  @Test
  void aTableOfBetasTravelsWithTheModel() throws IOException {
    BetaSchedule schedule = BetaSchedule.of(0.1, 0.2, 0.3).zeroTerminalSnr();
    save(schedule, PredictionType.SAMPLE);
    BetaSchedule copy = ModelFolder.read(folder).config().info().schedule();
    assertThat(copy).isEqualTo(schedule);
    assertThat(copy.isZeroTerminalSnr()).isTrue();
  }

  @Test
  void theSpacingTravelsWithTheModelWhereDiffusersLeavesItAlone() throws IOException {
    Path file = folder.resolve("scheduler/scheduler_config.json");
    ObjectNode json = (ObjectNode) Json.read(file);
    assertThat(json.has("_spacing_exponent")).isFalse();
    json.put("_spacing_exponent", 0.5);
    Json.write(file, json);
    ModelConfig spaced = ModelFolder.read(folder).config();
    ModelInfo info = spaced.info();
    assertThat(info).isEqualTo(model.config().info().withSpacingExponent(0.5));
    assertThat(spaced.pipeline().spacing(4, info).timesteps(BetaSchedule.linear(1000)))
        .containsExactly(Spacing.power(4, 0.5).timesteps(BetaSchedule.linear(1000)));
    ModelFiles.convert(folder, folder, ModelFiles.Storage.FLOAT32);
    assertThat(ModelFolder.read(folder).config().info()).isEqualTo(info);

    Fixtures.unseal(folder);
    Json.write(file, json.put("timestep_spacing", "leading"));
    assertThatThrownBy(() -> ModelFolder.read(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(
            "_spacing_exponent needs timestep_spacing trailing, got 0.5 with leading");
  }

  @Test
  void theLabelsThatWereLearnedTravelWithTheModel() throws IOException {
    Fixtures.copyModel("golden/unet-scale-shift", folder);
    Path file = folder.resolve("unet/config.json");
    ObjectNode json = (ObjectNode) Json.read(file);
    assertThat(json.has("_label_counts")).isFalse();
    Json.write(file, json.set("_label_counts", Json.MAPPER.readTree("[3, 0, 5000000000]")));
    List<Long> counts = List.of(3L, 0L, 5_000_000_000L);
    assertThat(ModelFolder.read(folder).config().info().labelCounts()).isEqualTo(counts);
    ModelFiles.convert(folder, folder, ModelFiles.Storage.FLOAT32);
    assertThat(ModelFolder.read(folder).config().info().labelCounts()).isEqualTo(counts);

    Fixtures.unseal(folder);
    Map<String, String> bad =
        Map.of(
            "[1, 2]",
            "there must be one label count for each of 3 classes, got 2",
            "[1, 2, 3.5]",
            "_label_counts must be whole numbers, got 3.5",
            "[1, 2, -3]",
            "label counts must be at least 0 and add up to less than 2^63, got [1, 2, -3]",
            "7",
            "_label_counts must be a list, got 7",
            "[0, 0, 0]",
            "label counts must not all be 0, got [0, 0, 0]");
    for (Map.Entry<String, String> each : bad.entrySet()) {
      Json.write(file, json.set("_label_counts", Json.MAPPER.readTree(each.getKey())));
      refused(UNET, each.getValue());
    }
    Json.write(file, json.putNull("_label_counts"));
    assertThat(ModelFolder.read(folder).config().info().labelCounts()).isEmpty();
  }

  @Test
  void theNamesOfTheClassesTravelWithTheModel() throws IOException {
    Fixtures.copyModel("golden/unet-scale-shift", folder);
    Path file = folder.resolve("unet/config.json");
    ObjectNode json = (ObjectNode) Json.read(file);
    assertThat(ModelFolder.read(folder).config().info().classNames()).isEmpty();
    Json.write(
        file, json.set("_class_names", Json.MAPPER.readTree("[\"cat\", \"dög\", \"\\\"\"]")));
    List<String> names = List.of("cat", "dög", "\"");
    assertThat(ModelFolder.read(folder).config().info().classNames()).isEqualTo(names);
    ModelFiles.convert(folder, folder, ModelFiles.Storage.FLOAT32);
    ModelConfig model = ModelFolder.read(folder).config();
    assertThat(model.info().classNames()).isEqualTo(names);
    assertThat(ModelJson.read(ModelJson.write(model))).isEqualTo(model);

    Fixtures.unseal(folder);
    Map<String, String> bad =
        Map.of(
            "[\"cat\"]",
            "there must be one name for each of 3 classes, got 1",
            "[\"cat\", \"dog\", 3]",
            "_class_names must be texts, got 3",
            "[\"cat\", \"dog\", \"cat\"]",
            "no two class names may be alike, got [cat, dog, cat]",
            "\"cat\"",
            "_class_names must be a list, got \"cat\"");
    for (Map.Entry<String, String> each : bad.entrySet()) {
      Json.write(file, json.set("_class_names", Json.MAPPER.readTree(each.getKey())));
      refused(UNET, each.getValue());
    }
  }

  /** Python's json module writes such names, and takes the last of equal keys. */
  @Test
  void jsonIsReadAsPythonWritesIt() throws IOException {
    edit(
        SCHEDULER,
        "\"num_train_timesteps\"",
        "\"lambda_min_clipped\": -Infinity, \"a\": NaN, \"a\": Infinity, \"num_train_timesteps\": 7, \"num_train_timesteps\"");
    assertThat(ModelFolder.read(folder).config()).isEqualTo(model.config());
    edit(SCHEDULER, "-Infinity", "-Infinite");
    refused(SCHEDULER, "not JSON: ");
    edit(SCHEDULER, "\"lambda_min_clipped\": -Infinite", "\"beta_end\": Infinity");
    refused(SCHEDULER, "beta_end must be a number that is finite, got \"Infinity\"");
  }

  /** The pipeline makes a DDIMScheduler of whatever it is given. */
  @Test
  void aDdimPipelineIsDdimWhateverItsScheduler() throws IOException {
    Path index = folder.resolve(INDEX);
    Files.writeString(
        index,
        """
        {"_class_name": "DDIMPipeline", "scheduler": ["diffusers", "IPNDMScheduler"],
         "unet": ["diffusers", "UNet2DModel"]}""");
    PipelineScheduler pipeline = ModelFolder.read(folder).config().pipeline();
    assertThat(pipeline.kind()).isEqualTo(SchedulerClass.DDIM);
    assertThat(pipeline.defaultSteps(1000)).isEqualTo(50);
    Files.writeString(index, Files.readString(index).replace("DDIMPipeline", "DDPMPipeline"));
    refused(
        SCHEDULER,
        "HeunDiscreteScheduler, LMSDiscreteScheduler, got IPNDMScheduler; if the model was trained with the noise");
  }

  /** What isn't a library and a class says nothing, so the configuration of the scheduler does. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "\"scheduler\": {},",
        "\"scheduler\": [null, null],",
        "\"scheduler\": \"DDIMScheduler\","
      })
  void anIndexThatNamesNoSchedulerLeavesItToTheConfiguration(String scheduler) throws IOException {
    Files.writeString(
        folder.resolve(INDEX),
        "{\"_class_name\": \"DDPMPipeline\", %s \"unet\": [\"diffusers\", \"UNet2DModel\"]}"
            .formatted(scheduler));
    for (String name : new String[] {"DDIMScheduler", "DDPMScheduler"}) {
      Path file = folder.resolve(SCHEDULER);
      Json.write(file, ((ObjectNode) Json.read(file)).put("_class_name", name));
      PipelineScheduler pipeline = ModelFolder.read(folder).config().pipeline();
      assertThat(pipeline.kind().className()).isEqualTo(name);
      assertThat(pipeline.ddimPipeline()).isFalse();
    }
  }

  /**
   * Without its decoder the network of a latent model would draw latents as if they were pixels.
   */
  @Test
  void aModelOfLatentsIsRefusedWithItsIndexAndWithout() throws IOException {
    Files.createDirectories(folder.resolve("vqvae"));
    String rule = "a model of pixels has a unet and a scheduler and no more";
    refused("vqvae", "not supported: " + rule);
    Files.delete(folder.resolve("vqvae"));
    Files.writeString(
        folder.resolve(INDEX),
        """
        {"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"],
         "unet": ["diffusers", "UNet2DModel"]}""");
    refused(INDEX, "vqvae is not supported: " + rule);
  }

  @Test
  void whatIsPredictedMayBeSaidAsItOnceWas() throws IOException {
    Path file = folder.resolve(SCHEDULER);
    ObjectNode json = (ObjectNode) Json.read(file);
    json.remove("prediction_type");
    Json.write(file, json.put("predict_epsilon", false));
    assertThat(ModelFolder.read(folder).config().info().predictionType())
        .isEqualTo(PredictionType.SAMPLE);
    Json.write(file, json.put("predict_epsilon", true));
    assertThat(ModelFolder.read(folder).config().info().predictionType())
        .isEqualTo(PredictionType.EPSILON);
    Json.write(file, json.put("predict_epsilon", false).put("prediction_type", "v_prediction"));
    assertThat(ModelFolder.read(folder).config().info().predictionType())
        .isEqualTo(PredictionType.V_PREDICTION);
  }

  @Test
  void settingsThatAreTheDefaultsUnderAnotherNameAreTaken() throws IOException {
    Path file = folder.resolve(UNET);
    ObjectNode json = (ObjectNode) Json.read(file);
    int width = json.get("block_out_channels").get(0).intValue();
    Json.write(file, json.put("act_fn", "swish").put("time_embedding_dim", 4 * width));
    assertThat(ModelFolder.read(folder).config()).isEqualTo(model.config());
    json.putNull("downsample_type").putNull("upsample_type").putNull("time_embedding_dim");
    Json.write(file, json.put("act_fn", "SiLU"));
    assertThat(ModelFolder.read(folder).config()).isEqualTo(model.config());
    Json.write(file, json.put("time_embedding_dim", 0));
    refused(UNET, "time_embedding_dim must be in [1, 65536], got 0");
  }

  /** Those of {@code UNet2DModel.__init__}. */
  @Test
  void aNetworkThatSaysNothingOfItsBlocksHasTheDefaultOnes() throws IOException {
    Path file = folder.resolve(UNET);
    ObjectNode json = (ObjectNode) Json.read(file);
    json.remove(List.of("block_out_channels", "down_block_types", "up_block_types"));
    Json.write(file, json.put("norm_num_groups", 32).put("attention_head_dim", 8));
    UNetConfig network = ModelFolder.read(folder).config().network();
    assertThat(network.levels().channels()).containsExactly(224, 448, 672, 896);
    assertThat(network.attention().down()).containsExactly(false, true, true, true);
    assertThat(network.attention().up()).containsExactly(true, true, true, false);
  }

  @Test
  void noiseThatLeavesTooLittleIsRefusedForWhatItIs() throws IOException {
    Path file = folder.resolve(SCHEDULER);
    ObjectNode json = (ObjectNode) Json.read(file);
    json.put("prediction_type", "epsilon").put("beta_schedule", "linear");
    Json.write(file, json.put("beta_start", 1e-4).put("beta_end", 0.5));
    refused(
        SCHEDULER, "epsilon prediction needs signal at every timestep, but the schedule leaves ");
    Json.write(file, json.put("prediction_type", "v_prediction"));
    assertThat(ModelFolder.read(folder).config().info().schedule().betaEnd()).hasValue(0.5);
    Json.write(file, json.put("beta_start", 0.0));
    refused(SCHEDULER, "beta_start must be in (0, 1), got 0.0");
  }

  @ParameterizedTest
  @ValueSource(strings = {"_orig_mod.", "module."})
  void aNetworkThatWasSavedInsideOfAnotherIsFound(String prefix) throws IOException {
    Map<String, Weight> weights = Fixtures.weights(model);
    Map<String, Weight> wrapped = new LinkedHashMap<>();
    weights.forEach((name, weight) -> wrapped.put(prefix + name, weight));
    Path file = folder.resolve("unet/" + WeightFiles.NAME);
    Files.delete(file);
    SafeTensors.write(file, wrapped, DType.F32);
    assertThat(Fixtures.weights(ModelFolder.read(folder))).isEqualTo(weights);
  }

  static Stream<Arguments> notWeights() {
    String pickle = "this is a pickle of PyTorch, not safetensors";
    return Stream.of(
        arguments(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "this is a pointer of Git LFS, not the file itself"),
        arguments("PK\3\4\0\0\10\10", pickle + "; let its name end with .bin, and it is read if"),
        arguments("\200\2\212\12l\374\234F", pickle + "; have diffusers save the model again"),
        arguments(
            "<!DOCTYPE html><title>Sign in</title>", "this is a web page or XML, not safetensors"),
        arguments("Entry not found", "this is text, not safetensors: Entry not found"),
        arguments(
            "\0\1\2\3\4\5\6\7", "the header's length must be in [2, 0], got 506097522914230528"));
  }

  @ParameterizedTest
  @MethodSource("notWeights")
  void weightsThatAreSomethingElseAreCalledWhatTheyAre(String start, String problem)
      throws IOException {
    String file = "unet/" + WeightFiles.NAME;
    Files.write(folder.resolve(file), start.getBytes(StandardCharsets.ISO_8859_1));
    refused(file, problem);
  }

  private void edit(String file, String old, String by) throws IOException {
    Path path = folder.resolve(file);
    String text = Files.readString(path);
    assertThat(text).contains(old);
    Files.writeString(path, text.replace(old, by));
  }

  private void refused(String file, String problem) {
    assertThatThrownBy(() -> ModelFolder.read(folder))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith(folder.resolve(file) + ": ")
        .hasMessageContaining(problem);
  }

  /** What diffusers is told by an argument is a key that it leaves alone. */
  @Test
  void theStepsOfADistilledModelComeAndGo() throws IOException {
    Path file = folder.resolve("scheduler/scheduler_config.json");
    ObjectNode json = (ObjectNode) Json.read(file);
    assertThat(json.has("_num_inference_steps")).isFalse();
    Json.write(file, json.put("_num_inference_steps", 4));
    assertThat(ModelFolder.read(folder).config().info().steps()).isEqualTo(4);
    ModelFiles.convert(folder, folder, ModelFiles.Storage.FLOAT32);
    assertThat(ModelFolder.read(folder).config().info().steps()).isEqualTo(4);

    Fixtures.unseal(folder);
    for (int steps : new int[] {-1, 1001}) {
      Json.write(file, json.put("_num_inference_steps", steps));
      assertThatThrownBy(() -> ModelFolder.read(folder))
          .isInstanceOf(IOException.class)
          .hasMessage(
              file
                  + ": the steps that a model was distilled for must be in [0, 1000], got "
                  + steps);
    }
    Json.write(file, json.put("_num_inference_steps", 4).put("timestep_spacing", "leading"));
    assertThatThrownBy(() -> ModelFolder.read(folder))
        .isInstanceOf(IOException.class)
        .hasMessage(
            file + ": _num_inference_steps needs timestep_spacing trailing, got 4 with leading");
  }

  @Test
  void theNullLabelIsMarkedWhereDiffusersLeavesItAlone() throws IOException {
    UNetConfig config = UNetConfig.small(8, 8, 1).withClasses(3);
    JsonNode json = UNetJson.write(config, "0");
    assertThat(json.get("num_class_embeds").asInt()).isEqualTo(4);
    assertThat(json.get("_null_class_label").asBoolean()).isTrue();
    assertThat(UNetJson.read(json)).isEqualTo(config);
    assertThat(config.labels().classes()).isEqualTo(3);
  }

  @ParameterizedTest
  @CsvSource({
    "4, 3, , 3, 1, false", "7, 3, , 3, 4, false", "4, 6, , 3, 1, true", "3, 6, , 3, 0, true",
    "6, 6, , 6, 0, false", "6, 6, 3, 3, 3, true", "7, 6, 4, 3, 4, true", "7, 6, , 6, 1, false"
  })
  void aConditionIsWhatGoesInBeyondTheImage(
      int in, int out, Integer told, int channels, int conditionChannels, boolean learnedVariance) {
    UNetConfig config = UNetConfig.small(8, 8, 1);
    ObjectNode json = UNetJson.write(config, "0");
    assertThat(json.has("_condition_channels")).isFalse();
    json.put("in_channels", in).put("out_channels", out).put("_condition_channels", told);
    UNetConfig read = UNetJson.read(json);
    assertThat(read)
        .isEqualTo(
            config.withPicture(
                new UNetConfig.Picture(8, 8, channels, conditionChannels, learnedVariance, false)));
    assertThat(UNetJson.read(UNetJson.write(read, "0"))).isEqualTo(read);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "unet/config.json | down_block_types | [\"CrossAttnDownBlock2D\"] | must be DownBlock2D, ResnetDownsampleBlock2D or AttnDownBlock2D, got CrossAttnDownBlock2D",
        "unet/config.json | act_fn | \"tanh\" | act_fn must be one of silu, swish, mish, gelu, relu, got tanh",
        "unet/config.json | time_embedding_type | \"fourier\" | time_embedding_type must be positional",
        "unet/config.json | sample_size | 9 | divisible by 2",
        "unet/config.json | norm_num_groups | 5 | divisible by norm_num_groups 5",
        "unet/config.json | out_channels | 3 | out_channels must equal in_channels 1",
        "unet/config.json | in_channels | 100000 | condition channels must be in [0, 65536], got 99999",
        "unet/config.json | _condition_channels | 1 | out_channels must equal in_channels 1 less 1 of a condition, or be twice that for a learned variance, got 1",
        "unet/config.json | _condition_channels | -1 | out_channels must equal in_channels 1 less -1 of a condition",
        "unet/config.json | out_channels | -3 | channels must be in [1, 65536], got -3",
        "unet/config.json | class_embed_type | \"identity\" | class_embed_type identity is not supported: it takes vectors, and labels are whole numbers",
        "unet/config.json | class_embed_type | \"projection\" | class_embed_type must be timestep or null, got projection",
        "unet/config.json | attention_head_dim | 13 | attention_head_dim must be at most the 12 channels of a block with attention, got 13",
        "unet/config.json | attn_norm_num_groups | 5 | attn_norm_num_groups must divide the 12 channels of the coarsest level, got 5",
        "unet/config.json | attn_norm_num_groups | 0 | attn_norm_num_groups must be at least 1, got 0",
        "unet/config.json | _class_name | \"UNet2DConditionModel\" | must be UNet2DModel",
        "unet/config.json | norm_eps | \"x\" | norm_eps must be a number",
        "unet/config.json | norm_eps | 1e999 | norm_eps must be a number that is finite, got \"Infinity\"",
        "unet/config.json | norm_eps | 1e300 | norm_eps must be above 0 and finite as a float, got 1.0E300",
        "unet/config.json | norm_eps | 1e-60 | norm_eps must be above 0 and finite as a float, got 1.0E-60",
        "unet/config.json | norm_eps | \"1e-5\" | norm_eps must be a number",
        "unet/config.json | norm_eps | true | norm_eps must be a number",
        "unet/config.json | sample_size | [8.5, 8] | one number or two, got [8.5,8]",
        "unet/config.json | sample_size | [\"8\", 8] | one number or two, got [",
        "unet/config.json | layers_per_block | 1.0 | layers_per_block must be a whole number, got 1.0",
        "unet/config.json | mid_block_scale_factor | \"1\" | mid_block_scale_factor must be a number",
        "unet/config.json | mid_block_scale_factor | 0 | mid_block_scale_factor must be above 0 and finite as a float, as must its inverse, got 0.0",
        "unet/config.json | center_input_sample | \"false\" | center_input_sample must be true or false",
        "unet/config.json | resnet_time_scale_shift | 7 | resnet_time_scale_shift must be a word, got 7",
        "scheduler/scheduler_config.json | clip_sample_range | 1e999 | clip_sample_range must be a number that is finite",
        "scheduler/scheduler_config.json | beta_end | 1e999999999 | beta_end must be a number that is finite",
        "scheduler/scheduler_config.json | beta_schedule | \"a\\u0007\\u001b[2Jb\" | got a\uFFFD\uFFFD[2Jb",
        "unet/config.json | add_attention | \"no\" | add_attention must be true or false",
        "unet/config.json | layers_per_block | \"x\" | whole number",
        "scheduler/scheduler_config.json | beta_schedule | \"exp\" | sigmoid or laplace, got exp",
        "scheduler/scheduler_config.json | prediction_type | \"flow\" | got flow",
        "scheduler/scheduler_config.json | trained_betas | [0.1, 2] | num_train_timesteps 1000, got 2",
        "unet/config.json | sample_size | null | the pictures' height and width",
        "unet/config.json | sample_size | 100000000 | at most 8192, got 100000000x100000000",
        "unet/config.json | block_out_channels | [4, 2000000000] | must be in [1, 65536], got 2000000000",
        "unet/config.json | mid_block_type | \"UNetMidBlock2DSimpleCrossAttn\" | mid_block_type must be UNetMidBlock2D or null",
        "unet/config.json | downsample_type | \"fir\" | downsample_type must be conv or resnet, got fir",
        "unet/config.json | upsample_type | \"fir\" | upsample_type must be conv or resnet, got fir",
        "unet/config.json | up_block_types | [\"AttnSkipUpBlock2D\", \"UpBlock2D\"] | got AttnSkipUpBlock2D",
        "model_index.json | _class_name | \"StableDiffusionPipeline\" | DDPMPipeline or DDIMPipeline, got StableDiffusionPipeline",
        "model_index.json | text_encoder | [\"transformers\", \"CLIPTextModel\"] | text_encoder is not supported",
        "model_index.json | unet | [\"diffusers\", \"UNet2DConditionModel\"] | UNet2DModel, got UNet2DConditionModel",
        "scheduler/scheduler_config.json | timestep_spacing | \"even\" | leading, trailing or linspace, got even",
        "scheduler/scheduler_config.json | steps_offset | -1 | steps_offset must be at least 0, got -1",
        "scheduler/scheduler_config.json | _spacing_exponent | -1 | the spacing exponent must be in [0.1, 1], got -1",
        "scheduler/scheduler_config.json | variance_type | \"none\" | learned or learned_range, got none",
        "scheduler/scheduler_config.json | clip_sample_range | 0 | clip_sample_range must be above 0, got 0.0",
        "scheduler/scheduler_config.json | num_train_timesteps | 2000000000 | at most 1000000, got 2000000000",
        "scheduler/scheduler_config.json | num_train_timesteps | 0 | at least 1 timestep, got 0",
      })
  void whatWeCannotDoIsRefusedByName(String name, String key, String value, String problem)
      throws IOException {
    Path file = folder.resolve(name);
    ObjectNode json = (ObjectNode) Json.read(file);
    // As text, because a number that is too large would be written as something else.
    Files.writeString(file, json.put(key, "VALUE").toString().replace("\"VALUE\"", value));
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(problem);
  }

  @ParameterizedTest
  @ValueSource(strings = {"\"0.02\"", "null", "true", "[0.02]", "1e999", "\"NaN\""})
  void betasAreNumbers(String beta) throws IOException {
    edit(
        folder.resolve("scheduler/scheduler_config.json"),
        json -> {
          json.put("num_train_timesteps", 3);
          json.putArray("trained_betas").add(0.01).add(read(beta)).add(0.03);
        });
    assertRefused("trained_betas must be finite numbers, got ");
  }

  private static JsonNode read(String json) {
    try {
      return Json.MAPPER.readTree(json);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aWeightThatIsNotFiniteIsNamed() throws IOException {
    Map<String, Weight> weights = Fixtures.weights(model);
    Weight bias = weights.get("conv_in.bias");
    FloatBuffer values = FloatBuffer.allocate(bias.values().remaining());
    values.put(1, Float.NaN);
    weights.put("conv_in.bias", new Weight(bias.shape(), values));
    assertRefused(weights, "weight conv_in.bias must hold finite numbers, got NaN at 1");
  }

  @Test
  void anUnknownSchedulerIsRefusedWithAndWithoutAnIndex() throws IOException {
    String problem = "HeunDiscreteScheduler, LMSDiscreteScheduler, got ScoreSdeVeScheduler";
    Path config = folder.resolve("scheduler/scheduler_config.json");
    edit(config, json -> json.put("_class_name", "ScoreSdeVeScheduler"));
    assertThat(ModelFolder.read(folder).config().pipeline())
        .as("the index decides")
        .isEqualTo(model.config().pipeline());
    edit(
        folder.resolve("model_index.json"),
        json -> json.putArray("scheduler").add("diffusers").add("ScoreSdeVeScheduler"));
    assertRefused(problem);
    Files.delete(folder.resolve("model_index.json"));
    assertRefused(problem);
  }

  @Test
  void aThresholdOfOneIsClipping() throws IOException {
    Path config = folder.resolve("scheduler/scheduler_config.json");
    edit(config, json -> json.put("thresholding", true).put("clip_sample_range", 3));
    assertThat(ModelFolder.read(folder).config().pipeline().clip()).isEqualTo(1);
    edit(config, json -> json.put("sample_max_value", 0.5));
    assertRefused("sample_max_value must be at least 1, got 0.5");
  }

  @Test
  void epsilonWithZeroTerminalSnrIsRefused() throws IOException {
    edit(
        folder.resolve("scheduler/scheduler_config.json"),
        json -> json.put("prediction_type", "epsilon").put("rescale_betas_zero_snr", true));
    assertRefused("scheduler_config.json: epsilon prediction needs signal");
  }

  @Test
  void noTimeIsSpentOnANetworkThatTheWeightsCannotFill() throws IOException {
    edit(folder.resolve("unet/config.json"), json -> json.put("layers_per_block", 30));
    assertRefused("weight down_blocks.0.resnets.1.norm1.weight is missing");
    edit(folder.resolve("unet/config.json"), json -> json.put("layers_per_block", 2_000_000_000));
    assertRefused("a network has at most 128 residual blocks, got 8000000004, by layers_per_block");
  }

  @Test
  void safetensorsUnderTheNameOfAPickleAreCalledWhatTheyAre() throws IOException {
    Path weights = folder.resolve("unet/diffusion_pytorch_model.safetensors");
    Path pickle = weights.resolveSibling("diffusion_pytorch_model.bin");
    Files.move(weights, pickle);
    assertRefused(
        "diffusion_pytorch_model.bin: this is safetensors, not a zip archive of PyTorch; let its name end with .safetensors");
    Files.delete(pickle);
    assertRefused("diffusion_pytorch_model.safetensors: this file is missing");
  }

  @Test
  void aVariantIsReadIfItIsTheOnlyOne() throws IOException {
    Path weights = folder.resolve("unet/diffusion_pytorch_model.safetensors");
    Path half = weights.resolveSibling("diffusion_pytorch_model.fp16.safetensors");
    Files.move(weights, half);
    assertThat(Fixtures.weights(ModelFolder.read(folder))).isEqualTo(Fixtures.weights(model));
    Files.copy(half, weights.resolveSibling("diffusion_pytorch_model.non_ema.safetensors"));
    assertRefused(
        "got diffusion_pytorch_model.fp16.safetensors, diffusion_pytorch_model.non_ema.safetensors; leave one");
    Files.copy(half, weights);
    assertThat(Fixtures.weights(ModelFolder.read(folder))).isEqualTo(Fixtures.weights(model));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "../unet/diffusion_pytorch_model.safetensors | must name .safetensors files beside it, got ../unet",
        "/etc/passwd | must name .safetensors files beside it, got /etc/passwd",
        "none.safetensors | none.safetensors: this file is missing",
        "part.safetensors | weight conv_in.bias is missing",
      })
  void anIndexNamesFilesBesideIt(String file, String problem) throws IOException {
    Path unet = folder.resolve("unet");
    Map<String, Weight> weights = new LinkedHashMap<>(Fixtures.weights(model));
    Weight bias = weights.remove("conv_in.bias");
    Files.delete(unet.resolve("diffusion_pytorch_model.safetensors"));
    SafeTensors.write(unet.resolve("part.safetensors"), weights, DType.F32);
    SafeTensors.write(unet.resolve("rest.safetensors"), Map.of("conv_in.bias", bias), DType.F32);
    ObjectNode index = Json.object();
    ObjectNode places = index.putObject("weight_map").put("conv_in.bias", "rest.safetensors");
    weights.keySet().forEach(name -> places.put(name, "part.safetensors"));
    Path indexFile = unet.resolve("diffusion_pytorch_model.safetensors.index.json");
    Json.write(indexFile, index);
    assertThat(Fixtures.weights(ModelFolder.read(folder))).isEqualTo(Fixtures.weights(model));
    edit(indexFile, json -> ((ObjectNode) json.get("weight_map")).put("conv_in.bias", file));
    assertRefused(problem);
    edit(indexFile, json -> ((ObjectNode) json.get("weight_map")).remove("conv_in.bias"));
    assertRefused("weight conv_in.bias is missing");
    edit(
        indexFile,
        json ->
            ((ObjectNode) json.get("weight_map"))
                .put("conv_in.bias", "rest.safetensors")
                .remove("conv_out.bias"));
    assertRefused("weight conv_out.bias is not in the weight_map of");
  }

  @Test
  void aWeightUnderBothItsNamesIsRefused() throws IOException {
    Map<String, Weight> weights = new LinkedHashMap<>(Fixtures.weights(model));
    weights.put(
        "mid_block.attentions.0.query.weight", weights.get("mid_block.attentions.0.to_q.weight"));
    assertRefused(weights, "mid_block.attentions.0.to_q.weight is there twice");
  }

  @Test
  void aMissingAnExtraAndAMisshapenWeightAreRefused() throws IOException {
    Map<String, Weight> weights = new LinkedHashMap<>(Fixtures.weights(model));
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
    UNetConfig network = model.config().network();
    ModelConfig other =
        new ModelConfig(network, network.info(schedule, type), model.config().pipeline());
    ModelFolder.write(folder, other, Fixtures.weights(model), DType.F32);
    Fixtures.unseal(folder);
  }

  private static void edit(Path file, Consumer<ObjectNode> change) throws IOException {
    ObjectNode json = (ObjectNode) Json.read(file);
    change.accept(json);
    Json.write(file, json);
  }

  private void assertRefused(String problem) {
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining(problem);
  }

  private void assertRefused(Map<String, Weight> weights, String problem) throws IOException {
    ModelFolder.write(folder, model.config(), weights, DType.F32);
    assertThatThrownBy(() -> Predictor.load(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("diffusion_pytorch_model.safetensors")
        .hasMessageContaining(problem);
  }
}

package io.github.ddpm.tf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.data.Percentage.withPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.io.Closer;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DistilledStep;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Step;
import io.github.ddpm.tf.ProgressiveDistillation.Weighting;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Digits;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.Json;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.SafeTensors;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.FrozenWeights;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

class ProgressiveDistillationTest {
  private static final int SIZE = 8;
  private static final Dataset DIGITS = Digits.dataset(100, SIZE, 1);
  private static final TrainingOptions OPTIONS =
      TrainingOptions.defaults()
          .withBatchSize(8)
          .withLearningRate(2e-3, 10)
          .withPrecision(Precision.FLOAT32)
          .withSeed(5);

  @TempDir Path folder;

  /** The graph walks the teacher's rows as {@link DistilledStep} says, here in plain Java. */
  @ParameterizedTest
  @CsvSource({
    // prediction, thresholding, guidance, rows of the teacher for one of the student
    "V_PREDICTION, true, 1, 2",
    "V_PREDICTION, false, 2, 2",
    "SAMPLE, true, 2, 2",
    "EPSILON, true, 1, 2",
    "EPSILON, false, 1, 3",
  })
  void theTargetIsWhereTheTeachersRowsLand(
      PredictionType type, boolean clips, double guidance, int rows) throws IOException {
    Path model = untrained("model", type, 6);
    changeScheduler(model, json -> json.put("thresholding", clips).put("_spacing_exponent", 0.5));
    ModelFolder start = ModelFolder.read(model);
    Teacher teacher =
        Teacher.of(
            start,
            new ProgressiveDistillation(model, 4).withTeacherSteps(4 * rows).withGuidance(guidance),
            Closer.create());
    assertThat(teacher.steps()).hasSize(4).allMatch(step -> step.teacher().size() == rows);
    int[] drawn = {2, 0, 3, 1, 3};
    int[] labels = {7, 10, 0, 1, 10};
    float[] x = new float[drawn.length * SIZE * SIZE];
    Random random = new Random(3);
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    float[] target = targetOfTheGraph(teacher, x, drawn, labels);
    try (Predictor predictor = Predictor.load(model, Precision.FLOAT32)) {
      for (int image = 0; image < drawn.length; image++) {
        float[] one = Arrays.copyOfRange(x, image * SIZE * SIZE, (image + 1) * SIZE * SIZE);
        double[] expected =
            walk(
                predictor,
                teacher.steps().get(drawn[image]),
                clips ? 1 : Double.POSITIVE_INFINITY,
                guidance,
                labels[image],
                one);
        for (int i = 0; i < expected.length; i++) {
          assertThat((double) target[image * SIZE * SIZE + i])
              .as("value %s of image %s", i, image)
              .isCloseTo(expected[i], within(1e-4 * Math.max(1, Math.abs(expected[i]))));
        }
      }
    }
  }

  private static float[] targetOfTheGraph(Teacher teacher, float[] x, int[] drawn, int... labels)
      throws IOException {
    try (Graph graph = TensorFlowRuntime.graph();
        FrozenWeights frozen = new FrozenWeights(TensorFlowRuntime.ops(graph))) {
      Ops tf = TensorFlowRuntime.ops(graph);
      List<Step> rows = teacher.steps().stream().map(DistilledStep::student).toList();
      float[] times = new float[drawn.length];
      for (int i = 0; i < times.length; i++) {
        times[i] = (float) rows.get(drawn[i]).timestep();
      }
      Operand<TFloat32> target =
          new TeacherGraph(tf, teacher, Precision.FLOAT32, frozen)
              .target(
                  tf.constant(Shape.of(drawn.length, SIZE, SIZE, 1), DataBuffers.of(x)),
                  tf.constant(times),
                  tf.constant(drawn),
                  Optional.of(tf.constant(labels)));
      try (Session session = TensorFlowRuntime.session(graph);
          Result result = session.runner().fetch(target).run()) {
        float[] values = new float[x.length];
        ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
        return values;
      }
    }
  }

  private static double[] walk(
      Predictor teacher, DistilledStep step, double clip, double guidance, int label, float... x) {
    double[] target = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      target[i] = step.fromX() * x[i];
    }
    float[] on = x.clone();
    for (int r = 0; r < step.teacher().size(); r++) {
      Step row = step.teacher().get(r);
      float[] labeled = teacher.predict(on, row.timestep(), label);
      float[] unlabeled = teacher.predict(on, row.timestep(), 10);
      for (int i = 0; i < x.length; i++) {
        double out = unlabeled[i] + guidance * (labeled[i] - unlabeled[i]);
        double raw = row.x0FromX() * on[i] + row.x0FromOut() * out;
        double image = Math.max(-clip, Math.min(clip, raw));
        target[i] += step.fromX0().get(r) * image;
        on[i] = (float) (row.fromX() * on[i] + row.fromX0() * image);
      }
    }
    return target;
  }

  /**
   * A network that says 0 has a teacher that says 0. Without clipping the target is then a multiple
   * of x, another one at each timestep of the plan, and where the images are 0, x² is the noise² on
   * average: so the loss is known.
   */
  @ParameterizedTest
  @CsvSource({"1, TRUNCATED_SNR", "4, TRUNCATED_SNR", "4, SNR_PLUS_ONE", "8, SNR_PLUS_ONE"})
  void theTimestepsOfThePlanAloneAreDrawnByTheirWeights(int steps, Weighting weighting)
      throws IOException {
    Path model = untrained("model", PredictionType.V_PREDICTION, 6);
    Path file = model.resolve("unet/diffusion_pytorch_model.safetensors");
    Map<String, Weight> weights = new LinkedHashMap<>(SafeTensors.read(file));
    for (String last : List.of("conv_out.weight", "conv_out.bias")) {
      Shape shape = weights.get(last).shape();
      weights.put(last, new Weight(shape, FloatBuffer.allocate((int) shape.size())));
    }
    Files.delete(file);
    SafeTensors.write(file, weights, DType.F32);
    changeScheduler(model, json -> json.put("thresholding", false));
    ProgressiveDistillation asked =
        new ProgressiveDistillation(model, steps).withWeighting(weighting);
    double expected = 0;
    for (DistilledStep step :
        DistilledStep.steps(ModelFolder.read(model).config().info(), steps, 2 * steps)) {
      double factor = step.fromX();
      double on = 1;
      for (int i = 0; i < 2; i++) {
        Step row = step.teacher().get(i);
        double image = row.x0FromX() * on;
        factor += step.fromX0().get(i) * image;
        on = row.fromX() * on + row.fromX0() * image;
      }
      double snr = Math.pow(step.student().signal() / step.student().noise(), 2);
      // For v: an error of v is that of the image divided by the noise.
      double ofX0 = weighting == Weighting.SNR_PLUS_ONE ? snr + 1 : Math.max(snr, 1);
      double ofV = ofX0 * Math.pow(step.student().noise(), 2);
      expected += ofV * factor * factor * Math.pow(step.student().noise(), 2) / steps;
    }
    int count = 512;
    Images black = Images.of(count, SIZE, SIZE, 1, new float[count * SIZE * SIZE]);
    try (Trainer trainer = Trainer.distill(model, asked, OPTIONS.withBatchSize(count))) {
      assertThat(trainer.step(black, new int[count])).isCloseTo(expected, withPercentage(3));
    }
  }

  @Test
  void theStudentComesNearToItsTeacherAndKnowsItsSteps() throws IOException {
    Path model = folder.resolve("model");
    try (Trainer trainer = trainer(PredictionType.V_PREDICTION, OPTIONS)) {
      trainer.setTotalSteps(60);
      trainer.train(DIGITS, progress -> true);
      trainer.save(model);
    }
    Path whole = folder.resolve("whole");
    Path halves = folder.resolve("halves");
    ProgressiveDistillation asked = new ProgressiveDistillation(model, 2);
    TrainingOptions options = OPTIONS.withLearningRate(1e-3, 5);
    List<Double> losses = new ArrayList<>();
    try (Trainer trainer = Trainer.distill(model, asked, options)) {
      assertThat(trainer.info().steps()).isEqualTo(2);
      trainer.setTotalSteps(80);
      trainer.train(DIGITS, progress -> losses.add(progress.loss()));
      trainer.save(whole);
    }
    assertThat(mean(losses.subList(70, 80))).isLessThan(0.7 * mean(losses.subList(0, 5)));

    try (Trainer trainer = Trainer.distill(model, asked, options)) {
      trainer.setTotalSteps(80);
      trainer.train(DIGITS, progress -> progress.step() < 30);
      trainer.save(halves);
    }
    try (Trainer trainer = Trainer.resume(halves)) {
      assertThat(trainer.distillation()).contains(asked);
      trainer.train(DIGITS, progress -> true);
      trainer.save(halves);
    }
    for (String file : List.of("training/state.json", "unet/diffusion_pytorch_model.safetensors")) {
      assertThat(halves.resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
    }

    float[] teacher = sampled(model, 4);
    assertThat(difference(sampled(whole, 2), teacher))
        .isLessThan(0.8 * difference(sampled(model, 2), teacher));
    assertFolder(whole);

    // Learning from the data, it is a model of all timesteps again.
    try (Trainer trainer = Trainer.fineTune(whole, options)) {
      assertThat(trainer.info().steps()).isZero();
    }
  }

  /** A teacher that is spaced by a power has a student in whose time the same plan is even. */
  @Test
  void aStudentIsSpacedEvenlyWhateverItsTeacherIs() throws IOException {
    Path model = untrained("model", PredictionType.V_PREDICTION, 6);
    changeScheduler(model, json -> json.put("_spacing_exponent", 0.5));
    ModelInfo teacher = ModelFolder.read(model).config().info();
    Path student = folder.resolve("student");
    Path next = folder.resolve("next");
    try (Trainer trainer = Trainer.distill(model, new ProgressiveDistillation(model, 8), OPTIONS)) {
      trainer.save(student);
    }
    ModelInfo info = ModelFolder.read(student).config().info();
    assertThat(info).isEqualTo(teacher.evenlySpaced().withSteps(8));
    try (Trainer trainer =
        Trainer.distill(student, new ProgressiveDistillation(student, 4), OPTIONS)) {
      trainer.save(next);
    }
    assertThat(ModelFolder.read(next).config().info()).isEqualTo(info.withSteps(4));
    // More of a round, from what there is, and from the first teacher in one go.
    Trainer.distill(next, new ProgressiveDistillation(student, 4), OPTIONS).close();
    Trainer.distill(next, new ProgressiveDistillation(model, 4), OPTIONS).close();
    Trainer.resume(next).close();
    Trainer.resume(student).close();
  }

  private static float[] sampled(Path model, int steps) throws IOException {
    try (Predictor predictor = Predictor.load(model, Precision.FLOAT32)) {
      return Sampler.ddim(0).steps(steps).with(predictor).labels(1, 5).seed(2).sample(8).toArray();
    }
  }

  /** The folder is one of diffusers' DDIM, and samples with its steps here. */
  private static void assertFolder(Path student) throws IOException {
    JsonNode scheduler = Json.read(student.resolve("scheduler/scheduler_config.json"));
    assertThat(scheduler.get("_class_name").asText()).isEqualTo("DDIMScheduler");
    assertThat(scheduler.get("timestep_spacing").asText()).isEqualTo("trailing");
    assertThat(scheduler.get("_num_inference_steps").asInt()).isEqualTo(2);
    JsonNode index = Json.read(student.resolve("model_index.json"));
    assertThat(index.get("_class_name").asText()).isEqualTo("DDIMPipeline");
    List<Integer> rows = new ArrayList<>();
    try (Predictor predictor = Predictor.load(student, Precision.FLOAT32)) {
      assertThat(predictor.info().steps()).isEqualTo(2);
      for (Sampler sampler :
          List.of(
              predictor.sampler(), Sampler.ddim(0).with(predictor), predictor.sampler().steps(3))) {
        sampler.listener(progress -> rows.add(progress.rows())).sample(1);
      }
    }
    assertThat(rows).containsExactly(2, 2, 2, 2, 3, 3, 3);
  }

  @Test
  void whatCanNotTeachIsRefusedBeforeTheFirstStep() throws IOException {
    Path model = untrained("model", PredictionType.V_PREDICTION, 6);
    Path epsilon = untrained("epsilon", PredictionType.EPSILON, 6);
    Path other = Fixtures.path("golden/unet-attention");
    for (Path wrong : List.of(epsilon, other)) {
      refused(
          model,
          new ProgressiveDistillation(wrong, 4),
          OPTIONS,
          "the teacher must be a model of the same size, classes, noise and prediction, got ModelInfo[",
          ", in " + wrong);
    }
    refused(
        epsilon,
        new ProgressiveDistillation(epsilon, 4),
        OPTIONS,
        "a student that predicts epsilon can't start at timestep 999.0, where x holds a signal of ",
        "below 1/32: use v_prediction or sample, or a spacing exponent below 1");
    refused(
        model,
        new ProgressiveDistillation(model, 4).withTeacherSteps(6),
        OPTIONS,
        "a student of 4 steps needs a teacher of twice as many or another multiple, got 6",
        "");
    refused(
        model,
        new ProgressiveDistillation(model, 600),
        OPTIONS,
        "steps must be in [1, 1000], the model's training timesteps, got 1200",
        "");
    refused(
        model,
        new ProgressiveDistillation(model, 4),
        OPTIONS.withMinSnrGamma(5),
        "progressive distillation has a weighting of its own: min-SNR gamma must be 0, got 5.0",
        "");
    refused(
        other,
        new ProgressiveDistillation(other, 4).withGuidance(2),
        OPTIONS.withLabelDropout(0),
        "guidance needs a teacher that was trained with label dropout, got guidance 2.0 and ",
        "");
    changeScheduler(model, json -> json.put("_num_inference_steps", 16));
    refused(
        model,
        new ProgressiveDistillation(model, 4),
        OPTIONS,
        "the teacher must take the 16 steps that it was distilled for, got 8, in " + model,
        "");
    // Four rows for one are no halving, but as well defined.
    Trainer.distill(model, new ProgressiveDistillation(model, 4).withTeacherSteps(16), OPTIONS)
        .close();
    assertThatThrownBy(() -> new ProgressiveDistillation(model, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("steps must be at least 1, got 0");
    assertThatThrownBy(() -> new ProgressiveDistillation(model, 1).withGuidance(Double.NaN))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("guidance must be finite, got NaN");
  }

  private static void refused(
      Path start,
      ProgressiveDistillation asked,
      TrainingOptions options,
      String message,
      String end) {
    assertThatThrownBy(() -> Trainer.distill(start, asked, options))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message)
        .hasMessageEndingWith(end);
  }

  @Test
  void aTrainingGoesOnOnlyWithTheTeacherThatItBeganWith() throws IOException {
    Path model = untrained("model", PredictionType.V_PREDICTION, 6);
    Path start = untrained("start", PredictionType.V_PREDICTION, 7);
    Path student = folder.resolve("student");
    ProgressiveDistillation asked =
        new ProgressiveDistillation(model, 4, 8, 1.5, Weighting.SNR_PLUS_ONE);
    try (Trainer trainer = Trainer.distill(start, asked, OPTIONS)) {
      trainer.save(student);
    }
    // What it started from isn't needed any more.
    MoreFiles.deleteRecursively(start, RecursiveDeleteOption.ALLOW_INSECURE);
    try (Trainer trainer = Trainer.resume(student)) {
      assertThat(trainer.distillation()).contains(asked);
      assertThat(trainer.startedFrom()).contains(start);
    }
    Fixtures.unseal(student);
    Path state = student.resolve("training/state.json");
    String saved = Files.readString(state);
    for (String damaged :
        List.of("null", "5", "{'teacher': 'x'}", "{'steps': 4}", "{'weighting': 'LOUD'}")) {
      ObjectNode json = (ObjectNode) Json.read(state);
      JsonNode change = Json.MAPPER.readTree(damaged.replace('\'', '"'));
      if (change.has("weighting")) {
        ((ObjectNode) json.get("progressive_distillation")).setAll((ObjectNode) change);
      } else {
        json.set("progressive_distillation", change);
      }
      Json.write(state, json);
      assertThatThrownBy(() -> Trainer.resume(student))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(
              state
                  + ": progressive_distillation needs a teacher, steps, teacher_steps, a guidance, a known weighting and"
                  + " a digest, got ");
      Files.writeString(state, saved);
    }
    untrained("model", PredictionType.V_PREDICTION, 8);
    assertThatThrownBy(() -> Trainer.resume(student))
        .isInstanceOf(IOException.class)
        .hasMessage(state + ": " + model + " is another model than when this training began");
  }

  private Path untrained(String name, PredictionType type, long seed) throws IOException {
    Path model = folder.resolve(name);
    try (Trainer trainer = trainer(type, OPTIONS.withSeed(seed))) {
      trainer.save(model);
    }
    return model;
  }

  private static Trainer trainer(PredictionType type, TrainingOptions options) {
    return Trainer.create(
        UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 16).withClasses(10),
        BetaSchedule.cosine(),
        type,
        options);
  }

  private interface Change {
    void of(ObjectNode json);
  }

  private static void changeScheduler(Path model, Change change) throws IOException {
    Path file = model.resolve("scheduler/scheduler_config.json");
    if (Files.exists(model.resolve("SHA256SUMS"))) {
      Fixtures.unseal(model);
    }
    ObjectNode json = (ObjectNode) Json.read(file);
    change.of(json);
    Json.write(file, json);
  }

  private static double difference(float[] some, float... others) {
    double sum = 0;
    for (int i = 0; i < some.length; i++) {
      sum += Math.pow(some[i] - others[i], 2);
    }
    return sum;
  }

  private static double mean(List<Double> values) {
    return values.stream().mapToDouble(value -> value).average().orElseThrow();
  }
}

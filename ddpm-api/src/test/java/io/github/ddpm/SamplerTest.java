package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SamplerTest {
  private static final Sampler DDIM = Sampler.ddim(0);

  @Test
  void fourImages() {
    Images images = DDIM.with(FormulaPredictor.withoutLabels()).sample(4);
    assertThat(images.count()).isEqualTo(4);
    assertThat(images.height()).isEqualTo(3);
    assertThat(images.width()).isEqualTo(3);
    assertThat(images.channels()).isEqualTo(1);
  }

  @Test
  void settingsLeaveTheOriginalAlone() {
    Recorder model = new Recorder();
    Sampler original = DDIM.with(model).seed(1);
    original.sample(1);
    List<UnaryOperator<Sampler>> settings =
        List.of(
            sampler -> sampler.steps(7),
            sampler -> sampler.spacing(Spacing.leading(7)),
            sampler -> sampler.labels(3),
            sampler -> sampler.labels(3).guidance(2),
            sampler -> sampler.seed(2),
            sampler -> sampler.first(9),
            sampler -> sampler.clip(2),
            sampler -> sampler.listener(progress -> false),
            sampler -> sampler.with(FormulaPredictor.withLabels()));
    for (UnaryOperator<Sampler> setting : settings) {
      Sampler changed = setting.apply(original);
      assertThat(changed).isNotEqualTo(original);
      original.sample(1);
    }
    assertThat(model.requests).hasSize(settings.size() + 1).containsOnly(model.requests.get(0));
  }

  @Test
  void ddimDefaults() {
    DenoiseRequest request = recorded(DDIM, 3);
    assertThat(request.steps()).hasSize(50);
    assertThat(request.steps())
        .extracting(Step::timestep)
        .containsExactly(boxed(Spacing.trailing(50).timesteps(BetaSchedule.linear(1000))));
    assertThat(request.count()).isEqualTo(3);
    assertThat(request.first()).isZero();
    assertThat(request.labels()).isEmpty();
    assertThat(request.guidance()).isEqualTo(Guidance.NONE);
    assertThat(request.clip()).isEqualTo(1);
  }

  @Test
  void aDistilledModelIsSampledWithItsOwnStepsUnlessToldOtherwise() {
    Recorder model = new Recorder(FormulaPredictor.withLabels().info().withSteps(4));
    DDIM.with(model).sample(1);
    Sampler.ddpm().with(model).sample(1);
    Sampler.dpmSolver().with(model).sample(1);
    DDIM.steps(5).with(model).sample(1);
    DDIM.with(new Recorder()).with(model).sample(1);
    assertThat(model.requests)
        .extracting(request -> request.steps().stream().mapToDouble(Step::timestep).toArray())
        .containsExactly(
            Spacing.trailing(4).timesteps(BetaSchedule.linear(1000)),
            Spacing.trailing(4).timesteps(BetaSchedule.linear(1000)),
            Spacing.trailing(4).timesteps(BetaSchedule.linear(1000)),
            Spacing.trailing(5).timesteps(BetaSchedule.linear(1000)),
            Spacing.trailing(4).timesteps(BetaSchedule.linear(1000)));
  }

  @Test
  void stepsAreSpacedAsTheModelSays() {
    Recorder model = new Recorder(FormulaPredictor.withLabels().info().withSpacingExponent(0.5));
    DDIM.steps(4).with(model).sample(1);
    DDIM.with(model).sample(1);
    DDIM.with(model).spacing(Spacing.trailing(4)).sample(1);
    Sampler.ddpm().with(model).sample(1);
    assertThat(model.requests)
        .extracting(request -> request.steps().stream().mapToDouble(Step::timestep).toArray())
        .containsExactly(
            Spacing.power(4, 0.5).timesteps(BetaSchedule.linear(1000)),
            Spacing.power(50, 0.5).timesteps(BetaSchedule.linear(1000)),
            Spacing.trailing(4).timesteps(BetaSchedule.linear(1000)),
            Spacing.trailing(1000).timesteps(BetaSchedule.linear(1000)));
  }

  /**
   * Where ε tells no image, few steps don't start; ᾱ of the cosine schedule falls below 1/1024
   * after 978.
   */
  @Test
  void fewStepsOfEpsilonStartWhereThereIsSignal() {
    ModelInfo even =
        new ModelInfo(1, 1, 1, 0, false, BetaSchedule.cosine(), PredictionType.EPSILON);
    ModelInfo model = even.withSpacingExponent(0.5);
    assertThat(model.spacing(4).timesteps(BetaSchedule.linear(1000)))
        .containsExactly(Spacing.power(4, 0.5).timesteps(BetaSchedule.linear(979)));
    assertThat(BetaSchedule.cosine().alphaBar(978)).isGreaterThan(1.0 / 1024);
    assertThat(BetaSchedule.cosine().alphaBar(979)).isLessThan(1.0 / 1024);
    assertThat(model.spacing(990).timesteps(BetaSchedule.linear(1000)))
        .as("more than have signal")
        .containsExactly(Spacing.power(990, 0.5).timesteps(BetaSchedule.linear(990)));
    assertThat(model.spacing(1000).timesteps(BetaSchedule.linear(1000))[0]).isEqualTo(999);
    assertThat(even.spacing(4).timesteps(BetaSchedule.linear(1000))[0])
        .as("as diffusers")
        .isEqualTo(999);
    refused(
        () -> model.spacing(1001).timesteps(BetaSchedule.linear(1000)),
        "steps must be in [1, 1000], the model's training timesteps, got 1001");
  }

  @Test
  void ddpmDefaultsToAllSteps() {
    assertThat(recorded(Sampler.ddpm(), 1).steps())
        .extracting(Step::timestep)
        .containsExactly(boxed(Spacing.trailing(1000).timesteps(BetaSchedule.linear(1000))));
  }

  /** Fewer training timesteps than the default number of steps are no mistake of the user's. */
  @Test
  void shortSchedulesAreVisitedWhole() {
    Recorder model =
        new Recorder(
            new ModelInfo(1, 1, 1, 0, false, BetaSchedule.linear(20), PredictionType.EPSILON));
    DDIM.with(model).sample(1);
    assertThat(model.requests.get(0).steps()).hasSize(20);
  }

  private static Double[] boxed(double[] values) {
    return Arrays.stream(values).boxed().toArray(Double[]::new);
  }

  @Test
  void settingsArriveInTheRequest() {
    DenoiseRequest request =
        recorded(DDIM.steps(9).labels(3, 1, 4).guidance(2).seed(5).first(6).clip(7), 8);
    assertThat(request.steps()).hasSize(9);
    assertThat(request.labels()).containsExactly(3, 1, 4);
    assertThat(request.guidance()).isEqualTo(Guidance.of(2));
    assertThat(request.seed()).isEqualTo(5);
    assertThat(request.first()).isEqualTo(6);
    assertThat(request.clip()).isEqualTo(7);
    assertThat(request.count()).isEqualTo(8);
  }

  @Test
  void stepsAndSpacingReplaceEachOther() {
    assertThat(recorded(DDIM.steps(9).spacing(Spacing.leading(5)), 1).steps())
        .extracting(Step::timestep)
        .containsExactly(800.0, 600.0, 400.0, 200.0, 0.0);
    assertThat(recorded(DDIM.spacing(Spacing.leading(5)).steps(2), 1).steps())
        .extracting(Step::timestep)
        .containsExactly(999.0, 499.0);
  }

  @Test
  void labelsCycleByImageIndex() {
    DenoiseRequest request = recorded(DDIM.labels(3, 1, 4).first(4), 5);
    assertThat(request.labels(FormulaPredictor.withLabels().info())).containsExactly(1, 4, 3, 1, 4);
  }

  @Test
  void withoutASeedEveryCallDrawsOne() {
    Sampler sampler = DDIM.steps(2).with(FormulaPredictor.withoutLabels());
    assertThat(sampler.sample(1)).isNotEqualTo(sampler.sample(1));
    assertThat(sampler.seed(1).sample(1)).isEqualTo(sampler.seed(1).sample(1));
  }

  private static DenoiseRequest recorded(Sampler sampler, int n) {
    Recorder model = new Recorder();
    sampler.with(model).sample(n);
    return model.requests.get(0);
  }

  @Test
  void orderOfCallsDoesNotMatter() {
    Predictor model = FormulaPredictor.needingLabels();
    Sampler sampler = DDIM.seed(1).steps(3);
    assertThat(sampler.with(model).labels(7).sample(2))
        .isEqualTo(sampler.labels(7).with(model).sample(2));
    Predictor guided = FormulaPredictor.withLabels();
    assertThat(sampler.with(guided).guidance(2).labels(7).sample(2))
        .isEqualTo(sampler.labels(7).guidance(2).with(guided).sample(2));
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, -0.001, 1.001, Double.POSITIVE_INFINITY})
  void etaOutsideIsRefused(double eta) {
    refused(() -> Sampler.ddim(eta), "eta must be in [0, 1], got " + eta);
  }

  @Test
  void badSettingsAreRefused() {
    Sampler with = DDIM.with(FormulaPredictor.withLabels());
    refused(() -> DDIM.steps(0), "steps must be at least 1, got 0");
    refused(() -> DDIM.steps(-3), "steps must be at least 1, got -3");
    String tooMany = "steps must be in [1, 1000], the model's training timesteps, got 1001";
    refused(() -> with.steps(1001), tooMany);
    refused(() -> DDIM.steps(1001).with(FormulaPredictor.withLabels()), tooMany);
    refused(() -> with.sample(-1), "the number of images must be at least 0, got -1");
    refused(() -> DDIM.first(-1), "the first image must be at least 0, got -1");
    refused(() -> DDIM.guidance(Double.NaN), "guidance must be finite, got NaN");
    refused(() -> DDIM.clip(0), "clip must be above 0, got 0.0");
    refused(() -> DDIM.clip(Double.NaN), "clip must be above 0, got NaN");
    refused(
        () -> DDIM.spacing(Spacing.leading(1)),
        "leading spacing needs at least 2 steps, got 1: its one timestep would be 0");
    refused(
        () -> DDIM.spacing(Spacing.linspace(1)),
        "linspace spacing needs at least 2 steps, got 1: its one timestep would be 0");
  }

  /** Its training data's frequencies answer for who asks for nothing, image by image. */
  @Test
  void aModelThatKnowsItsLabelsDrawsThem() {
    ModelInfo some = FormulaPredictor.withLabels().info().withLabelCounts(ModelInfoTest.DIGITS);
    DenoiseRequest request = recorded(DDIM.seed(1).first(2), 3);
    assertThat(request.labels(FormulaPredictor.withLabels().info())).containsExactly(10, 10, 10);
    assertThat(request.labels(some)).containsExactly(9, 5, 6);
    assertThat(request.slice(1, 3).labels(some)).containsExactly(5, 6);
    Predictor model = new FormulaPredictor(some);
    Sampler sampler = DDIM.seed(1).first(2).with(model);
    assertThat(sampler.sample(3)).isEqualTo(sampler.labels(5, 6, 9).sample(3));
    assertThat(sampler.labels(Sampler.NULL_LABEL).sample(3))
        .isEqualTo(DDIM.seed(1).first(2).with(FormulaPredictor.withLabels()).sample(3));
    assertThat(sampler.guidance(2).sample(3))
        .isEqualTo(sampler.labels(5, 6, 9).guidance(2).sample(3));
    ModelInfo needing =
        FormulaPredictor.needingLabels().info().withLabelCounts(ModelInfoTest.DIGITS);
    assertThat(DDIM.seed(1).with(new FormulaPredictor(needing)).sample(2))
        .isEqualTo(DDIM.seed(1).with(FormulaPredictor.needingLabels()).labels(0, 1).sample(2));
  }

  @Test
  void labelsThatTheModelDoesNotKnowAreRefused() {
    Predictor model = FormulaPredictor.withLabels();
    String rule = "labels must be in [0, 9], got ";
    refused(() -> DDIM.with(model).labels(3, 10), rule + 10);
    refused(() -> DDIM.with(model).labels(-1), rule + -1);
    refused(() -> DDIM.labels(10).with(model), rule + 10);
    Predictor needing = FormulaPredictor.needingLabels();
    refused(
        () -> DDIM.with(needing).sample(1),
        "the model has 10 classes, no label counts and no null label, so it needs labels: call labels(…)");
    refused(
        () -> DDIM.with(needing).labels(1, Sampler.NULL_LABEL),
        "this model has no null label; if one of its classes means no label, call nullLabel(…) before");
    refused(
        () -> DDIM.with(needing).labels(1).guidance(2),
        "guidance needs a null label, but this model has none; if one of its classes means no label, call nullLabel(…) before; got guidance 2.0");
    refused(
        () -> DDIM.with(model).guidance(2).sample(1),
        "guidance needs labels, got guidance 2.0 and no labels");
    refused(
        () -> DDIM.with(model).labels(Sampler.NULL_LABEL).guidance(2).sample(1),
        "guidance needs labels, got guidance 2.0 and no labels");
    Predictor without = FormulaPredictor.withoutLabels();
    refused(() -> DDIM.with(without).labels(Sampler.NULL_LABEL), "this model has no null label");
    refused(
        () -> DDIM.with(without).labels(7), "the model was trained without labels, got labels [7]");
    refused(
        () -> DDIM.with(without).guidance(2),
        "guidance needs a null label, but this model has none; got guidance 2.0");
  }

  @Test
  void epsilonWithZeroTerminalSnrIsRefused() {
    BetaSchedule schedule = BetaSchedule.linear().zeroTerminalSnr();
    String message =
        "epsilon prediction needs signal at every timestep, but the schedule has zero SNR at"
            + " timestep 999.0; use v_prediction or sample";
    refused(() -> new ModelInfo(1, 1, 1, 0, false, schedule, PredictionType.EPSILON), message);
    refused(
        () -> NoiseScheduler.ddim(0).steps(schedule, PredictionType.EPSILON, new double[] {999}),
        message);
  }

  @Test
  void badModelsAreRefused() {
    BetaSchedule schedule = BetaSchedule.linear();
    PredictionType type = PredictionType.EPSILON;
    refused(
        () -> new ModelInfo(0, 1, 1, 0, false, schedule, type),
        "height, width and channels must be at least 1, got 0x1x1");
    refused(
        () -> new ModelInfo(1, 1, 1, -1, false, schedule, type),
        "classes must be at least 0, got -1");
    refused(
        () -> new ModelInfo(1, 1, 1, 0, true, schedule, type), "a null label needs classes, got 0");
    refused(
        () -> new ModelInfo(1, 1, 1, 0, 0, false, schedule, type, 0.05, 0, List.of()),
        "the spacing exponent must be in [0.1, 1], got 0.05");
  }

  private static void refused(Runnable call, String message) {
    assertThatIllegalArgumentException().isThrownBy(call::run).withMessage(message);
  }

  /** A broken network is not the caller's mistake. */
  @Test
  void networkThatReturnsNanIsAnIllegalState() {
    Predictor broken =
        new FormulaPredictor(FormulaPredictor.withoutLabels().info()) {
          @Override
          public float[] predict(float[] x, double timestep, int... labels) {
            float[] out = super.predict(x, timestep, labels);
            out[out.length - 1] = Float.NaN;
            return out;
          }
        };
    assertThatIllegalStateException()
        .isThrownBy(() -> DDIM.with(broken).sample(3))
        .withMessage("the model made a value that is not finite in image 2 of 3: NaN");
  }

  /** Keeps what it was asked for. */
  private static final class Recorder extends FormulaPredictor {
    final List<DenoiseRequest> requests = new ArrayList<>();

    Recorder() {
      this(FormulaPredictor.withLabels().info());
    }

    Recorder(ModelInfo info) {
      super(info);
    }

    @Override
    public Images denoise(DenoiseRequest request) {
      requests.add(request);
      return info().images(new float[request.count() * info().imageSize()]);
    }
  }
}

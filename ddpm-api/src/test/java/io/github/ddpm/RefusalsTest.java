package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What a sampler refuses, by name, and what is close to it and works. */
class RefusalsTest {
  private final FormulaPredictor model = FormulaPredictor.withLabels();
  private final ModelInfo info = model.info();
  private final Images image =
      Images.of(1, info.height(), info.width(), info.channels(), new float[info.imageSize()]);

  @Test
  void whatMakesNoSenseIsRefusedWhenTheSamplerIsBuilt() {
    Sampler sampler = Sampler.ddim(0).steps(4).with(model).labels(0);
    Images other = Images.of(1, 3, 5, 1, new float[15]);
    int height = info.height();
    int width = info.width();
    String size = height + "x" + width + "x" + info.channels();
    refused(() -> sampler.from(image, -0.1), "strength must be in [0, 1], got -0.1");
    refused(() -> sampler.from(image, 1.5), "strength must be in [0, 1], got 1.5");
    refused(() -> sampler.from(image, Double.NaN), "strength must be in [0, 1], got NaN");
    refused(
        () -> sampler.from(other, 0.5),
        "images to start from must be " + size + ", as the model draws, got 3x5x1");
    refused(
        () -> sampler.startingAt(image.slice(0, 0)),
        "sampling needs an image to start from, got none");
    refused(
        () -> sampler.inpainting(other, other),
        "images to paint in must be " + size + ", as the model draws, got 3x5x1");
    refused(
        () -> sampler.inpainting(image, other),
        "the mask must be " + height + "x" + width + " as the images are, got 3x5");
    refused(() -> sampler.threshold(0, 1), "the ratio of a threshold must be above 0, got 0.0");
    refused(() -> sampler.threshold(2, 1), "the ratio of a threshold must be in [0, 1], got 2.0");
    refused(() -> sampler.threshold(0.9, 0.5), "a threshold must be at least 1, got 0.5");
    refused(() -> sampler.guidanceRescale(2), "rescale must be in [0, 1], got 2.0");
    refused(
        () -> sampler.guidanceInterval(3, 1),
        "noise levels of guidance must be at least 0 and rise, got 3.0 and 1.0");
    refused(
        () -> sampler.nullLabel(99),
        "the class that stands for no label must be in [0, " + (info.classes() - 1) + "], got 99");
    for (NoiseScheduler solver :
        List.of(
            NoiseScheduler.dpmSolver(3),
            new DpmSolverSinglestep(3, true, true, true),
            NoiseScheduler.uniPc(3),
            NoiseScheduler.lms())) {
      int order = solver.equals(NoiseScheduler.lms()) ? 4 : 3;
      refused(
          () -> Sampler.of(solver).with(model).labels(0).steps(2),
          "the solver needs at least " + order + " steps, got 2; ddim(0) takes any number of them");
    }
    refused(
        () -> Sampler.of(NoiseScheduler.rePaint(10, 3)).with(model).labels(0).steps(10),
        "the solver needs at least 11 steps, got 10; ddim(0) takes any number of them");
    refused(() -> NoiseScheduler.dpmSolver(4), "the order must be in [1, 3], got 4");
    refused(
        () -> new DpmSolverSinglestep(0, true, true, true), "the order must be in [1, 3], got 0");
  }

  @Test
  void aConditionThatDoesNotFitIsRefused() {
    Sampler sampler = Sampler.ddim(0).steps(4).labels(0);
    Sampler conditioned = sampler.with(FormulaPredictor.withACondition());
    Images fitting = Images.of(1, 3, 2, 2, new float[12]);
    refused(
        () -> sampler.with(model).condition(fitting),
        "the model takes no condition, got one of 3x2x2");
    refused(
        () -> sampler.condition(fitting).with(model),
        "the model takes no condition, got one of 3x2x2");
    refused(
        () -> conditioned.condition(Images.of(1, 2, 3, 2, new float[12])),
        "the condition must be 3x2x2, as the model takes, got 2x3x2");
    refused(
        () -> conditioned.condition(Images.of(1, 3, 2, 3, new float[18])),
        "the condition must be 3x2x2, as the model takes, got 3x2x3");
    refused(
        () -> conditioned.condition(fitting.slice(0, 0)), "a condition needs an image, got none");
    refused(
        () -> conditioned.sample(1),
        "the model draws by a condition of 3x2x2, so it needs one: call condition(…)");
    assertThat(conditioned.condition(fitting).sample(2).count()).isEqualTo(2);
    assertThat(conditioned.noise(2).channels()).isEqualTo(3);
  }

  @Test
  void noiseOfImagesIsFoundFromImagesAlone() {
    Sampler inverse = Sampler.of(NoiseScheduler.ddimInverse()).steps(4).with(model).labels(0);
    assertThat(inverse.startingAt(image).sample(1).count()).isEqualTo(1);
    refused(
        () -> inverse.sample(1),
        "a solver that goes from images to noise needs images: give them by startingAt");
    refused(
        () -> inverse.from(image, 0.5),
        "a solver that goes from images to noise starts at images as they are, by startingAt, but was given a strength"
            + " of 0.5");
    refused(
        () -> inverse.startingAt(image).inpainting(image, image),
        "a solver that goes from images to noise has nothing to paint in, but was given a mask");
  }

  /** The order is held to the whole plan: a strength leaves as few steps of it as it likes. */
  @Test
  void aStrengthMayLeaveFewerStepsThanTheOrder() {
    for (NoiseScheduler solver :
        List.of(
            NoiseScheduler.dpmSolver(3),
            new DpmSolverSinglestep(3, true, true, true),
            NoiseScheduler.uniPc(3),
            NoiseScheduler.lms(),
            NoiseScheduler.rePaint(5, 3))) {
      int[] rows = {0};
      Images made =
          Sampler.of(solver)
              .with(model)
              .labels(0)
              .steps(10)
              .from(image, 0.2)
              .listener(progress -> ++rows[0] > 0)
              .sample(1);
      assertThat(rows[0]).isEqualTo(2);
      assertThat(made.toArray()).doesNotContain(Float.NaN);
    }
  }

  /** From no signal, the noise level is infinite. */
  @Test
  void zeroSnrIsRefusedBySolversThatNeedItsNoiseLevel() {
    BetaSchedule schedule = BetaSchedule.cosine().zeroTerminalSnr();
    double[] plan = Spacing.trailing(5).timesteps(schedule);
    for (NoiseScheduler solver :
        List.of(
            NoiseScheduler.heun(),
            NoiseScheduler.deis(),
            NoiseScheduler.lms(),
            NoiseScheduler.plms())) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> solver.steps(schedule, PredictionType.SAMPLE, plan))
          .withMessageEndingWith(
              "needs signal at every timestep, but the schedule has zero SNR at timestep 999.0; use ddim, dpmSolver or"
                  + " uniPc");
    }
    for (NoiseScheduler solver :
        List.of(
            NoiseScheduler.dpmSolver(3),
            new DpmSolverSinglestep(3, true, true, true),
            NoiseScheduler.dpmSolverSde(3),
            NoiseScheduler.uniPc(3))) {
      assertThat(solver.steps(schedule, PredictionType.SAMPLE, plan)).hasSize(5);
    }
    for (Spacing spacing : List.of(Spacing.karras(5), Spacing.exponential(5))) {
      refused(
          () -> spacing.timesteps(schedule),
          "a spacing of noise levels needs a finite one at timestep 999, but the schedule has zero SNR there; use a"
              + " spacing of timesteps");
    }
  }

  private static void refused(ThrowingCallable call, String message) {
    assertThatIllegalArgumentException().isThrownBy(call).withMessage(message);
  }
}

package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Exact answers without a network: if the data are N(m, c²), the best teacher is a formula, and so
 * is the student that lands where it does.
 */
class DistilledStepTest {
  private static final double MEAN = 0.4;
  private static final double SD = 0.6;
  private static final double[] XS = {-3.7, -1.2, -0.1, 0, 0.3, 0.9, 2.2, 4.1};

  /**
   * Without clipping each row of the teacher shrinks x - a·m by (a·a'·c² + s·s')/(a²·c² + s²),
   * where a and s are signal and noise. Of the product follows the one image that the student's row
   * must estimate, and of that image its output.
   */
  @ParameterizedTest
  @EnumSource
  void theTargetIsTheClosedFormWithoutClipping(PredictionType type) {
    forAllPlans(
        type,
        (model, step, next) -> {
          Step row = step.student();
          double factor = 1;
          for (int i = 0; i < step.teacher().size(); i++) {
            double[] from = level(model, step.teacher().get(i).timestep());
            double[] to =
                i + 1 < step.teacher().size()
                    ? level(model, step.teacher().get(i + 1).timestep())
                    : next;
            factor *=
                (from[0] * to[0] * SD * SD + from[1] * to[1])
                    / (from[0] * from[0] * SD * SD + from[1] * from[1]);
          }
          double keeps = next[1] / row.noise();
          for (double x : XS) {
            double surprise = x - row.signal() * MEAN;
            double image = MEAN + surprise * (factor - keeps) / (next[0] - keeps * row.signal());
            double target = walk(model, step, x, Double.POSITIVE_INFINITY);
            assertClose(target, output(type, row, x, image), step, x);
          }
        });
  }

  /** With clipping the two ways must land at the same x, by DDIM as its paper has it. */
  @ParameterizedTest
  @EnumSource
  void theStudentLandsWhereItsTeacherDoesWithClipping(PredictionType type) {
    boolean[] clipped = {false, false};
    forAllPlans(
        type,
        (model, step, next) -> {
          for (double x : XS) {
            double landing = x;
            for (int i = 0; i < step.teacher().size(); i++) {
              double t = step.teacher().get(i).timestep();
              double[] to =
                  i + 1 < step.teacher().size()
                      ? level(model, step.teacher().get(i + 1).timestep())
                      : next;
              double image = bestImage(level(model, t), landing);
              clipped[Math.abs(image) > 1 ? 1 : 0] = true;
              landing = ddim(level(model, t), to, landing, Math.max(-1, Math.min(1, image)));
            }
            Step row = step.student();
            double keeps = next[1] / row.noise();
            double image = (landing - keeps * x) / (next[0] - keeps * row.signal());
            assertThat(image).isBetween(-1 - 1e-12, 1 + 1e-12);
            double target = walk(model, step, x, 1);
            assertClose(target, output(type, row, x, image), step, x);
            // And by the rows that sampling runs.
            double estimate = row.x0FromX() * x + row.x0FromOut() * target;
            assertThat(row.fromX() * x + row.fromX0() * estimate)
                .isCloseTo(landing, within(1e-12 * Math.max(1, Math.abs(landing))));
          }
        });
    assertThat(clipped).containsExactly(true, true);
  }

  @Test
  void theWeightsOfTheImagesAddUpToOne() {
    for (DistilledStep step : DistilledStep.steps(model(PredictionType.SAMPLE, 0.5), 4, 12)) {
      assertThat(step.fromX()).isZero();
      assertThat(step.fromX0()).hasSize(3).allMatch(weight -> weight >= 0);
      assertThat(step.fromX0().stream().mapToDouble(weight -> weight).sum())
          .isCloseTo(1, within(1e-13));
    }
  }

  /** In the last row only the image counts that the teacher ends with. */
  @Test
  void theLastRowEndsAtTheTeachersLastImage() {
    List<DistilledStep> steps = DistilledStep.steps(model(PredictionType.SAMPLE, 1), 4, 8);
    assertThat(steps.get(3).fromX0()).containsExactly(0.0, 1.0);
    assertThat(steps.get(3).student().fromX()).isZero();
  }

  /** Where a plan of the student meets one of the teacher, noise and image are the same. */
  @Test
  void theStudentIsSpacedEvenlyInItsOwnTime() {
    ModelInfo teacher = model(PredictionType.V_PREDICTION, 0.5);
    ModelInfo student = teacher.evenlySpaced();
    assertThat(student.spacingExponent()).isEqualTo(1);
    List<DistilledStep> steps = DistilledStep.steps(teacher, 4, 8);
    assertThat(steps)
        .extracting(step -> step.student().timestep())
        .containsExactly(999.0, 749.0, 499.0, 249.0);
    assertThat(steps)
        .extracting(step -> step.teacher().get(0).timestep())
        .containsExactly(boxed(teacher.spacing(4).timesteps(BetaSchedule.linear(1000))));
    assertThat(steps.stream().flatMap(step -> step.teacher().stream()).map(Step::timestep))
        .containsExactly(boxed(teacher.spacing(8).timesteps(BetaSchedule.linear(1000))));
    for (DistilledStep step : steps) {
      assertThat(step.student().signal()).isCloseTo(step.teacher().get(0).signal(), within(1e-13));
    }
  }

  @Test
  void theStudentOfAnEvenlySpacedModelKeepsItsTime() {
    ModelInfo teacher = model(PredictionType.V_PREDICTION, 1);
    assertThat(teacher.evenlySpaced()).isSameAs(teacher);
    for (DistilledStep step : DistilledStep.steps(teacher, 16, 32)) {
      assertThat(step.student().timestep()).isEqualTo(step.teacher().get(0).timestep());
    }
  }

  private static Double[] boxed(double... values) {
    return Arrays.stream(values).boxed().toArray(Double[]::new);
  }

  @ParameterizedTest
  @EnumSource
  void anErrorOfTheImageWeighsAsMuchInTheOutput(PredictionType type) {
    DistilledStep step = DistilledStep.steps(model(type, 0.5), 4, 8).get(1);
    Step row = step.student();
    double off = 1e-3;
    double imageOff = row.x0FromOut() * off;
    assertThat(step.weight(3) * off * off).isCloseTo(3 * imageOff * imageOff, within(1e-18));
    if (type == PredictionType.V_PREDICTION) {
      // SNR + 1 is no weight at all for v.
      double snr = row.signal() * row.signal() / (row.noise() * row.noise());
      assertThat(step.weight(snr + 1)).isCloseTo(1, within(1e-12));
    }
  }

  /** Whoever runs the rows of a perfect student sees the teacher's picture. */
  @Test
  void samplingByThePerfectStudentIsSamplingByItsTeacher() {
    ModelInfo info = model(PredictionType.V_PREDICTION, 0.5);
    List<DistilledStep> steps = DistilledStep.steps(info, 3, 6);
    for (double start : XS) {
      double student = start;
      double teacher = start;
      for (DistilledStep step : steps) {
        Step row = step.student();
        double out = walk(info, step, student, 1);
        student =
            row.fromX() * student
                + row.fromX0() * (row.x0FromX() * student + row.x0FromOut() * out);
        for (Step of : step.teacher()) {
          double image = bestImage(level(info, of.timestep()), teacher);
          teacher = of.fromX() * teacher + of.fromX0() * Math.max(-1, Math.min(1, image));
        }
      }
      assertThat(student).isCloseTo(teacher, within(1e-12));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "V_PREDICTION | 1   | 0 | 0    | steps must be at least 1, got 0",
        "V_PREDICTION | 1   | 4 | 4    | a student of 4 steps needs a teacher of twice as many or another multiple, got 4",
        "V_PREDICTION | 1   | 5 | 16   | a student of 5 steps needs a teacher of twice as many or another multiple, got 16",
        "V_PREDICTION | 1   | 4 | 2    | a student of 4 steps needs a teacher of twice as many or another multiple, got 2",
        "V_PREDICTION | 1   | 600 | 1200 | steps must be in [1, 1000], the model's training timesteps, got 1200",
        "EPSILON      | 1   | 4 | 8    | a student that predicts epsilon can't start at timestep 999.0, where x holds a signal of 4.9282521313695554E-5, below 1/32: use v_prediction or sample, or a spacing exponent below 1",
      })
  void whatCanNotBeLearnedIsRefused(
      PredictionType type, double exponent, int steps, int teacherSteps, String message) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> DistilledStep.steps(model(type, exponent), steps, teacherSteps))
        .withMessage(message);
  }

  private interface Check {
    /**
     * Checks a step.
     *
     * @param next signal and noise where it lands
     */
    void of(ModelInfo model, DistilledStep step, double... next);
  }

  private static void forAllPlans(PredictionType type, Check check) {
    for (double exponent : new double[] {0.5, 1}) {
      if (type == PredictionType.EPSILON && exponent == 1) {
        continue; // Starts where there is no signal.
      }
      for (int steps : new int[] {1, 2, 4, 7, 16}) {
        for (int rows : new int[] {2, 3}) {
          ModelInfo model = model(type, exponent);
          List<DistilledStep> all = DistilledStep.steps(model, steps, rows * steps);
          assertThat(all).hasSize(steps);
          for (int i = 0; i < steps; i++) {
            assertThat(all.get(i).teacher()).hasSize(rows);
            check.of(
                model,
                all.get(i),
                i + 1 < steps
                    ? level(model, all.get(i + 1).teacher().get(0).timestep())
                    : new double[] {1, 0});
          }
        }
      }
    }
  }

  /** Returns the target, by the teacher's formula and its rows. */
  private static double walk(ModelInfo model, DistilledStep step, double x, double clip) {
    double target = step.fromX() * x;
    double on = x;
    for (int i = 0; i < step.teacher().size(); i++) {
      Step row = step.teacher().get(i);
      double[] level = level(model, row.timestep());
      double out = output(model.predictionType(), row, on, bestImage(level, on));
      double image = Math.max(-clip, Math.min(clip, row.x0FromX() * on + row.x0FromOut() * out));
      target += step.fromX0().get(i) * image;
      on = row.fromX() * on + row.fromX0() * image;
    }
    return target;
  }

  /** Returns the posterior mean of the image. */
  private static double bestImage(double[] level, double x) {
    double gain = level[0] * SD * SD / (level[0] * level[0] * SD * SD + level[1] * level[1]);
    return MEAN + gain * (x - level[0] * MEAN);
  }

  /** DDIM with η = 0 (Song et al. 2021, eq. 12). */
  private static double ddim(double[] from, double[] to, double x, double image) {
    return to[0] * image + to[1] * (x - from[0] * image) / from[1];
  }

  /** Returns what a network says that estimates this image. */
  private static double output(PredictionType type, Step row, double x, double image) {
    double epsilon = (x - row.signal() * image) / row.noise();
    return type.fromNoise(row.signal(), row.noise()) * epsilon
        + type.fromX0(row.signal(), row.noise()) * image;
  }

  private static double[] level(ModelInfo model, double timestep) {
    double alphaBar = model.schedule().alphaBar(timestep);
    return new double[] {Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)};
  }

  private static ModelInfo model(PredictionType type, double exponent) {
    return new ModelInfo(1, 1, 1, 0, false, BetaSchedule.cosine(), type)
        .withSpacingExponent(exponent);
  }

  private static void assertClose(double actual, double expected, DistilledStep step, double x) {
    assertThat(actual)
        .as("x = %s at timestep %s", x, step.student().timestep())
        .isCloseTo(expected, within(1e-12));
  }
}

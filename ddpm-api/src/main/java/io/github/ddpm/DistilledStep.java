package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a student has to predict at a timestep of its plan, so that one row of {@linkplain
 * NoiseScheduler#ddim DDIM} with η = 0 takes it where several take its teacher (Salimans and Ho
 * 2022, "Progressive Distillation for Fast Sampling of Diffusion Models", algorithm 2).
 *
 * <p>A row is x' = fromX·x + fromX0·x0. One after the other, fromX multiplies, and becomes that of
 * the student's one row. So x drops out of where both land, and what is left says which image the
 * student has to estimate: a mean of the estimates that the teacher makes on its way,
 *
 * <pre>
 *   x0 = Σ w_i·x0_i   with   w_i = fromX0_i·Π_{j>i} fromX_j / fromX0   and   Σ w_i = 1
 * </pre>
 *
 * of which, where the last row ends at the image, only the last one counts. From x0 = x0FromX·x +
 * x0FromOut·out follows the target of the student's network:
 *
 * <pre>
 *   target = fromX·x + Σ fromX0_i·x0_i
 * </pre>
 *
 * @param student the row that the student takes
 * @param teacher the rows that its teacher takes instead, at least 1, in their order
 * @param fromX weight of x in the target
 * @param fromX0 weights of the teacher's clipped estimates in the target, one for each of its rows
 */
public record DistilledStep(Step student, List<Step> teacher, double fromX, List<Double> fromX0) {

  /**
   * Copies the lists.
   *
   * @throws IllegalArgumentException if there is no row, or not a weight for each
   */
  public DistilledStep {
    teacher = List.copyOf(teacher);
    fromX0 = List.copyOf(fromX0);
    checkArgument(!teacher.isEmpty(), "a teacher needs at least 1 row, got none");
    checkArgument(
        fromX0.size() == teacher.size(),
        "%s rows of a teacher need as many weights, got %s",
        teacher.size(),
        fromX0.size());
  }

  /**
   * Returns the weight that the squared error of the target has, if that of the student's estimate
   * of the image has some weight: the estimate is x0FromOut times as far off as the output is.
   *
   * @param ofX0 weight of the squared error of the image
   */
  public double weight(double ofX0) {
    return ofX0 * student.x0FromOut() * student.x0FromOut();
  }

  /**
   * Makes the rows of a student and of its teacher, both {@linkplain ModelInfo#spacing spaced as
   * suits the model}, and says what the student has to predict in each of its own.
   *
   * @param model both
   * @param steps n, timesteps in the student's plan, at least 1
   * @param teacherSteps timesteps in the teacher's plan: a multiple of n, such as 2·n, and at most
   *     T
   * @return n steps, noisiest first
   * @throws IllegalArgumentException if the teacher's plan is not such a multiple, or has timesteps
   *     that the model can't have, or the student's plan is not a part of it; or if the model
   *     predicts ε and its plan starts where x holds less signal than 1/32, because the student's
   *     estimate of the image would be more than that many times as far off as its ε (section 4)
   */
  public static List<DistilledStep> steps(ModelInfo model, int steps, int teacherSteps) {
    checkArgument(steps >= 1, "steps must be at least 1, got %s", steps);
    int rows = teacherSteps / steps;
    checkArgument(
        rows >= 2 && rows * steps == teacherSteps,
        "a student of %s steps needs a teacher of twice as many or another multiple, got %s",
        steps,
        teacherSteps);
    BetaSchedule schedule = model.schedule();
    double[] timesteps = model.spacing(steps).timesteps(schedule.timesteps());
    double[] teacherTimesteps = model.spacing(teacherSteps).timesteps(schedule.timesteps());
    NoiseScheduler ddim = NoiseScheduler.ddim(0);
    List<Step> student = ddim.steps(schedule, model.predictionType(), timesteps);
    List<Step> teacher = ddim.steps(schedule, model.predictionType(), teacherTimesteps);
    checkArgument(
        model.predictionType() != PredictionType.EPSILON
            || student.get(0).signal() >= ModelInfo.LEAST_SIGNAL,
        "a student that predicts epsilon can't start at timestep %s, where x holds a signal of %s, below 1/32: use"
            + " v_prediction or sample, or a spacing exponent below 1",
        String.valueOf(timesteps[0]),
        String.valueOf(student.get(0).signal()));
    List<DistilledStep> distilled = new ArrayList<>();
    for (int i = 0; i < steps; i++) {
      checkArgument(
          timesteps[i] == teacherTimesteps[i * rows],
          "the plans of %s and %s steps must meet, but the timesteps after %s of the first are %s and %s",
          steps,
          teacherSteps,
          i,
          String.valueOf(timesteps[i]),
          String.valueOf(teacherTimesteps[i * rows]));
      distilled.add(of(student.get(i), teacher.subList(i * rows, (i + 1) * rows)));
    }
    return distilled;
  }

  private static DistilledStep of(Step student, List<Step> teacher) {
    Double[] fromX0 = new Double[teacher.size()];
    double later = 1;
    for (int i = teacher.size() - 1; i >= 0; i--) {
      double inX0 = teacher.get(i).fromX0() * later / student.fromX0();
      fromX0[i] = inX0 / student.x0FromOut();
      later *= teacher.get(i).fromX();
    }
    return new DistilledStep(
        student, teacher, -student.x0FromX() / student.x0FromOut(), Arrays.asList(fromX0));
  }
}

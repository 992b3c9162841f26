package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

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
   * @param student any row
   * @param teacher at least 1 row; copied
   * @param fromX any number
   * @param fromX0 as many numbers as the teacher has rows; copied
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
   * {@return the weight that the squared error of the target has, if that of the student's estimate
   * of the image has some weight: the estimate is x0FromOut times as far off as the output is}
   *
   * @param ofX0 weight of the squared error of the image
   */
  public double weight(double ofX0) {
    return ofX0 * student.x0FromOut() * student.x0FromOut();
  }

  /**
   * Makes the rows of a student and of its teacher, and says what the student has to predict in
   * each of its own. The plan of the student is {@linkplain Spacing#trailing spaced evenly}, in the
   * {@linkplain ModelInfo#evenlySpaced time} in which that suits the teacher, and the teacher goes
   * the same way in smaller steps.
   *
   * @param teacher the student is the same model, {@linkplain ModelInfo#evenlySpaced evenly spaced}
   * @param steps n, timesteps in the student's plan, at least 1
   * @param teacherSteps timesteps in the teacher's plan: a multiple of n, such as 2·n, and at most
   *     T
   * @return n steps, noisiest first
   * @throws IllegalArgumentException if the teacher's plan is not such a multiple, or has more than
   *     T timesteps; or if the model predicts ε and its plan starts where x holds less signal than
   *     1/32, because the student's estimate of the image would be more than that many times as far
   *     off as its ε (section 4)
   */
  public static List<DistilledStep> steps(ModelInfo teacher, int steps, int teacherSteps) {
    checkArgument(steps >= 1, "steps must be at least 1, got %s", steps);
    int rows = teacherSteps / steps;
    checkArgument(
        rows >= 2 && rows * steps == teacherSteps,
        "a student of %s steps needs a teacher of twice as many or another multiple, got %s",
        steps,
        teacherSteps);
    ModelInfo student = teacher.evenlySpaced();
    double[] plan = Spacing.trailing(steps).timesteps(student.schedule());
    double[] teacherPlan =
        Arrays.stream(Spacing.trailing(teacherSteps).timesteps(student.schedule()))
            .map(teacher::timestepOf)
            .toArray();
    NoiseScheduler ddim = NoiseScheduler.ddim(0);
    List<Step> row = ddim.steps(student.schedule(), student.predictionType(), plan);
    List<Step> teacherRow = ddim.steps(teacher.schedule(), teacher.predictionType(), teacherPlan);
    checkArgument(
        student.predictionType() != PredictionType.EPSILON
            || row.get(0).signal() >= ModelInfo.LEAST_SIGNAL,
        "a student that predicts epsilon can't start at timestep %s, where x holds a signal of %s, below 1/32: use"
            + " v_prediction or sample, or a spacing exponent below 1",
        String.valueOf(plan[0]),
        String.valueOf(row.get(0).signal()));
    // Every plan of trailing spacing is a part of that with a multiple of its timesteps.
    return IntStream.range(0, steps)
        .mapToObj(i -> of(row.get(i), teacherRow.subList(i * rows, (i + 1) * rows)))
        .toList();
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

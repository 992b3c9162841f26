package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Step;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.files.Json;
import java.io.IOException;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.tensorflow.EagerSession;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.StdArrays;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

class SchedulerOpsTest {
  @BeforeAll
  static void setUp() {
    // Eager sessions load TensorFlow by themselves, for all tests of this process.
    TensorFlowRuntime.graph().close();
  }

  private static final float TOLERANCE = 2e-6f;

  @Test
  void noisingAndTargetsAreThoseOfDiffusers() throws IOException {
    JsonNode forward = Json.read(Fixtures.path("golden/steps.json")).get("forward");
    assertThat(forward).isNotEmpty();
    for (JsonNode record : forward) {
      // The file's header has the range of this one; it isn't the default.
      BetaSchedule schedule =
          switch (record.get("beta_schedule").asText()) {
            case "scaled_linear" -> BetaSchedule.scaledLinear(1000, 0.00085, 0.012);
            case "squaredcos_cap_v2" -> BetaSchedule.cosine();
            default -> BetaSchedule.linear();
          };
      schedule =
          record.path("rescale_betas_zero_snr").asBoolean() ? schedule.zeroTerminalSnr() : schedule;
      try (EagerSession session = EagerSession.create()) {
        Ops tf = Ops.create(session);
        Operand<TFloat32> x0 = images(tf, record.get("x0"));
        Operand<TFloat32> epsilon = images(tf, record.get("noise"));
        int[] steps = new int[record.get("timesteps").size()];
        for (int i = 0; i < steps.length; i++) {
          steps[i] = record.get("timesteps").get(i).asInt();
        }
        Operand<TInt32> timesteps = tf.constant(steps);
        assertClose(
            SchedulerOps.addNoise(tf, schedule, x0, epsilon, timesteps), record.get("add_noise"));
        assertClose(
            SchedulerOps.target(tf, schedule, PredictionType.V_PREDICTION, x0, epsilon, timesteps),
            record.get("get_velocity"));
        assertClose(
            SchedulerOps.target(tf, schedule, PredictionType.EPSILON, x0, epsilon, timesteps),
            record.get("noise"));
        assertClose(
            SchedulerOps.target(tf, schedule, PredictionType.SAMPLE, x0, epsilon, timesteps),
            record.get("x0"));
      }
    }
  }

  @Test
  void minSnrWeightsAreThoseOfThePaper() {
    // ᾱ = 0.9, 0.72: snr = 9, 2.571…
    BetaSchedule schedule = BetaSchedule.of(0.1, 0.2);
    double snr = 0.72 / 0.28;
    assertWeights(schedule, PredictionType.EPSILON, 5.0 / 9, 1);
    assertWeights(schedule, PredictionType.SAMPLE, 5, snr);
    assertWeights(schedule, PredictionType.V_PREDICTION, 0.5, snr / (snr + 1));
    assertThat(SchedulerOps.minSnrWeights(schedule, PredictionType.V_PREDICTION, 0))
        .containsExactly(1, 1);
  }

  @Test
  void timestepsAreDrawnInProportionAndEvenly() {
    // Of 8 draws, 2, 0, 4 and 2 whatever the offset, from where it points.
    double[] weights = {1, 0, 2, 1, 0};
    assertThat(draw(weights, 8, 0)).containsExactly(0, 0, 2, 2, 2, 2, 3, 3);
    assertThat(draw(weights, 8, 0.3f)).containsExactly(2, 2, 2, 2, 3, 3, 0, 0);
    assertThat(draw(weights, 8, 0.999f)).containsExactly(3, 0, 0, 2, 2, 2, 2, 3);
    // One image gets any of them.
    assertThat(draw(weights, 1, 0.24f)).containsExactly(0);
    assertThat(draw(weights, 1, 0.25f)).containsExactly(2);
    assertThat(draw(weights, 1, Math.nextDown(1f))).containsExactly(3);
  }

  @Test
  void imagesOfABatchThatDrawApartDrawWhatItDraws() {
    double[] weights = {1, 0, 2, 1, 0};
    assertThat(draw(weights, 0, 3, 8, 0.3f)).containsExactly(2, 2, 2);
    assertThat(draw(weights, 3, 8, 8, 0.3f)).containsExactly(2, 3, 3, 0, 0);
  }

  @Test
  void timestepsNeedWeights() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> draw(new double[] {0, 0}, 1, 0))
        .withMessage("all weights are 0");
    for (double wrong : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> draw(new double[] {2, wrong}, 1, 0))
          .withMessage("weights must be at least 0 and finite, got " + wrong);
    }
  }

  private static int[] draw(double[] weights, int count, float uniform) {
    return draw(weights, 0, count, count, uniform);
  }

  private static int[] draw(double[] weights, int from, int to, int count, float uniform) {
    try (EagerSession session = EagerSession.create()) {
      Ops tf = Ops.create(session);
      TInt32 drawn =
          SchedulerOps.drawTimesteps(
                  tf,
                  weights,
                  tf.range(tf.constant(from), tf.constant(to), tf.constant(1)),
                  tf.constant(count),
                  tf.constant(uniform))
              .asTensor();
      return StdArrays.array1dCopyOf(drawn);
    }
  }

  @Test
  void aRowIsWhatItsJavadocSays() {
    Step row = new Step(3, 0.6, 0.8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    try (EagerSession session = EagerSession.create()) {
      Ops tf = Ops.create(session);
      Operand<TFloat32> weights = tf.constant(SchedulerOps.row(row));
      Operand<TFloat32> x = tf.constant(new float[] {0.25f, 3});
      Operand<TFloat32> out = tf.constant(new float[] {-0.5f, 2});
      Operand<TFloat32> x0 = SchedulerOps.estimate(tf, weights, x, out, tf.constant(1f));
      assertThat(x0.asTensor().getFloat(0)).isEqualTo(-0.75f);
      assertThat(x0.asTensor().getFloat(1)).as("clipped").isEqualTo(1);
      Operand<TFloat32> next =
          SchedulerOps.step(
              tf,
              weights,
              x,
              out,
              x0,
              List.of(
                  tf.constant(new float[] {1, 10}),
                  tf.constant(new float[] {0.5f, 0}),
                  tf.constant(new float[] {0.25f, -1})),
              tf.constant(new float[] {-1, 1}));
      assertThat(next.asTensor().getFloat(0))
          .isEqualTo(3 * 0.25f - 4 * 0.5f - 5 * 0.75f + 6 + 3.5f + 2 - 9);
      assertThat(next.asTensor().getFloat(1)).isEqualTo(9 + 8 + 5 + 60 - 8 + 9);
      Operand<TFloat32> kept = SchedulerOps.kept(tf, weights, x, x0);
      assertThat(kept.asTensor().getFloat(0)).isEqualTo(10 * 0.25f - 11 * 0.75f);
      assertThat(kept.asTensor().getFloat(1)).isEqualTo(30 + 11);
    }
  }

  private static void assertWeights(
      BetaSchedule schedule, PredictionType type, double... expected) {
    assertThat(SchedulerOps.minSnrWeights(schedule, type, 5))
        .containsExactly(expected, Offset.offset(1e-12));
  }

  private static Operand<TFloat32> images(Ops tf, JsonNode rows) {
    float[] values = new float[rows.size() * rows.get(0).size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) at(rows, i);
    }
    return tf.reshape(tf.constant(values), tf.constant(new int[] {rows.size(), 1, -1, 1}));
  }

  private static void assertClose(Operand<TFloat32> actual, JsonNode expected) {
    TFloat32 tensor = actual.asTensor();
    int columns = expected.get(0).size();
    for (int i = 0; i < tensor.size(); i++) {
      assertThat(Math.abs(tensor.getFloat(i / columns, 0, i % columns, 0) - at(expected, i)))
          .isLessThan(TOLERANCE);
    }
  }

  private static double at(JsonNode rows, int index) {
    int columns = rows.get(0).size();
    return rows.get(index / columns).get(index % columns).asDouble();
  }
}

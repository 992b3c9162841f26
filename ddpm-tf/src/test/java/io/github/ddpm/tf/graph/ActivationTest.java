package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.google.common.primitives.Floats;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.files.Json;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Against PyTorch's, in double; {@code src-test-resources/README.md} says what made the numbers.
 */
class ActivationTest {
  @ParameterizedTest
  @EnumSource
  void valuesAndDerivativesAreThoseOfPyTorchFarFromZeroToo(Activation activation)
      throws IOException {
    JsonNode golden = golden(activation);
    try (Graph graph = TensorFlowRuntime.graph()) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<TFloat32> x = tf.constant(floats(golden.get("x")));
      Operand<TFloat32> y = activation.apply(tf, x);
      Operand<TFloat32> dy = tf.gradients(y, List.of(x)).dy(0);
      try (Session session = TensorFlowRuntime.session(graph)) {
        assertThat(Operands.run(session, y))
            .containsExactly(floats(golden.get("y")), within(1e-6f));
        assertThat(Operands.run(session, dy))
            .containsExactly(floats(golden.get("dy")), within(1e-6f));
      }
    }
  }

  private static JsonNode golden(Activation activation) throws IOException {
    String name = activation.name().toLowerCase(Locale.ROOT);
    for (JsonNode golden : Json.read(Fixtures.path("golden/activations.json")).get("activations")) {
      if (golden.get("act_fn").textValue().equals(name)) {
        return golden;
      }
    }
    throw new IllegalArgumentException(name);
  }

  private static float[] floats(JsonNode numbers) {
    List<Float> floats = new ArrayList<>();
    numbers.forEach(number -> floats.add(number.floatValue()));
    return Floats.toArray(floats);
  }
}

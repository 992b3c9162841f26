package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.exceptions.TFInvalidArgumentException;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/**
 * Our operations and their gradients with inputs of any shapes: each gives a result or refuses
 * them, and none reads or writes what isn't its own. What is tried is the same in each run.
 */
@Tag(KernelsTest.INSTRUCTIONS)
@Timeout(120)
class OperationsFuzzTest {
  private static final int TIMES = 100;

  private final Random random = new Random(11);

  /**
   * A call of an operation.
   *
   * @param images which inputs have the type of the images; the others are float32
   */
  private record Call(
      String operation, Map<String, Number> attributes, List<Shape> inputs, List<Boolean> images) {}

  @ParameterizedTest
  @ValueSource(
      strings = {
        "DdpmConv",
        "DdpmConvHalving",
        "DdpmConvDoubling",
        "DdpmConvGradImages",
        "DdpmConvGradFilter",
        "DdpmGroupNormGrad",
        "DdpmAttention",
        "DdpmAttentionGrad",
        "DdpmConcat",
        "DdpmConcatGrad"
      })
  void anyShapesGiveAResultOrAreRefused(String operation) {
    assumeTrue(TensorFlowRuntime.hasKernels());
    int results = 0;
    for (int i = 0; i < TIMES; i++) {
      results += isDone(somehow(operation), i % 2 == 0) ? 1 : 0;
    }
    assertThat(results).isBetween(TIMES / 10, TIMES * 19 / 20);
  }

  /** A call that fits together in a third of all cases. */
  private Call somehow(String operation) {
    Call call = call(operation);
    for (int changes = random.nextInt(3); changes > 0; changes--) {
      int input = random.nextInt(call.inputs().size());
      call.inputs().set(input, changed(call.inputs().get(input)));
    }
    if (random.nextInt(8) == 0) {
      List<String> names = List.copyOf(call.attributes().keySet());
      String name = names.get(random.nextInt(names.size()));
      call.attributes().computeIfPresent(name, (key, old) -> other(old));
    }
    return call;
  }

  /** Runs it in a graph of its own, since TensorFlow looks at all of a graph in each run. */
  private static boolean isDone(Call call, boolean half) {
    try (Graph graph = TensorFlowRuntime.graph();
        Session session = TensorFlowRuntime.session(graph)) {
      run(TensorFlowRuntime.ops(graph), session, call, half);
      return true;
    } catch (TFInvalidArgumentException e) {
      return false;
    }
  }

  private static void run(Ops tf, Session session, Call call, boolean half) {
    OperationBuilder builder = Kernels.builder(tf, call.operation());
    Session.Runner runner = session.runner();
    List<Tensor> tensors = new ArrayList<>();
    try {
      for (int i = 0; i < call.inputs().size(); i++) {
        Shape shape = call.inputs().get(i);
        boolean bfloat16 = half && call.images().get(i);
        Class<? extends TFloating> type = bfloat16 ? TBfloat16.class : TFloat32.class;
        // Of unknown shape, so that the operation itself has to look.
        Placeholder<? extends TFloating> input =
            tf.placeholder(type, Placeholder.shape(Shape.unknown()));
        builder.addInput(input.asOutput());
        Tensor tensor =
            bfloat16
                ? TBfloat16.tensorOf(shape, data -> data.scalars().forEach(s -> s.setFloat(1)))
                : TFloat32.tensorOf(shape, data -> data.scalars().forEach(s -> s.setFloat(1)));
        tensors.add(tensor);
        runner.feed(input, tensor);
      }
      call.attributes()
          .forEach(
              (name, value) -> {
                if (name.equals("epsilon")) {
                  builder.setAttr(name, value.floatValue());
                } else if (name.equals("silu") || name.equals("frozen")) {
                  builder.setAttr(name, value.intValue() != 0);
                } else {
                  builder.setAttr(name, value.longValue());
                }
              });
      Operation operation = builder.build();
      for (int i = 0; i < operation.numOutputs(); i++) {
        runner.fetch(operation.output(i));
      }
      try (Result result = runner.run()) {
        assertThat(result.size()).isEqualTo(operation.numOutputs());
      }
    } finally {
      tensors.forEach(Tensor::close);
    }
  }

  /** A call whose inputs fit together. */
  private Call call(String operation) {
    long n = random.nextInt(3);
    long height = 2L * random.nextInt(5);
    long width = random.nextInt(3) == 0 ? 2 : 2L * random.nextInt(9);
    long channels = random.nextInt(3) == 0 ? 40 : 2L + 2L * random.nextInt(4);
    Shape x = Shape.of(n, height, width, channels);
    Map<String, Number> attributes = new LinkedHashMap<>();
    if (operation.startsWith("DdpmConcat")) {
      attributes.put("first", channels);
      Shape second = Shape.of(n, height, width, 3);
      return operation.endsWith("Grad")
          ? new Call(operation, attributes, list(Shape.of(n, height, width, channels + 3)), all(1))
          : new Call(operation, attributes, list(x, second), all(2));
    }
    if (operation.startsWith("DdpmAttention")) {
      attributes.put("heads", 2);
      int inputs = operation.endsWith("Grad") ? 4 : 3;
      return new Call(
          operation, attributes, new ArrayList<>(Arrays.asList(copies(x, inputs))), all(inputs));
    }
    boolean normalized = operation.equals("DdpmGroupNormGrad") || random.nextBoolean();
    attributes.put("groups", normalized ? 2 : 0);
    attributes.put("silu", random.nextInt(2));
    Shape rows = Shape.of(normalized ? random.nextBoolean() ? 1 : n : 0, channels);
    Shape statistics = Shape.of(normalized ? n : 0, 2, 2);
    if (operation.equals("DdpmGroupNormGrad")) {
      return new Call(
          operation,
          attributes,
          list(x, rows, rows, rows, statistics, x, x),
          List.of(true, false, false, false, false, true, true));
    }
    attributes.put("epsilon", 1e-5);
    attributes.put("frozen", random.nextInt(2));
    attributes.put("padding", random.nextInt(2));
    attributes.put("down", 1 + (operation.endsWith("Doubling") ? 0 : random.nextInt(2)));
    attributes.put("up", attributes.get("down").equals(2) ? 1 : 1 + random.nextInt(2));
    int down = attributes.get("down").intValue();
    int up = attributes.get("up").intValue();
    long out = 1L + random.nextInt(40);
    int kernel = 1 + random.nextInt(3);
    boolean linear = random.nextInt(4) == 0;
    Shape filter = linear ? Shape.of(out, channels) : Shape.of(kernel, kernel, channels, out);
    Shape y = Shape.of(n, height * up / down, width * up / down, out);
    return switch (operation) {
      case "DdpmConvGradImages" ->
          new Call(operation, attributes, list(filter, y), List.of(false, true));
      case "DdpmConvGradFilter" ->
          new Call(
              operation,
              attributes,
              list(x, rows, rows, rows, statistics, filter, y),
              List.of(true, false, false, false, false, false, true));
      default ->
          new Call(
              operation,
              attributes,
              list(x, rows, rows, rows, filter, Shape.of(out), y),
              List.of(true, false, false, false, false, false, true));
    };
  }

  private static List<Shape> list(Shape... shapes) {
    return new ArrayList<>(Arrays.asList(shapes));
  }

  private static Shape[] copies(Shape shape, int count) {
    Shape[] copies = new Shape[count];
    Arrays.fill(copies, shape);
    return copies;
  }

  private static List<Boolean> all(int count) {
    return Collections.nCopies(count, true);
  }

  /** A dimension changed, a dimension more or less, none at all, or something else. */
  private Shape changed(Shape shape) {
    long[] sizes = shape.asArray();
    int at = sizes.length == 0 ? 0 : random.nextInt(sizes.length);
    return switch (random.nextInt(6)) {
      case 0 -> Shape.scalar();
      case 1 -> shape.append(1 + random.nextInt(2));
      case 2 -> sizes.length == 0 ? shape : shape.tail();
      default -> {
        if (sizes.length > 0) {
          int[] others = {0, 1, 2, 3, 7, 17, (int) sizes[at] + 1, (int) sizes[at] * 2};
          sizes[at] = others[random.nextInt(others.length)];
        }
        yield Shape.of(sizes);
      }
    };
  }

  private Number other(Number old) {
    long[] others = {-1, 0, 1, 2, 3, 5, 1L << 40, old.longValue() + 1};
    return others[random.nextInt(others.length)];
  }
}

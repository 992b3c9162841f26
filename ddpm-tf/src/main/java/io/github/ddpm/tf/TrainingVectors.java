package io.github.ddpm.tf;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The vectors that training changes, as variables of a graph. One vector instead of one variable
 * per weight makes each operation of the optimizer a single one.
 */
final class TrainingVectors {
  /** What each of them holds; the names are those of their files, too. */
  enum Vector {
    /** The weights of the network. */
    WEIGHTS,
    /** Their moving average. */
    EMA,
    /** The moving average of the gradient, for AdamW and Muon. */
    ADAM_M,
    /** The moving average of the gradient's square. */
    ADAM_V
  }

  /** What is in each of the vectors. */
  interface Values {
    float[] of(Vector vector) throws IOException;
  }

  private final Ops tf;
  private final WeightLayout layout;
  private final Map<Vector, Variable<TFloat32>> variables = new EnumMap<>(Vector.class);
  private final Map<Vector, Op> assignments = new EnumMap<>(Vector.class);
  private final Placeholder<TFloat32> assigned;
  private final Map<String, Operand<TFloat32>> weights = new LinkedHashMap<>();

  TrainingVectors(Ops tf, WeightLayout layout) {
    this.tf = tf;
    this.layout = layout;
    Shape size = Shape.of(layout.size());
    assigned = tf.placeholder(TFloat32.class, Placeholder.shape(size));
    for (Vector vector : Vector.values()) {
      variables.put(vector, tf.withName(vector.name()).variable(size, TFloat32.class));
      assignments.put(vector, tf.assign(variables.get(vector), assigned));
    }
    int[] sizes = layout.shapes().values().stream().mapToInt(s -> (int) s.size()).toArray();
    List<Output<TFloat32>> parts =
        tf.splitV(
                variables.get(Vector.WEIGHTS),
                tf.constant(sizes),
                tf.constant(0),
                (long) sizes.length)
            .output();
    for (Map.Entry<String, Shape> entry : layout.shapes().entrySet()) {
      weights.put(
          entry.getKey(),
          tf.withName(entry.getKey())
              .reshape(parts.get(weights.size()), tf.constant(entry.getValue())));
    }
  }

  Variable<TFloat32> variable(Vector vector) {
    return variables.get(vector);
  }

  /** Returns how the weights lie in the vectors. */
  WeightLayout layout() {
    return layout;
  }

  /** Returns the weight of that name. */
  Operand<TFloat32> weight(String name) {
    return weights.get(name);
  }

  /** Makes one more vector, which costs memory only once it is assigned. */
  Variable<TFloat32> another() {
    return tf.variable(Shape.of(layout.size()), TFloat32.class);
  }

  /** Returns the gradient of a scalar by all weights. */
  Operand<TFloat32> gradient(Operand<TFloat32> loss) {
    List<Operand<TFloat32>> flat = new ArrayList<>();
    Operand<TInt32> vector = tf.constant(new int[] {-1});
    Gradients gradients = tf.gradients(loss, weights.values());
    for (int i = 0; i < weights.size(); i++) {
      flat.add(tf.reshape(gradients.<TFloat32>dy(i), vector));
    }
    return tf.concat(flat, tf.constant(0));
  }

  /** Sets a vector. */
  void set(Session session, Vector vector, float[] values) {
    try (TFloat32 tensor = TFloat32.tensorOf(Shape.of(layout.size()), DataBuffers.of(values))) {
      set(session, vector, tensor);
    }
  }

  /** Sets a vector to numbers of float32, the lower bytes first. */
  void set(Session session, Vector vector, ByteBuffer values) {
    try (TFloat32 tensor = tensor(values)) {
      set(session, vector, tensor);
    }
  }

  private void set(Session session, Vector vector, TFloat32 values) {
    try (Result result =
        session.runner().feed(assigned, values).addTarget(assignments.get(vector)).run()) {
      assert result.size() == 0;
    }
  }

  /** Returns numbers of float32, the lower bytes first, as a vector. */
  TFloat32 tensor(ByteBuffer values) {
    FloatBuffer floats = values.duplicate().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    return TFloat32.tensorOf(Shape.of(layout.size()), DataBuffers.of(floats));
  }

  /** Copies a vector as bytes, the lower first. */
  ByteBuffer bytes(Session session, Vector vector) {
    try (Result result = session.runner().fetch(variables.get(vector)).run()) {
      return bytes((TFloat32) result.get(0));
    }
  }

  /** Copies a vector as bytes, the lower first. */
  static ByteBuffer bytes(TFloat32 vector) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(Float.BYTES * vector.size()))
            .order(ByteOrder.LITTLE_ENDIAN);
    vector.copyTo(DataBuffers.of(bytes.asFloatBuffer()));
    return bytes;
  }

  /** Copies a vector. */
  float[] get(Session session, Vector vector) {
    float[] values = new float[layout.size()];
    try (Result result = session.runner().fetch(variables.get(vector)).run()) {
      ((TFloat32) result.get(0)).copyTo(DataBuffers.of(values));
    }
    return values;
  }
}

package io.github.ddpm.tf.graph;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.FloatPointer;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/**
 * Weights of a graph that never change. With operations of ours their values are once in memory,
 * beside the graph. Without, TensorFlow has some as constants, which it folds and reorders as it
 * likes and copies several times as it goes; what a larger network has beyond them stays in tensors
 * that each run is to be fed with, which copies nothing, except to a GPU.
 *
 * <p>Whoever makes one closes it after the sessions on its graph.
 */
public final class FrozenWeights implements AutoCloseable {
  /**
   * By default, no more numbers are copied to make runs faster; on a GPU, feeds would be copied.
   * The copies of 3x3 filters can have four times as many.
   */
  private static final long MAX_COPIED = 1 << 22;

  private static final String KERNEL = "DdpmWeight";
  private static final String PACKED = "packed";

  /** The most sizes that a weight has. */
  private static final int MAX_RANK = 4;

  private final Ops tf;
  private final boolean byKernel;
  private final long maxCopied;
  private long numbers;

  private final List<Long> keys = new ArrayList<>();
  private final List<Fed> fed = new ArrayList<>();

  /** Constants without values whose shapes are [0, ...], by what comes after the 0. */
  private final Map<Shape, Operand<TFloat32>> shapes = new HashMap<>();

  /** What a run is fed with. */
  private record Fed(Operand<TFloat32> weight, TFloat32 values) {}

  /**
   * Begins without any, and copies so few numbers that large networks take no more memory for it.
   *
   * @param tf operations of the graph that they are for
   */
  public FrozenWeights(Ops tf) {
    this(
        tf,
        TensorFlowRuntime.hasKernels(),
        TensorFlowRuntime.hasGpu() ? Long.MAX_VALUE : MAX_COPIED);
  }

  /**
   * Begins without any, and does with them as is said.
   *
   * @param tf operations of the graph that they are for
   * @param byKernel whether they are given out by an operation of ours
   * @param maxCopied how many numbers are copied to make runs faster, at least 0: to constants, or
   *     by a convolution of ours, to the order in which it reads them
   */
  public FrozenWeights(Ops tf, boolean byKernel, long maxCopied) {
    this.tf = tf;
    this.byKernel = byKernel;
    this.maxCopied = maxCopied;
  }

  /**
   * Adds a weight to the graph.
   *
   * @param name of the node
   * @param shape of the weight, of at most four sizes
   * @param values all of them in row-major order, from position to limit; they are copied
   * @return what other nodes take
   * @throws OutOfMemoryError if there is no memory for the copy
   */
  public Operand<TFloat32> add(String name, Shape shape, FloatBuffer values) {
    checkArgument(
        shape.size() == values.remaining(),
        "shape %s has %s values, got %s",
        shape,
        shape.size(),
        values.remaining());
    numbers += shape.size();
    boolean copied = numbers <= maxCopied;
    Ops named = tf.withName(name);
    if (byKernel) {
      long key = keep(shape, values);
      return Kernels.builder(named, KERNEL)
          .addInput(shapes.computeIfAbsent(shape, this::withoutValues).asOutput())
          .setAttr("key", key)
          .setAttr(PACKED, copied)
          .build()
          .output(0);
    }
    if (copied) {
      return named.constant(shape, DataBuffers.of(values));
    }
    Operand<TFloat32> weight = named.placeholder(TFloat32.class, Placeholder.shape(shape));
    fed.add(new Fed(weight, TFloat32.tensorOf(shape, DataBuffers.of(values))));
    return weight;
  }

  private Operand<TFloat32> withoutValues(Shape shape) {
    return tf.constant(shape.prepend(0), DataBuffers.ofFloats(0));
  }

  private long keep(Shape shape, FloatBuffer values) {
    int rank = shape.numDimensions();
    checkArgument(rank <= MAX_RANK, "a weight must have at most 4 sizes, got %s", shape);
    long[] sizes = Arrays.copyOf(shape.asArray(), MAX_RANK);
    long key = Kernels.addWeight(rank, sizes[0], sizes[1], sizes[2], sizes[3]);
    if (key == 0) {
      throw new OutOfMemoryError("there is no memory for a weight of shape " + shape);
    }
    keys.add(key);
    new Memory(Kernels.addressOfWeight(key), shape.size()).asBuffer().put(values.duplicate());
    return key;
  }

  /** Memory of our library. */
  private static final class Memory extends FloatPointer {
    Memory(long address, long size) {
      this.address = address;
      capacity(size);
    }
  }

  /**
   * Gives a run what it needs of them.
   *
   * @param runner of a session on the graph
   */
  public void feed(Session.Runner runner) {
    fed.forEach(one -> runner.feed(one.weight(), one.values()));
  }

  /**
   * Tells whether a convolution may keep, for as long as its graph is there, what it makes of a
   * filter.
   *
   * @param filter the node that the filter comes from
   */
  static boolean mayBePacked(Operation filter) {
    return filter.type().equals("Const")
        || (filter.type().equals(Kernels.name(KERNEL))
            && ((GraphOperation) filter).attributes().getAttrBool(PACKED));
  }

  @Override
  public void close() {
    keys.forEach(Kernels::forgetWeight);
    keys.clear();
    fed.stream().map(Fed::values).forEach(Tensor::close);
    fed.clear();
  }
}

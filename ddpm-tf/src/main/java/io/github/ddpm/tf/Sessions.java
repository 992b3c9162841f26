package io.github.ddpm.tf;

import java.lang.System.Logger.Level;
import org.bytedeco.javacpp.Loader;
import org.tensorflow.DeviceSpec;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TFInvalidArgumentException;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GPUOptions;
import org.tensorflow.types.TFloat32;

/**
 * How TensorFlow is set up and sessions are opened: on a GPU where TensorFlow sees one, taking its
 * memory only as needed.
 */
final class Sessions {
  private Sessions() {}

  /** Whether TensorFlow sees a GPU. */
  static boolean hasGpu() {
    return Gpu.VISIBLE;
  }

  /**
   * A graph to build on. All of them are made here, so that TensorFlow is set up before it loads.
   */
  static Graph graph() {
    Kernels.beforeTensorFlow();
    return new Graph();
  }

  static Session open(Graph graph) {
    return new Session(graph, config(true));
  }

  private static ConfigProto config(boolean softPlacement) {
    return ConfigProto.newBuilder()
        .setAllowSoftPlacement(softPlacement)
        .setIntraOpParallelismThreads(Kernels.threads())
        .setInterOpParallelismThreads(Kernels.threads())
        .setGpuOptions(GPUOptions.newBuilder().setAllowGrowth(true))
        .build();
  }

  private static final class Gpu {
    static final boolean VISIBLE = visible();

    private static boolean visible() {
      if (seen()) {
        return true;
      }
      // TensorFlow's own message is a screenful, and doesn't say what happens now.
      String natives = "/org/tensorflow/internal/c_api/" + Loader.getPlatform() + "-gpu/";
      if (Sessions.class.getResource(natives + "libtensorflow_cc.so.2") != null) {
        System.getLogger(Sessions.class.getName())
            .log(Level.WARNING, "TensorFlow's GPU library sees no GPU: computing on the CPU");
      }
      return false;
    }

    private static boolean seen() {
      // Nothing else in the public API tells: an operation that may run nowhere else.
      DeviceSpec gpu =
          DeviceSpec.newBuilder().deviceType(DeviceSpec.DeviceType.GPU).deviceIndex(0).build();
      try (Graph graph = graph();
          Session session = new Session(graph, config(false))) {
        Operand<TFloat32> one = Ops.create(graph).withDevice(gpu).constant(1f);
        try (Result result = session.runner().fetch(one).run()) {
          return result.size() == 1;
        }
      } catch (TFInvalidArgumentException e) {
        return false;
      }
    }
  }
}

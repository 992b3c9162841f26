package io.github.ddpm.tf;

import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GPUOptions;

/**
 * How sessions are opened: on a GPU where TensorFlow sees one, taking its memory only as needed.
 */
final class Sessions {
  private static final ConfigProto CONFIG =
      ConfigProto.newBuilder()
          .setAllowSoftPlacement(true)
          .setGpuOptions(GPUOptions.newBuilder().setAllowGrowth(true))
          .build();

  private Sessions() {}

  static Session open(Graph graph) {
    return new Session(graph, CONFIG);
  }
}

package io.github.ddpm.examples.bench;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import io.github.ddpm.Predictor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.Map;

/** ONNX Runtime, which samples but doesn't train. */
final class Onnx implements Backend {
  @Override
  public String version() {
    return "ONNX Runtime " + OrtEnvironment.getEnvironment().getVersion();
  }

  @Override
  public Predictor predictor(Path files) {
    try {
      return new OnnxPredictor(files.resolve("forward.onnx"));
    } catch (OrtException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public Training training(Path files) {
    throw new UnsupportedOperationException("its Java packages don't train");
  }

  private static final class OnnxPredictor implements Peer {
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;

    OnnxPredictor(Path file) throws OrtException {
      try (SessionOptions options = new SessionOptions()) {
        options.setOptimizationLevel(SessionOptions.OptLevel.ALL_OPT);
        options.setIntraOpNumThreads(Runtime.getRuntime().availableProcessors());
        options.setInterOpNumThreads(1);
        session = environment.createSession(file.toString(), options);
      }
    }

    @Override
    public float[] predict(float[] x, double timestep, int... labels) {
      // Direct buffers, which tensors share; of others they make a copy.
      FloatBuffer in = direct(x.length).put(x).flip();
      FloatBuffer t = direct(1).put((float) timestep).flip();
      FloatBuffer out = direct(x.length);
      long[] shape = {x.length / INFO.imageSize(), 1, INFO.height(), INFO.width()};
      try (OnnxTensor images = OnnxTensor.createTensor(environment, in, shape);
          OnnxTensor timesteps = OnnxTensor.createTensor(environment, t, new long[] {1});
          OnnxTensor result = OnnxTensor.createTensor(environment, out, shape);
          OrtSession.Result ran =
              session.run(Map.of("x", images, "timestep", timesteps), Map.of("out", result))) {
        assert ran.size() == 1;
        float[] values = new float[x.length];
        out.get(values);
        return values;
      } catch (OrtException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public void close() {
      try {
        session.close();
      } catch (OrtException e) {
        throw new IllegalStateException(e);
      }
    }

    private static FloatBuffer direct(int floats) {
      return ByteBuffer.allocateDirect(floats * Float.BYTES)
          .order(ByteOrder.nativeOrder())
          .asFloatBuffer();
    }
  }
}

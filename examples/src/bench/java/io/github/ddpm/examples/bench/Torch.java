package io.github.ddpm.examples.bench;

import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import io.github.ddpm.Predictor;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * PyTorch through DJL, which runs what was traced in Python. Gray images are the same floats with
 * the channels first or last, so nothing is transposed.
 *
 * @param precision of the traces
 */
record Torch(String precision) implements Backend {
  @Override
  public String version() {
    return "PyTorch " + Engine.getEngine("PyTorch").getVersion() + " through DJL";
  }

  @Override
  public Predictor predictor(Path files) throws IOException {
    Script network = new Script(files.resolve("forward_" + precision + ".pt"));
    return new Peer() {
      @Override
      public float[] predict(float[] x, double timestep, int... labels) {
        try (NDManager memory = NDManager.newBaseManager("PyTorch")) {
          NDArray t = memory.create(new float[] {(float) timestep});
          return network.run(false, images(memory, x), t).toFloatArray();
        }
      }

      @Override
      public void close() {
        network.close();
      }
    };
  }

  @Override
  public Training training(Path files) throws IOException {
    return new TorchTraining(files);
  }

  @Override
  public double loss(Path files, float[] images, float[] noise, int... timesteps)
      throws IOException {
    try (TorchTraining training = new TorchTraining(files);
        NDManager memory = NDManager.newBaseManager("PyTorch")) {
      return training
          .loss(memory, training.weights, images, images(memory, noise), timesteps)
          .getFloat();
    }
  }

  private static NDArray images(NDManager memory, float[] values) {
    return memory.create(values, new Shape(values.length / Peer.INFO.imageSize(), 1, 28, 28));
  }

  /** A file of TorchScript. */
  private static final class Script implements AutoCloseable {
    private final Model model;
    private final ParameterStore none;

    Script(Path file) throws IOException {
      model = Model.newInstance(file.toString(), "PyTorch");
      none = new ParameterStore(model.getNDManager(), false);
      try (InputStream content = Files.newInputStream(file)) {
        model.load(content, Map.of());
      } catch (MalformedModelException e) {
        throw new IOException(file + ": " + e.getMessage(), e);
      }
    }

    NDArray run(boolean training, NDArray... inputs) {
      return model.getBlock().forward(none, new NDList(inputs), training).singletonOrThrow();
    }

    IValue run(IValue... inputs) {
      return ((PtSymbolBlock) model.getBlock()).forward(inputs);
    }

    @Override
    public void close() {
      model.close();
    }
  }

  /** Weights, moments and moving average as one vector each, like this library's. */
  private final class TorchTraining implements Training {
    private static final double LEARNING_RATE = 1e-3;
    private static final double EMA_DECAY = 0.9999;

    private final NDManager manager = NDManager.newBaseManager("PyTorch");
    private final SplittableRandom random = new SplittableRandom(1);
    private final Script network;
    private final Script adamw;
    private final NDArray weights;
    private final NDArray ema;
    private final NDArray m;
    private final NDArray v;
    private int step;

    TorchTraining(Path files) throws IOException {
      network = new Script(files.resolve("training_" + precision + ".pt"));
      adamw = new Script(files.resolve("adamw.pt"));
      ByteBuffer bytes =
          ByteBuffer.wrap(Files.readAllBytes(files.resolve("weights.bin")))
              .order(ByteOrder.LITTLE_ENDIAN);
      float[] values = new float[bytes.remaining() / Float.BYTES];
      bytes.asFloatBuffer().get(values);
      weights = manager.create(values);
      ema = manager.create(values);
      m = manager.zeros(weights.getShape());
      v = manager.zeros(weights.getShape());
    }

    @Override
    public double step(float[] images) {
      int[] timesteps =
          random
              .ints(images.length / Peer.INFO.imageSize(), 0, Peer.INFO.schedule().timesteps())
              .toArray();
      try (NDManager memory = NDManager.newBaseManager("PyTorch")) {
        // The same memory with no gradient yet: nothing to set to zero, nothing to add to.
        NDArray leaf = weights.stopGradient();
        leaf.attach(memory);
        leaf.setRequiresGradient(true);
        NDArray loss;
        try (GradientCollector gradients = Engine.getEngine("PyTorch").newGradientCollector()) {
          NDArray noise =
              memory.randomNormal(
                  new Shape(timesteps.length, 1, Peer.INFO.height(), Peer.INFO.width()));
          loss = loss(memory, leaf, images, noise, timesteps);
          gradients.backward(loss);
        }
        NDArray gradient = leaf.getGradient();
        gradient.attach(memory);
        update(gradient);
        return loss.getFloat();
      }
    }

    NDArray loss(
        NDManager memory, NDArray vector, float[] images, NDArray noise, int... timesteps) {
      float[] signalWeights = new float[timesteps.length];
      float[] noiseWeights = new float[timesteps.length];
      float[] times = new float[timesteps.length];
      for (int i = 0; i < timesteps.length; i++) {
        double alphaBar = Peer.INFO.schedule().alphaBar(timesteps[i]);
        signalWeights[i] = (float) Math.sqrt(alphaBar);
        noiseWeights[i] = (float) Math.sqrt(1 - alphaBar);
        times[i] = timesteps[i];
      }
      NDArray loss =
          network.run(
              true,
              vector,
              images(memory, images),
              noise,
              memory.create(signalWeights),
              memory.create(noiseWeights),
              memory.create(times));
      loss.attach(memory);
      return loss;
    }

    private void update(NDArray gradient) {
      step++;
      List<IValue> inputs = new ArrayList<>();
      for (NDArray vector : List.of(weights, m, v, ema, gradient)) {
        inputs.add(IValue.from((PtNDArray) vector));
      }
      double[] numbers = {
        1, LEARNING_RATE, 0, 1 - Math.pow(0.9, step), 1 - Math.pow(0.999, step), EMA_DECAY
      };
      for (double number : numbers) {
        inputs.add(IValue.from(number));
      }
      try (IValue norm = adamw.run(inputs.toArray(IValue[]::new))) {
        assert norm.isTensor();
      } finally {
        inputs.forEach(IValue::close);
      }
    }

    @Override
    public void close() {
      network.close();
      adamw.close();
      manager.close();
    }
  }
}

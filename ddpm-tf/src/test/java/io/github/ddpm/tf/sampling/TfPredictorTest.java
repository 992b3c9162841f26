package io.github.ddpm.tf.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.PredictorContract;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.PipelineScheduler;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.FrozenWeights;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;

/** TensorFlow's predictor keeps the contract, with labels and without. */
class TfPredictorTest {
  @Nested
  class WithLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(
          UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withClasses(10), Precision.FLOAT32);
    }
  }

  @Nested
  class WithoutLabels extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(UNetConfig.small(4, 8, 3).withBlockOutChannels(8, 8), Precision.FLOAT32);
    }
  }

  @Nested
  class WithAVariance extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(
          UNetConfig.small(8, 8, 1)
              .withBlockOutChannels(8, 16)
              .withClasses(10)
              .withPicture(new UNetConfig.Picture(8, 8, 1, true)),
          Precision.FLOAT32);
    }

    @Override
    protected boolean learnsVariance() {
      return true;
    }
  }

  @Nested
  class WithACondition extends PredictorContract {
    @Override
    protected Predictor predictor() {
      return random(
          UNetConfig.small(4, 8, 3)
              .withBlockOutChannels(8, 16)
              .withClasses(10)
              .withPicture(new UNetConfig.Picture(4, 8, 3, 2, true, true)),
          Precision.FLOAT32);
    }

    @Override
    protected boolean learnsVariance() {
      return true;
    }
  }

  @ParameterizedTest
  @CsvSource({"BFLOAT16, 0.03, 0.1", "FLOAT16, 0.004, 0.0125"})
  void othersPredictAndSampleWhatFloat32DoesUpToTheirRounding(
      Precision precision, float ofOutputs, float ofImages) {
    UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16);
    try (Predictor exact = random(config, Precision.FLOAT32);
        Predictor rounded = random(config, precision)) {
      float[] x = new float[2 * 64];
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) Math.sin(i);
      }
      float[] out = exact.predict(x, 500);
      assertThat(rounded.predict(x, 500)).isNotEqualTo(out).containsExactly(out, within(ofOutputs));
      Sampler sampler = Sampler.ddim(0).steps(5).seed(1);
      float[] images = sampler.with(exact).sample(3).toArray();
      assertThat(sampler.with(rounded).sample(3).toArray())
          .containsExactly(images, within(ofImages));
    }
  }

  @Test
  void weightsOfOurOperationAreConstantsToTheBit() {
    assumeTrue(TensorFlowRuntime.hasKernels());
    UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withClasses(3);
    Sampler sampler = Sampler.ddim(0.5).steps(4).labels(2, 0).guidance(1.5).seed(1);
    for (Precision precision : Precision.values()) {
      try (Predictor constants = random(config, precision, constants(Long.MAX_VALUE));
          Predictor packed = random(config, precision, FrozenWeights::new);
          Predictor plain = random(config, precision, tf -> new FrozenWeights(tf, true, 0))) {
        float[] images = sampler.with(constants).sample(3).toArray();
        assertThat(sampler.with(packed).sample(3).toArray()).isEqualTo(images);
        assertThat(sampler.with(plain).sample(3).toArray()).isEqualTo(images);
      }
    }
  }

  private static Function<Ops, FrozenWeights> constants(long max) {
    return tf -> new FrozenWeights(tf, false, max);
  }

  @Test
  void weightsThatAreFedAreAsGoodAsConstants() throws IOException {
    UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16).withClasses(3);
    long size = UNet.shapes(config).values().stream().mapToLong(Shape::size).sum();
    Sampler sampler = Sampler.ddim(0.5).steps(4).labels(2, 0).guidance(1.5).seed(1);
    try (Predictor constants = random(config, Precision.FLOAT32, constants(Long.MAX_VALUE));
        Predictor half = random(config, Precision.FLOAT32, constants(size / 2));
        Predictor fed = random(config, Precision.FLOAT32, constants(0))) {
      float[] images = sampler.with(constants).sample(3).toArray();
      assertThat(sampler.with(half).sample(3).toArray()).containsExactly(images, within(1e-4f));
      assertThat(sampler.with(fed).sample(3).toArray()).containsExactly(images, within(1e-4f));
    }
  }

  @Test
  void imagesThatAreDividedAmongCoresAreTheSameAndAtTheSameRow() {
    UNetConfig config = UNetConfig.small(32, 32, 1).withBlockOutChannels(8, 16).withClasses(3);
    // 49 images go through the network together, and 6 are enough for a core.
    int count = 52;
    try (Predictor model = random(config, Precision.FLOAT32)) {
      Sampler sampler = Sampler.ddim(0.5).steps(3).labels(2).seed(1).with(model);
      List<List<Integer>> told = new ArrayList<>();
      Images images =
          sampler
              .listener(
                  progress -> {
                    told.add(
                        List.of(
                            (int) progress.firstImage(), progress.row(), progress.x0().count()));
                    return true;
                  })
              .sample(count);
      assertThat(told)
          .containsExactly(
              List.of(0, 0, 49),
              List.of(0, 1, 49),
              List.of(0, 2, 49),
              List.of(49, 0, 3),
              List.of(49, 1, 3),
              List.of(49, 2, 3));
      for (int k = 0; k < count; k += 3) {
        assertThat(sampler.first(k).sample(1).toArray())
            .as("image %s", k)
            .containsExactly(images.slice(k, k + 1).toArray(), within(1e-4f));
      }
    }
  }

  @Test
  void weightsOfAnotherNetworkAreRefused() {
    UNetConfig config = UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 16);
    WeightSource wrong =
        new WeightSource() {
          @Override
          public Weight get(String name, Shape shape) throws IOException {
            if (name.equals("conv_out.bias")) {
              throw new IOException("weight conv_out.bias is missing");
            }
            return new RandomWeights().get(name, shape);
          }

          @Override
          public void checkNothingLeft() {}
        };
    assertThatThrownBy(() -> new SamplingGraph(config, wrong, Precision.FLOAT32))
        .isInstanceOf(IOException.class)
        .hasMessage("weight conv_out.bias is missing");
  }

  /** A network of random weights. */
  private static Predictor random(UNetConfig config, Precision precision) {
    return random(config, precision, FrozenWeights::new);
  }

  private static Predictor random(
      UNetConfig config, Precision precision, Function<Ops, FrozenWeights> frozen) {
    ModelConfig model =
        new ModelConfig(
            config,
            config.info(BetaSchedule.cosine(), PredictionType.V_PREDICTION),
            PipelineScheduler.DEFAULT);
    try {
      return new TfPredictor(
          model, new SamplingGraph(config, new RandomWeights(), precision, frozen));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Weights as training starts from: each is a function of its name. */
  private static final class RandomWeights implements WeightSource {
    @Override
    public Weight get(String name, Shape shape) throws IOException {
      Random random = new Random(name.hashCode());
      FloatBuffer values = FloatBuffer.allocate((int) shape.size());
      boolean norm = name.contains("norm");
      double inputs = norm ? 1 : (double) shape.size() / shape.get(shape.numDimensions() - 1);
      for (int i = 0; i < values.capacity(); i++) {
        double spread = (2 * random.nextDouble() - 1) / Math.sqrt(inputs);
        values.put(i, (float) (norm ? (name.endsWith("weight") ? 1 : 0) : spread));
      }
      return new Weight(shape, values);
    }

    @Override
    public void checkNothingLeft() {}
  }
}

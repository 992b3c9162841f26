package io.github.ddpm.tf.sampling;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class SamplingMemoryTest {
  private static final Path FOLDER = Fixtures.path("golden/folder-flat");

  @Test
  void aNetworkThatNoMachineHoldsIsRefused() throws IOException {
    ModelFolder saved = ModelFolder.read(FOLDER);
    assertThatCode(() -> SamplingMemory.check(FOLDER, saved, Precision.FLOAT32))
        .doesNotThrowAnyException();
    UNetConfig huge =
        UNetConfig.small(2048, 2048, 1)
            .withLevels(new UNetConfig.Levels(List.of(65536, 65536, 65536), 1, 1));
    ModelConfig config =
        new ModelConfig(
            huge,
            huge.info(saved.config().info().schedule(), saved.config().info().predictionType()),
            saved.config().pipeline());
    // 65536 channels, for 2048 x 2048 pixels twice, for a quarter as many twice and a sixteenth
    // twice: 2.9 TB.
    assertThatIOException()
        .isThrownBy(
            () ->
                SamplingMemory.check(
                    FOLDER,
                    new ModelFolder(config, saved.weights(), saved.files()),
                    Precision.FLOAT32))
        .withMessageStartingWith(
            FOLDER
                + ": sampling one image of 2048x2048: weights and hidden images take at least"
                + " 2886218 MB, TensorFlow may have ");
  }

  @Test
  void moreImagesThanTheHeapHoldsAreRefusedBeforeTheFirst() throws IOException {
    try (Predictor model = Predictor.load(FOLDER, Precision.FLOAT32)) {
      int most = Integer.MAX_VALUE / model.info().imageSize();
      assertThatIllegalArgumentException()
          .isThrownBy(() -> model.sampler().steps(2).sample(most))
          .withMessageContaining(most + " pictures of ")
          .withMessageContaining("it needs ");
    }
  }
}

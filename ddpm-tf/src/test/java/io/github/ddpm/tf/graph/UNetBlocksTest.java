package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Networks of more blocks than anyone needs, which a file may claim. */
class UNetBlocksTest {
  private static final UNetConfig SMALL = UNetConfig.small(8, 8, 1);

  /** With one look at all operations for each, that took a minute. */
  @Test
  @Timeout(20)
  void asManyBlocksAsMayBeAreBuiltInSeconds() {
    UNetConfig most = SMALL.withBlockOutChannels(8, 8, 8).withLayersPerBlock(20);
    assertThat(UNet.shapes(most)).hasSizeGreaterThan(1400);
  }

  @Test
  void moreAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SMALL.withLayersPerBlock(34))
        .withMessage(
            "a network has at most 128 residual blocks, got 209, by layers_per_block 34 at 3 levels");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SMALL.withLayersPerBlock(Integer.MAX_VALUE))
        .withMessageContaining("got 12884901887");
    List<Integer> levels = SMALL.levels().channels();
    assertThat(new UNetConfig.Levels(levels, 20, 1).layersPerBlock()).isEqualTo(20);
  }
}

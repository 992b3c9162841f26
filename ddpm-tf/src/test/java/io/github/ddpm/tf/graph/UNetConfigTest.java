package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import java.util.OptionalInt;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What fits together, where golden networks don't say so already. */
class UNetConfigTest {
  private static final UNetConfig SMALL = UNetConfig.small(8, 8, 1);

  @Test
  void otherLevelsAreResampledAsTheFinestWas() {
    UNetConfig other = SMALL.withResampling(Resampling.RESNET).withBlockOutChannels(8, 16);
    assertThat(other.levels().down()).containsExactly(Resampling.RESNET, Resampling.RESNET);
    assertThat(other.withLayersPerBlock(3).levels().up()).isEqualTo(other.levels().up());
    assertThat(UNet.shapes(other))
        .containsKey("down_blocks.0.downsamplers.0.time_emb_proj.weight")
        .containsKey("up_blocks.0.upsamplers.0.norm1.weight")
        .doesNotContainKey("down_blocks.1.downsamplers.0.norm1.weight");
  }

  @Test
  void resamplingIsGivenForEachLevel() {
    List<Resampling> two = List.of(Resampling.CONV, Resampling.RESNET);
    refused(
        () -> new UNetConfig.Levels(List.of(8, 8, 8), 1, 1, two, two),
        "block_out_channels has 3 levels, but there are 2 down blocks and 2 up blocks");
  }

  /** diffusers could not say so. */
  @Test
  void levelsWithAttentionAreResampledAlike() {
    List<Resampling> alike = List.of(Resampling.RESNET, Resampling.RESNET);
    List<Resampling> mixed = List.of(Resampling.CONV, Resampling.RESNET);
    UNetConfig attending =
        SMALL
            .withLevels(new UNetConfig.Levels(List.of(8, 8), 1, 1, alike, mixed))
            .withAttention(
                new UNetConfig.AttentionBlocks(
                    List.of(true, true), true, List.of(false, true), OptionalInt.empty()));
    attending.check();
    refused(
        attending.withLevels(new UNetConfig.Levels(List.of(8, 8), 1, 1, mixed, mixed))::check,
        "all levels with attention must be resampled alike on the way down, got [CONV, RESNET]");
  }

  @Test
  void blocksThatResampleAreCounted() {
    UNetConfig most = SMALL.withLayersPerBlock(20);
    refused(
        () -> most.withResampling(Resampling.RESNET),
        "a network has at most 128 residual blocks, got 129, by layers_per_block 20 at 3 levels");
  }

  @Test
  void labelsAsTimestepsAreThereOrNot() {
    UNetConfig.Labels labels = new UNetConfig.Labels(3, false, true);
    assertThat(SMALL.withLabels(labels).withClasses(4).labels())
        .isEqualTo(new UNetConfig.Labels(5, true, true));
    assertThat(SMALL.withLabels(labels).withClasses(0)).isEqualTo(SMALL);
    refused(
        () -> new UNetConfig.Labels(0, false, true),
        "labels as timesteps need at least 1 class embedding, got 0");
  }

  private static void refused(ThrowingCallable call, String problem) {
    assertThatIllegalArgumentException().isThrownBy(call).withMessage(problem);
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.Lists;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;

/**
 * The shape of a {@link UNet}; the names are those of diffusers' {@code UNet2DModel}.
 *
 * @param height of the images in pixels; divisible by 2 once per level but the last
 * @param width of the images in pixels; likewise
 * @param channels of the images, at least 1
 * @param learnedVariance whether the network also learned a variance for each value of an image
 *     ({@code out_channels} is twice {@code in_channels}); it is left alone, only the first half of
 *     the output is used
 * @param blockOutChannels channels at each level, finest first; each divisible by {@code
 *     normNumGroups}
 * @param layersPerBlock residual blocks at each level on the way down, at least 1; one more on the
 *     way up
 * @param downAttention for each level on the way down, finest first, whether attention follows each
 *     residual block ({@code AttnDownBlock2D})
 * @param upAttention for each level on the way up, coarsest first ({@code AttnUpBlock2D})
 * @param addAttention whether there is attention in the middle
 * @param attentionHeadDim channels of an attention head; empty for one head
 * @param normNumGroups groups of each normalization
 * @param normEps added to each variance
 * @param downsamplePadding 1 pads all around before halving, 0 below and to the right only
 * @param scaleShift whether timestep and label scale and shift the hidden images ({@code
 *     resnet_time_scale_shift}), or are only added to them
 * @param flipSinToCos whether cosines come before sines in the timestep embedding
 * @param freqShift of the timestep embedding's frequencies, 0 or 1
 * @param dropout share of hidden values that training sets to 0, in [0, 1)
 * @param classEmbeddings rows of the class embedding ({@code num_class_embeds}); 0 for a network
 *     without labels
 * @param nullLabel whether the last of them stands for "no label"
 */
public record UNetConfig(
    int height,
    int width,
    int channels,
    boolean learnedVariance,
    List<Integer> blockOutChannels,
    int layersPerBlock,
    List<Boolean> downAttention,
    List<Boolean> upAttention,
    boolean addAttention,
    OptionalInt attentionHeadDim,
    int normNumGroups,
    double normEps,
    int downsamplePadding,
    boolean scaleShift,
    boolean flipSinToCos,
    double freqShift,
    double dropout,
    int classEmbeddings,
    boolean nullLabel) {

  /** Most channels, so that no product of sizes overflows. */
  private static final int MAX_CHANNELS = 1 << 16;

  /** Most pixels along a side, likewise. */
  private static final int MAX_SIZE = 1 << 13;

  /**
   * Checks that such a network can be built.
   *
   * @throws IllegalArgumentException if not; the message names the value and the rule
   */
  public UNetConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
    downAttention = List.copyOf(downAttention);
    upAttention = List.copyOf(upAttention);
    int levels = blockOutChannels.size();
    checkArgument(levels > 0, "block_out_channels needs at least 1 level, got none");
    checkArgument(
        downAttention.size() == levels && upAttention.size() == levels,
        "block_out_channels has %s levels, but there are %s down blocks and %s up blocks",
        levels,
        downAttention.size(),
        upAttention.size());
    checkArgument(
        channels > 0 && channels <= MAX_CHANNELS,
        "channels must be in [1, %s], got %s",
        MAX_CHANNELS,
        channels);
    checkArgument(levels < 31, "at most 30 levels can be halved, got %s", levels);
    int divisor = 1 << (levels - 1);
    checkArgument(
        height > 0 && width > 0 && height % divisor == 0 && width % divisor == 0,
        "height and width must be divisible by %s, because %s levels halve them %s times, got %sx%s",
        divisor,
        levels,
        levels - 1,
        height,
        width);
    checkArgument(
        height <= MAX_SIZE && width <= MAX_SIZE,
        "height and width must be at most %s, got %sx%s",
        MAX_SIZE,
        height,
        width);
    checkArgument(
        layersPerBlock > 0, "layers_per_block must be at least 1, got %s", layersPerBlock);
    checkArgument(normNumGroups > 0, "norm_num_groups must be at least 1, got %s", normNumGroups);
    checkArgument(
        blockOutChannels.get(0) % 2 == 0,
        "the first of block_out_channels must be even, got %s",
        blockOutChannels.get(0));
    for (int size : blockOutChannels) {
      checkArgument(
          size > 0 && size <= MAX_CHANNELS,
          "block_out_channels must be in [1, %s], got %s",
          MAX_CHANNELS,
          size);
      checkArgument(
          size % normNumGroups == 0,
          "block_out_channels must be divisible by norm_num_groups %s, got %s",
          normNumGroups,
          size);
    }
    checkArgument(normEps > 0, "norm_eps must be above 0, got %s", normEps);
    checkArgument(
        downsamplePadding == 0 || downsamplePadding == 1,
        "downsample_padding must be 0 or 1, got %s",
        downsamplePadding);
    checkArgument(freqShift == 0 || freqShift == 1, "freq_shift must be 0 or 1, got %s", freqShift);
    checkArgument(
        freqShift < blockOutChannels.get(0) / 2,
        "freq_shift 1 needs at least 4 channels at the first level, got %s",
        blockOutChannels.get(0));
    checkArgument(dropout >= 0 && dropout < 1, "dropout must be in [0, 1), got %s", dropout);
    checkArgument(
        classEmbeddings >= 0, "num_class_embeds must be at least 0, got %s", classEmbeddings);
    checkArgument(
        !nullLabel || classEmbeddings > 1,
        "a null label needs at least 2 class embeddings, got %s",
        classEmbeddings);
    for (int level = 0; level < levels; level++) {
      if (downAttention.get(level) || upAttention.get(levels - 1 - level)) {
        checkHeads(blockOutChannels.get(level), attentionHeadDim);
      }
    }
    if (addAttention) {
      checkHeads(blockOutChannels.get(levels - 1), attentionHeadDim);
    }
  }

  /**
   * A network for small pictures, such as 28x28 digits: 32, 64 and 64 channels, one residual block
   * a level, attention at the coarsest level and in the middle, no labels. For one grey channel it
   * has 1,112,801 weights.
   *
   * @param height in pixels, divisible by 4
   * @param width in pixels, divisible by 4
   * @param channels 1 for grey, 3 for RGB
   */
  public static UNetConfig small(int height, int width, int channels) {
    return new UNetConfig(
        height,
        width,
        channels,
        false,
        List.of(32, 64, 64),
        1,
        List.of(false, false, true),
        List.of(true, false, false),
        true,
        OptionalInt.empty(),
        8,
        1e-5,
        1,
        false,
        true,
        0,
        0,
        0,
        false);
  }

  /**
   * This network with labels, and one more row for "no label", so that it can be trained with label
   * dropout and then samples with labels, without them, and with guidance.
   *
   * @param classes number of classes, at least 0; 0 takes the labels away
   */
  public UNetConfig withClasses(int classes) {
    return withClassEmbeddings(classes == 0 ? 0 : classes + 1, classes > 0);
  }

  /**
   * This network with other channels at each level, as many levels as that takes, and attention at
   * the coarsest.
   *
   * @param channels at each level, finest first; each divisible by {@link #normNumGroups}
   */
  public UNetConfig withBlockOutChannels(Integer... channels) {
    int levels = channels.length;
    List<Boolean> up = new ArrayList<>(Collections.nCopies(levels, false));
    if (levels > 0) {
      up.set(0, true);
    }
    return new UNetConfig(
        height,
        width,
        this.channels,
        learnedVariance,
        List.of(channels),
        layersPerBlock,
        Lists.reverse(up),
        up,
        addAttention,
        attentionHeadDim,
        normNumGroups,
        normEps,
        downsamplePadding,
        scaleShift,
        flipSinToCos,
        freqShift,
        dropout,
        classEmbeddings,
        nullLabel);
  }

  /**
   * This network with another number of residual blocks at each level.
   *
   * @param layers on the way down, where there is one less than on the way up; at least 1
   */
  public UNetConfig withLayersPerBlock(int layers) {
    return new UNetConfig(
        height,
        width,
        channels,
        learnedVariance,
        blockOutChannels,
        layers,
        downAttention,
        upAttention,
        addAttention,
        attentionHeadDim,
        normNumGroups,
        normEps,
        downsamplePadding,
        scaleShift,
        flipSinToCos,
        freqShift,
        dropout,
        classEmbeddings,
        nullLabel);
  }

  /** Classes that a user can ask for: the class embeddings less the null label. */
  public int classes() {
    return nullLabel ? classEmbeddings - 1 : classEmbeddings;
  }

  /** What sampling has to know of a network of this shape. */
  public ModelInfo info(BetaSchedule schedule, PredictionType predictionType) {
    return new ModelInfo(height, width, channels, classes(), nullLabel, schedule, predictionType);
  }

  /** Channels of the network's output. */
  int outChannels() {
    return learnedVariance ? 2 * channels : channels;
  }

  /** Residual blocks of the whole network. */
  long resnets() {
    return blockOutChannels.size() * (2L * layersPerBlock + 1) + 2;
  }

  /** The number of attention heads for that many channels. */
  int heads(int channels) {
    return channels / attentionHeadDim.orElse(channels);
  }

  UNetConfig withClassEmbeddings(int rows, boolean lastIsNull) {
    return new UNetConfig(
        height,
        width,
        channels,
        learnedVariance,
        blockOutChannels,
        layersPerBlock,
        downAttention,
        upAttention,
        addAttention,
        attentionHeadDim,
        normNumGroups,
        normEps,
        downsamplePadding,
        scaleShift,
        flipSinToCos,
        freqShift,
        dropout,
        rows,
        lastIsNull);
  }

  private static void checkHeads(int channels, OptionalInt headDim) {
    checkArgument(
        headDim.isEmpty() || (headDim.getAsInt() > 0 && channels % headDim.getAsInt() == 0),
        "attention_head_dim must divide the %s channels of a block with attention, got %s",
        channels,
        headDim.orElse(0));
  }
}

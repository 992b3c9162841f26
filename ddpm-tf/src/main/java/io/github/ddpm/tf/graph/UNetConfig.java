package io.github.ddpm.tf.graph;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.Lists;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The shape of a {@link UNet}, diffusers' {@code UNet2DModel}. Each part has a {@code with…} that
 * replaces it and checks that part alone; whether the parts fit together is checked when the
 * network is built.
 *
 * @param picture what goes in and comes out
 * @param levels the resolutions at which the network works
 * @param attention where pixels attend to each other
 * @param middle what is between the way down and the way up; empty for nothing ({@code
 *     mid_block_type} null)
 * @param normalization of the hidden images
 * @param activation of the residual blocks
 * @param conditioning how the network is told of timestep and label
 * @param dropout share of hidden values that training sets to 0, in [0, 1)
 * @param labels what the network can be asked for
 */
public record UNetConfig(
    Picture picture,
    Levels levels,
    AttentionBlocks attention,
    Optional<Middle> middle,
    Normalization normalization,
    Activation activation,
    Conditioning conditioning,
    double dropout,
    Labels labels) {

  /** Most channels, so that no product of sizes overflows. */
  private static final int MAX_CHANNELS = 1 << 16;

  /** Most pixels along a side, likewise. */
  private static final int MAX_SIZE = 1 << 13;

  /**
   * Most residual blocks: three times those of the largest U-Nets published, of 44, and few enough
   * that a file which claims them costs seconds.
   */
  private static final int MAX_BLOCKS = 128;

  /**
   * Checks the share of dropout. What goes together, {@link #check} says.
   *
   * @param picture of a size that the levels can halve
   * @param levels of any number
   * @param attention for as many levels
   * @param middle empty for nothing
   * @param normalization whose groups divide the channels of each level
   * @param activation any
   * @param conditioning any
   * @param dropout in [0, 1)
   * @param labels any
   * @throws IllegalArgumentException if it is not in [0, 1)
   */
  public UNetConfig {
    checkArgument(dropout >= 0 && dropout < 1, "dropout must be in [0, 1), got %s", dropout);
  }

  /**
   * What goes in and comes out.
   *
   * @param height of the images in pixels, at least 1; divisible by 2 once per level but the last
   * @param width of the images in pixels, likewise
   * @param channels of the images, at least 1
   * @param conditionChannels of what each image is conditioned on, at least 0; {@code in_channels}
   *     is the sum of both
   * @param learnedVariance whether the network also learned a variance for each value of an image
   *     ({@code out_channels} is twice that of the images); training leaves it alone
   * @param centered whether the network takes 2x - 1 of the x that it is given ({@code
   *     center_input_sample})
   */
  public record Picture(
      int height,
      int width,
      int channels,
      int conditionChannels,
      boolean learnedVariance,
      boolean centered) {
    /**
     * Checks the sizes.
     *
     * @param height in [1, 8192]
     * @param width in [1, 8192]
     * @param channels in [1, 65536]
     * @param conditionChannels in [0, 65536]
     * @param learnedVariance true for twice as many channels of output
     * @param centered true for a network that takes 2x - 1
     * @throws IllegalArgumentException if one is out of its range
     */
    public Picture {
      checkArgument(
          height > 0 && width > 0, "height and width must be at least 1, got %sx%s", height, width);
      checkArgument(
          height <= MAX_SIZE && width <= MAX_SIZE,
          "height and width must be at most %s, got %sx%s",
          MAX_SIZE,
          height,
          width);
      checkArgument(
          channels > 0 && channels <= MAX_CHANNELS,
          "channels must be in [1, %s], got %s",
          MAX_CHANNELS,
          channels);
      checkArgument(
          conditionChannels >= 0 && conditionChannels <= MAX_CHANNELS,
          "condition channels must be in [0, %s], got %s",
          MAX_CHANNELS,
          conditionChannels);
    }

    /**
     * Makes pictures without a condition, which the network takes as they are.
     *
     * @param height of the images in pixels, in [1, 8192]
     * @param width of the images in pixels, in [1, 8192]
     * @param channels of the images, in [1, 65536]
     * @param learnedVariance whether the network also learned a variance for each value of an image
     */
    public Picture(int height, int width, int channels, boolean learnedVariance) {
      this(height, width, channels, 0, learnedVariance, false);
    }

    /** {@return the number of channels of the network's input} */
    public int inChannels() {
      return channels + conditionChannels;
    }

    /** {@return the number of channels of the network's output} */
    public int outChannels() {
      return learnedVariance ? 2 * channels : channels;
    }
  }

  /**
   * The resolutions at which the network works; each level but the first has half the height and
   * width of the one before.
   *
   * @param channels at each level, finest first ({@code block_out_channels}); each divisible by the
   *     groups of the normalization
   * @param layersPerBlock residual blocks at each level on the way down, at least 1; there is one
   *     more on the way up. With two in the middle there are at most 128 in all
   * @param downsamplePadding 1 pads all around before halving by a convolution, 0 below and to the
   *     right only
   * @param down for each level on the way down, finest first, how it is halved; the last is not
   * @param up for each level on the way up, coarsest first, how it is doubled; the last is not
   */
  public record Levels(
      List<Integer> channels,
      int layersPerBlock,
      int downsamplePadding,
      List<Resampling> down,
      List<Resampling> up) {
    /**
     * Checks the levels.
     *
     * @param channels 1 to 30 numbers in [1, 65536], of which the first is even; copied
     * @param layersPerBlock at least 1, and few enough for 128 residual blocks in all
     * @param downsamplePadding 0 or 1
     * @param down as many as there are numbers of channels; copied
     * @param up as many as there are numbers of channels; copied
     * @throws IllegalArgumentException if there is none, or a number is out of its range
     */
    public Levels {
      channels = List.copyOf(channels);
      down = List.copyOf(down);
      up = List.copyOf(up);
      checkArgument(!channels.isEmpty(), "block_out_channels needs at least 1 level, got none");
      checkArgument(
          channels.size() < 31, "at most 30 levels can be halved, got %s", channels.size());
      checkArgument(
          layersPerBlock > 0, "layers_per_block must be at least 1, got %s", layersPerBlock);
      checkArgument(
          down.size() == channels.size() && up.size() == channels.size(),
          "block_out_channels has %s levels, but there are %s down blocks and %s up blocks",
          channels.size(),
          down.size(),
          up.size());
      long resampling =
          Stream.of(down, up)
              .flatMap(way -> way.subList(0, way.size() - 1).stream())
              .filter(Resampling.RESNET::equals)
              .count();
      long blocks = channels.size() * (2L * layersPerBlock + 1) + 2 + resampling;
      checkArgument(
          blocks <= MAX_BLOCKS,
          "a network has at most %s residual blocks, got %s, by layers_per_block %s at %s levels",
          MAX_BLOCKS,
          blocks,
          layersPerBlock,
          channels.size());
      checkArgument(
          downsamplePadding == 0 || downsamplePadding == 1,
          "downsample_padding must be 0 or 1, got %s",
          downsamplePadding);
      checkArgument(
          channels.get(0) % 2 == 0,
          "the first of block_out_channels must be even, got %s",
          channels.get(0));
      for (int size : channels) {
        checkArgument(
            size > 0 && size <= MAX_CHANNELS,
            "block_out_channels must be in [1, %s], got %s",
            MAX_CHANNELS,
            size);
      }
    }

    /**
     * Makes levels that are all halved and doubled by convolutions alone.
     *
     * @param channels at each level, finest first: 1 to 30 numbers in [1, 65536], of which the
     *     first is even; copied
     * @param layersPerBlock residual blocks at each level on the way down, at least 1; there is one
     *     more on the way up
     * @param downsamplePadding 1 pads all around before halving, 0 below and to the right only
     */
    public Levels(List<Integer> channels, int layersPerBlock, int downsamplePadding) {
      this(channels, layersPerBlock, downsamplePadding, Resampling.CONV);
    }

    /** Makes levels that are all resampled alike. */
    private Levels(
        List<Integer> channels, int layersPerBlock, int downsamplePadding, Resampling resampling) {
      this(
          channels,
          layersPerBlock,
          downsamplePadding,
          Collections.nCopies(channels.size(), resampling),
          Collections.nCopies(channels.size(), resampling));
    }
  }

  /**
   * Where pixels attend to each other.
   *
   * @param down for each level on the way down, finest first, whether attention follows each
   *     residual block ({@code AttnDownBlock2D})
   * @param middle whether there is attention in the middle ({@code add_attention})
   * @param up for each level on the way up, coarsest first ({@code AttnUpBlock2D})
   * @param headDim channels of an attention head ({@code attention_head_dim}), at least 1, of which
   *     there are as many as fit into the channels of a block; empty for one head
   */
  public record AttentionBlocks(
      List<Boolean> down, boolean middle, List<Boolean> up, OptionalInt headDim) {
    /**
     * Checks the size of a head.
     *
     * @param down one for each level; copied
     * @param middle true for attention there
     * @param up one for each level; copied
     * @param headDim at least 1; empty for one head
     * @throws IllegalArgumentException if it is below 1
     */
    public AttentionBlocks {
      down = List.copyOf(down);
      up = List.copyOf(up);
      checkArgument(
          headDim.orElse(1) > 0,
          "attention_head_dim must be at least 1, got %s",
          headDim.orElse(1));
    }

    /** Returns attention at the coarsest of so many levels; the rest is as it is here. */
    private AttentionBlocks atCoarsest(int levels) {
      List<Boolean> coarsestLast = new ArrayList<>(Collections.nCopies(levels, false));
      if (levels > 0) {
        coarsestLast.set(levels - 1, true);
      }
      return new AttentionBlocks(coarsestLast, middle, Lists.reverse(coarsestLast), headDim);
    }

    /** Returns the number of heads for that many channels. */
    int heads(int channels) {
      return channels / headDim.orElse(channels);
    }
  }

  /**
   * What is at the coarsest level between the way down and the way up: two residual blocks, and
   * attention between them where that is wanted.
   *
   * @param attentionGroups of channels in the normalization before this attention ({@code
   *     attn_norm_num_groups}), at least 1; if it is empty there are as many as in the others, or,
   *     with scale and shift, this one attention has no normalization
   * @param scaleFactor what comes out of each of these is divided by it ({@code
   *     mid_block_scale_factor}); above 0 and finite as a float, as is its inverse
   */
  public record Middle(OptionalInt attentionGroups, double scaleFactor) {
    /**
     * Checks both.
     *
     * @param attentionGroups at least 1, or empty
     * @param scaleFactor above 0 and finite as a float, as is its inverse
     * @throws IllegalArgumentException if one is out of its range
     */
    public Middle {
      checkArgument(
          attentionGroups.orElse(1) > 0,
          "attn_norm_num_groups must be at least 1, got %s",
          attentionGroups.orElse(1));
      checkArgument(
          (float) scaleFactor > 0
              && Float.isFinite((float) scaleFactor)
              && Float.isFinite((float) (1 / scaleFactor)),
          "mid_block_scale_factor must be above 0 and finite as a float, as must its inverse, got %s",
          scaleFactor);
    }
  }

  /**
   * The normalization of the hidden images.
   *
   * @param groups of channels ({@code norm_num_groups}), at least 1
   * @param epsilon added to each variance ({@code norm_eps}), above 0 and finite as a float
   */
  public record Normalization(int groups, double epsilon) {
    /**
     * Checks both.
     *
     * @param groups at least 1
     * @param epsilon above 0 and finite as a float
     * @throws IllegalArgumentException if one is out of its range
     */
    public Normalization {
      checkArgument(groups > 0, "norm_num_groups must be at least 1, got %s", groups);
      checkArgument(
          (float) epsilon > 0 && Float.isFinite((float) epsilon),
          "norm_eps must be above 0 and finite as a float, got %s",
          epsilon);
    }
  }

  /**
   * How the network is told of timestep and label.
   *
   * @param scaleShift whether they scale and shift the hidden images ({@code
   *     resnet_time_scale_shift}), or are only added to them
   * @param flipSinToCos whether cosines come before sines in the timestep embedding
   * @param freqShift of the timestep embedding's frequencies, 0 or 1
   * @param features of the embedding ({@code time_embedding_dim}), at least 1; empty for 4 times
   *     the channels of the first level
   */
  public record Conditioning(
      boolean scaleShift, boolean flipSinToCos, double freqShift, OptionalInt features) {
    /**
     * Checks the shift of the frequencies and the features.
     *
     * @param scaleShift true to scale and shift, false to add
     * @param flipSinToCos true for cosines before sines
     * @param freqShift 0 or 1
     * @param features in [1, 65536]; empty for 4 times the channels of the first level
     * @throws IllegalArgumentException if one is out of its range
     */
    public Conditioning {
      checkArgument(
          freqShift == 0 || freqShift == 1, "freq_shift must be 0 or 1, got %s", freqShift);
      checkArgument(
          features.orElse(1) > 0 && features.orElse(1) <= MAX_CHANNELS,
          "time_embedding_dim must be in [1, %s], got %s",
          MAX_CHANNELS,
          features.orElse(1));
    }

    /**
     * Makes an embedding of 4 times the channels of the first level.
     *
     * @param scaleShift whether timestep and label scale and shift the hidden images, or are only
     *     added to them
     * @param flipSinToCos whether cosines come before sines in the timestep embedding
     * @param freqShift of the timestep embedding's frequencies, 0 or 1
     */
    public Conditioning(boolean scaleShift, boolean flipSinToCos, double freqShift) {
      this(scaleShift, flipSinToCos, freqShift, OptionalInt.empty());
    }
  }

  /**
   * What the network can be asked for.
   *
   * @param embeddings number of labels ({@code num_class_embeds}), at least 0; 0 is for a network
   *     without
   * @param nullLabel whether the last of them stands for "no label", which takes at least 2
   * @param asTimesteps whether the number of a label is embedded as a timestep is ({@code
   *     class_embed_type}), or each label has a row of a table; it takes at least 1
   */
  public record Labels(int embeddings, boolean nullLabel, boolean asTimesteps) {
    /**
     * Checks the number of labels.
     *
     * @param embeddings at least 0
     * @param nullLabel true only with at least 2 embeddings
     * @param asTimesteps true only with at least 1 embedding
     * @throws IllegalArgumentException if there are fewer than that takes
     */
    public Labels {
      checkArgument(embeddings >= 0, "num_class_embeds must be at least 0, got %s", embeddings);
      checkArgument(
          !nullLabel || embeddings > 1,
          "a null label needs at least 2 class embeddings, got %s",
          embeddings);
      checkArgument(
          !asTimesteps || embeddings > 0,
          "labels as timesteps need at least 1 class embedding, got %s",
          embeddings);
    }

    /**
     * Makes labels of which each has a row of a table.
     *
     * @param embeddings number of labels, at least 0; 0 is for a network without
     * @param nullLabel whether the last of them stands for "no label", which takes at least 2
     */
    public Labels(int embeddings, boolean nullLabel) {
      this(embeddings, nullLabel, false);
    }

    /** {@return how many classes a user can ask for: the class embeddings less the null label} */
    public int classes() {
      return nullLabel ? embeddings - 1 : embeddings;
    }
  }

  /**
   * {@return a network for small pictures, such as 28x28 digits: 32, 64 and 64 channels, one
   * residual block a level, attention at the coarsest level and in the middle, no labels} For one
   * gray channel it has 1,112,801 weights.
   *
   * @param height in pixels, divisible by 4
   * @param width in pixels, divisible by 4
   * @param channels 1 for gray, 3 for RGB
   */
  public static UNetConfig small(int height, int width, int channels) {
    return new UNetConfig(
        new Picture(height, width, channels, false),
        new Levels(List.of(32, 64, 64), 1, 1),
        new AttentionBlocks(List.of(), true, List.of(), OptionalInt.empty()).atCoarsest(3),
        Optional.of(new Middle(OptionalInt.empty(), 1)),
        new Normalization(8, 1e-5),
        Activation.SILU,
        new Conditioning(false, true, 0),
        0,
        new Labels(0, false));
  }

  /**
   * {@return this network with labels, and one more row for "no label", so that it can be trained
   * with label dropout and then samples with labels, without them, and with guidance}
   *
   * @param classes number of classes, at least 0; 0 takes the labels away
   */
  public UNetConfig withClasses(int classes) {
    checkArgument(classes >= 0, "classes must be at least 0, got %s", classes);
    return withLabels(
        new Labels(
            classes == 0 ? 0 : classes + 1, classes > 0, classes > 0 && labels.asTimesteps()));
  }

  /**
   * {@return this network with other channels at each level, as many levels as that takes,
   * resampled as the finest is, and attention at the coarsest}
   *
   * @param channels at each level, finest first; each divisible by the groups of the normalization
   */
  public UNetConfig withBlockOutChannels(Integer... channels) {
    return withLevels(
            new Levels(
                List.of(channels),
                levels.layersPerBlock(),
                levels.downsamplePadding(),
                levels.down().get(0)))
        .withAttention(attention.atCoarsest(channels.length));
  }

  /**
   * {@return this network with another number of residual blocks at each level}
   *
   * @param layers on the way down, where there is one less than on the way up; at least 1
   */
  public UNetConfig withLayersPerBlock(int layers) {
    return withLevels(
        new Levels(
            levels.channels(), layers, levels.downsamplePadding(), levels.down(), levels.up()));
  }

  /**
   * {@return this network with all levels halved and doubled in that way}
   *
   * @param resampling how each level is halved and doubled
   */
  public UNetConfig withResampling(Resampling resampling) {
    return withLevels(
        new Levels(
            levels.channels(), levels.layersPerBlock(), levels.downsamplePadding(), resampling));
  }

  /**
   * {@return this network with attention heads of another size}
   *
   * @param channels of a head, at least 1, and at most those of each level with attention
   */
  public UNetConfig withAttentionHeadDim(int channels) {
    return withAttention(
        new AttentionBlocks(
            attention.down(), attention.middle(), attention.up(), OptionalInt.of(channels)));
  }

  /**
   * {@return this network for other pictures}
   *
   * @param other what goes in and comes out
   */
  public UNetConfig withPicture(Picture other) {
    return new UNetConfig(
        other, levels, attention, middle, normalization, activation, conditioning, dropout, labels);
  }

  /**
   * {@return this network with other levels}
   *
   * @param other as many as there is attention for when the network is built
   */
  public UNetConfig withLevels(Levels other) {
    return new UNetConfig(
        picture,
        other,
        attention,
        middle,
        normalization,
        activation,
        conditioning,
        dropout,
        labels);
  }

  /**
   * {@return this network with attention at other places}
   *
   * @param other for as many levels as the network has when it is built
   */
  public UNetConfig withAttention(AttentionBlocks other) {
    return new UNetConfig(
        picture, levels, other, middle, normalization, activation, conditioning, dropout, labels);
  }

  /**
   * {@return this network with something else in the middle, or nothing}
   *
   * @param other what is between the way down and the way up; empty for nothing
   */
  public UNetConfig withMiddle(Optional<Middle> other) {
    return new UNetConfig(
        picture,
        levels,
        attention,
        other,
        normalization,
        activation,
        conditioning,
        dropout,
        labels);
  }

  /**
   * {@return this network with another activation}
   *
   * @param other of the residual blocks
   */
  public UNetConfig withActivation(Activation other) {
    return new UNetConfig(
        picture, levels, attention, middle, normalization, other, conditioning, dropout, labels);
  }

  /**
   * {@return this network with another normalization}
   *
   * @param other of the hidden images
   */
  public UNetConfig withNormalization(Normalization other) {
    return new UNetConfig(
        picture, levels, attention, middle, other, activation, conditioning, dropout, labels);
  }

  /**
   * {@return this network told otherwise of timestep and label}
   *
   * @param other how the network is told
   */
  public UNetConfig withConditioning(Conditioning other) {
    return new UNetConfig(
        picture, levels, attention, middle, normalization, activation, other, dropout, labels);
  }

  /**
   * {@return this network with another dropout}
   *
   * @param share of hidden values that training sets to 0, in [0, 1)
   */
  public UNetConfig withDropout(double share) {
    return new UNetConfig(
        picture, levels, attention, middle, normalization, activation, conditioning, share, labels);
  }

  /**
   * {@return this network with other class embeddings}
   *
   * @param other what the network can be asked for
   */
  public UNetConfig withLabels(Labels other) {
    return new UNetConfig(
        picture,
        levels,
        attention,
        middle,
        normalization,
        activation,
        conditioning,
        dropout,
        other);
  }

  /** Returns the size of the vectors that stand for timestep and label. */
  int features() {
    return conditioning.features().orElse(4 * levels.channels().get(0));
  }

  /**
   * {@return what sampling has to know of a network of this shape}
   *
   * @param schedule the noise that it is trained with
   * @param predictionType what it predicts
   */
  public ModelInfo info(BetaSchedule schedule, PredictionType predictionType) {
    return new ModelInfo(
            picture.height(),
            picture.width(),
            picture.channels(),
            labels.classes(),
            labels.nullLabel(),
            schedule,
            predictionType)
        .withConditionChannels(picture.conditionChannels());
  }

  /**
   * Checks that the parts fit together, so that the network can be built.
   *
   * @throws IllegalArgumentException if not; the message names the value and the rule
   */
  public void check() {
    List<Integer> channels = levels.channels();
    int count = channels.size();
    checkArgument(
        attention.down().size() == count && attention.up().size() == count,
        "block_out_channels has %s levels, but there are %s down blocks and %s up blocks",
        count,
        attention.down().size(),
        attention.up().size());
    int divisor = 1 << (count - 1);
    checkArgument(
        picture.height() % divisor == 0 && picture.width() % divisor == 0,
        "height and width must be divisible by %s, because %s levels halve them %s times, got %sx%s",
        divisor,
        count,
        count - 1,
        picture.height(),
        picture.width());
    for (int size : channels) {
      checkArgument(
          size % normalization.groups() == 0,
          "block_out_channels must be divisible by norm_num_groups %s, got %s",
          normalization.groups(),
          size);
    }
    checkArgument(
        conditioning.freqShift() < channels.get(0) / 2,
        "freq_shift 1 needs at least 4 channels at the first level, got %s",
        channels.get(0));
    checkAlike("down", attention.down(), levels.down());
    checkAlike("up", attention.up(), levels.up());
    boolean middleAttends = middle.isPresent() && attention.middle();
    for (int level = 0; level < count; level++) {
      if (attention.down().get(level)
          || attention.up().get(count - 1 - level)
          || (middleAttends && level == count - 1)) {
        int width = channels.get(level);
        checkArgument(
            attention.headDim().orElse(width) <= width,
            "attention_head_dim must be at most the %s channels of a block with attention, got %s",
            width,
            attention.headDim().orElse(0));
      }
    }
    int groups = middle.map(Middle::attentionGroups).orElse(OptionalInt.empty()).orElse(1);
    int deepest = channels.get(count - 1);
    checkArgument(
        !middleAttends || deepest % groups == 0,
        "attn_norm_num_groups must divide the %s channels of the coarsest level, got %s",
        deepest,
        groups);
  }

  /** diffusers has one {@code downsample_type} for all levels with attention. */
  private static void checkAlike(String way, List<Boolean> attention, List<Resampling> kinds) {
    long different =
        IntStream.range(0, kinds.size())
            .filter(attention::get)
            .mapToObj(kinds::get)
            .distinct()
            .count();
    checkArgument(
        different < 2,
        "all levels with attention must be resampled alike on the way %s, got %s",
        way,
        kinds);
  }
}

package io.github.ddpm.tf.files;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.graph.Resampling;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * The blocks on one way through the network by diffusers' names. A block without attention says in
 * its name how it is resampled; one key says so for all that have attention.
 *
 * @param key of the list of blocks
 * @param resamplingKey of how blocks with attention are resampled
 * @param byConvolution the name of a block without attention
 * @param byResnet the same, resampled by a residual block
 * @param withAttention the name of a block with attention
 * @param usual the blocks where nothing is said
 */
record BlockTypes(
    String key,
    String resamplingKey,
    String byConvolution,
    String byResnet,
    String withAttention,
    List<Boolean> usual) {
  static final BlockTypes DOWN =
      new BlockTypes(
          "down_block_types",
          "downsample_type",
          "DownBlock2D",
          "ResnetDownsampleBlock2D",
          "AttnDownBlock2D",
          List.of(false, true, true, true));

  static final BlockTypes UP =
      new BlockTypes(
          "up_block_types",
          "upsample_type",
          "UpBlock2D",
          "ResnetUpsampleBlock2D",
          "AttnUpBlock2D",
          List.of(true, true, true, false));

  /** What a block has: attention or not, and how it is resampled. */
  record Block(boolean attention, Resampling resampling) {}

  /** Returns the blocks that a {@code unet/config.json} has. */
  List<Block> read(JsonNode json) {
    String kind = Json.text(json, resamplingKey, name(Resampling.CONV));
    checkArgument(
        kind.equals(name(Resampling.CONV)) || kind.equals(name(Resampling.RESNET)),
        "%s must be conv or resnet, got %s",
        resamplingKey,
        kind);
    Resampling ofAttention =
        kind.equals(name(Resampling.CONV)) ? Resampling.CONV : Resampling.RESNET;
    List<String> types =
        json.hasNonNull(key)
            ? Json.list(json, key).stream().map(JsonNode::asText).toList()
            : usual.stream().map(attention -> name(attention, Resampling.CONV)).toList();
    return types.stream()
        .map(
            block -> {
              // The name of the same blocks in the first versions.
              String type = block.replaceFirst("^UNetRes", "");
              checkArgument(
                  List.of(byConvolution, byResnet, withAttention).contains(type),
                  "%s must be %s, %s or %s, got %s",
                  key,
                  byConvolution,
                  byResnet,
                  withAttention,
                  Excerpt.of(type));
              return type.equals(withAttention)
                  ? new Block(true, ofAttention)
                  : new Block(false, type.equals(byResnet) ? Resampling.RESNET : Resampling.CONV);
            })
        .toList();
  }

  /** Writes blocks into a {@code unet/config.json}. */
  void write(ObjectNode json, List<Boolean> attention, List<Resampling> resampling) {
    ArrayNode types = json.putArray(key);
    for (int i = 0; i < attention.size(); i++) {
      types.add(name(attention.get(i), resampling.get(i)));
    }
    Resampling ofAttention =
        IntStream.range(0, attention.size())
            .filter(attention::get)
            .mapToObj(resampling::get)
            .findFirst()
            .orElse(resampling.get(0));
    json.put(resamplingKey, name(ofAttention));
  }

  private String name(boolean attention, Resampling resampling) {
    return attention ? withAttention : resampling == Resampling.CONV ? byConvolution : byResnet;
  }

  private static String name(Resampling resampling) {
    return resampling.name().toLowerCase(Locale.ROOT);
  }
}

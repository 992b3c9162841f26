package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.tensorflow.ndarray.Shape;

/**
 * A trained network with more residual blocks at each level, which answers as before: the new
 * blocks start as the identity (Net2DeeperNet, Chen et al. 2016).
 *
 * <p>On the way down the new blocks come last at their level, so the skips that they leave are
 * copies of the last old one. On the way up they come after the first block, where those copies
 * arrive, so each old block gets the skip that it had.
 */
final class Deepening implements WeightSource {
  private static final Pattern BLOCK =
      Pattern.compile("((down|up)_blocks\\.\\d+\\.(?:resnets|attentions)\\.)(\\d+)(\\..*)");

  private final WeightSource trained;
  private final int layers;
  private final WeightSource initial;
  private final int more;

  /**
   * Makes the weights of the deeper network.
   *
   * @param trained weights of the network
   * @param layers residual blocks that it has at each level on the way down
   * @param initial weights that the deeper network would start from if nothing were known
   * @param more blocks at each level beyond those, at least 0
   */
  Deepening(WeightSource trained, int layers, WeightSource initial, int more) {
    this.trained = trained;
    this.layers = layers;
    this.initial = initial;
    this.more = more;
  }

  /**
   * Returns the deeper network.
   *
   * @param layersPerBlock at least as many as there are
   */
  static UNetConfig network(UNetConfig network, int layersPerBlock) {
    int layers = network.levels().layersPerBlock();
    checkArgument(
        layersPerBlock >= layers,
        "a deeper network needs at least the %s residual blocks a level that the model has, got %s",
        layers,
        layersPerBlock);
    return network.withLayersPerBlock(layersPerBlock);
  }

  @Override
  public Weight get(String name, Shape shape) throws IOException {
    Optional<String> source = source(name);
    return source.isPresent()
        ? trained.get(source.get(), shape)
        : identity(name, initial.get(name, shape));
  }

  @Override
  public void checkNothingLeft() throws IOException {
    trained.checkNothingLeft();
  }

  /** Returns what a weight was called in the network before, if it was there. */
  private Optional<String> source(String name) {
    Matcher block = BLOCK.matcher(name);
    if (!block.matches()) {
      return Optional.of(name);
    }
    int index = Integer.parseInt(block.group(3));
    boolean down = block.group(2).equals("down");
    if (index < (down ? layers : 1)) {
      return Optional.of(name);
    }
    if (down || index <= more) {
      return Optional.empty();
    }
    return Optional.of(block.group(1) + (index - more) + block.group(4));
  }

  /**
   * Returns a weight of a block that does nothing: what it adds to its input is 0, and its input,
   * where a skip is appended to it, goes on without that.
   */
  private static Weight identity(String name, Weight start) {
    boolean shortcut = name.contains(".conv_shortcut.");
    if (!shortcut && !name.contains(".conv2.") && !name.contains(".to_out.")) {
      return start;
    }
    Shape shape = start.shape();
    FloatBuffer values = FloatBuffer.allocate(start.values().remaining());
    if (shortcut && name.endsWith("weight")) {
      // [1, 1, in, out]
      int outputs = (int) shape.get(3);
      for (int i = 0; i < outputs; i++) {
        values.put(i * outputs + i, 1);
      }
    }
    return new Weight(shape, values);
  }
}

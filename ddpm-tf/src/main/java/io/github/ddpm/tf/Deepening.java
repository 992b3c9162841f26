package io.github.ddpm.tf;

import com.google.common.collect.Maps;
import java.nio.FloatBuffer;
import java.util.Map;
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
final class Deepening {
  private static final Pattern BLOCK =
      Pattern.compile("((down|up)_blocks\\.\\d+\\.(?:resnets|attentions)\\.)(\\d+)(\\..*)");

  private Deepening() {}

  /**
   * The weights of the deeper network, each of which is looked up when it is asked for.
   *
   * @param weights of the network, in PyTorch's order of axes
   * @param layers residual blocks that it has at each level on the way down
   * @param initial weights that the deeper network would start from if nothing were known, in
   *     PyTorch's order of axes
   * @param more blocks at each level beyond those, at least 0
   */
  static Map<String, Weight> deepen(
      Map<String, Weight> weights, int layers, Map<String, Weight> initial, int more) {
    return Maps.transformEntries(
        initial,
        (name, start) ->
            source(name, layers, more).map(weights::get).orElseGet(() -> identity(name, start)));
  }

  /** What a weight was called in the network before, if it was there. */
  private static Optional<String> source(String name, int layers, int more) {
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
   * A weight of a block that does nothing: what it adds to its input is 0, and its input, where a
   * skip is appended to it, goes on without that.
   */
  private static Weight identity(String name, Weight start) {
    boolean shortcut = name.contains(".conv_shortcut.");
    if (!shortcut && !name.contains(".conv2.") && !name.contains(".to_out.")) {
      return start;
    }
    Shape shape = start.shape();
    FloatBuffer values = FloatBuffer.allocate(start.values().remaining());
    if (shortcut && name.endsWith("weight")) {
      int inputs = (int) shape.get(1);
      for (int i = 0; i < shape.get(0); i++) {
        values.put(i * inputs + i, 1);
      }
    }
    return new Weight(shape, values);
  }
}

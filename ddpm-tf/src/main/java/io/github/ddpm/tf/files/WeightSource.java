package io.github.ddpm.tf.files;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.tensorflow.ndarray.Shape;

/**
 * The weights that a network is filled with. The network asks for them one by one as it is built,
 * so that nobody else has to know which it has.
 */
public interface WeightSource {
  /**
   * Returns a weight.
   *
   * @param name as diffusers names it
   * @param shape in TensorFlow's order of axes
   * @return the weight in TensorFlow's order of axes; its values may be gone when the next is asked
   *     for
   * @throws IOException if there is none of that name and shape, or it can't be read; the message
   *     names the file and what is wrong
   */
  Weight get(String name, Shape shape) throws IOException;

  /** Returns the same for a function of a graph, which can't throw what {@link #get} does. */
  default Weight getUnchecked(String name, Shape shape) {
    try {
      return get(name, shape);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Checks that every weight was asked for.
   *
   * @throws IOException if one was not, so that it is part of another network; the message names it
   */
  void checkNothingLeft() throws IOException;
}

package io.github.ddpm.tf;

import org.tensorflow.Operand;
import org.tensorflow.types.family.TFloating;

/** What is done to hidden images in training, so that the network doesn't rely on any one value. */
@FunctionalInterface
interface Dropout {
  Dropout NONE = Dropout::same;

  /**
   * The images with a share of their values dropped.
   *
   * @param hidden [n, height, width, channels]
   */
  <T extends TFloating> Operand<T> apply(Operand<T> hidden);

  private static <T extends TFloating> Operand<T> same(Operand<T> hidden) {
    return hidden;
  }
}

package io.github.ddpm.tf;

import java.nio.ByteBuffer;
import java.util.List;

/**
 * Has the gradients of a training's steps computed by {@link GradientWorker workers}, wherever they
 * are; see {@link Trainer#computeGradientsBy}.
 */
@FunctionalInterface
public interface GradientSource {
  /**
   * Returns the gradients of a step. Whatever this throws ends training with it, after the last
   * step that was finished.
   *
   * @param weights of the network, as {@link GradientWorker#compute} takes them; they are a copy,
   *     which nobody changes
   * @param attempt number of steps taken or skipped before, for the workers
   * @param lossScale of all parts of the step, for the workers
   * @param parts how many parts the batch has, numbered from 0
   * @return one for each part, in their order, each with as many bytes as the weights
   */
  List<PartGradient> compute(ByteBuffer weights, long attempt, int lossScale, int parts);
}

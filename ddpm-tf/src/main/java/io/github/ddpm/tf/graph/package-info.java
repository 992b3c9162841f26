/**
 * The U-Net and the arithmetic of diffusion as functions from operands to operands, and TensorFlow
 * as they need it.
 *
 * <p>What the network consists of comes in two ways that compute the same: one operation of our own
 * in C++, or a chain of TensorFlow's. Of the activations ours have SiLU alone; what others follow
 * is normalized by TensorFlow's, and convolved by ours.
 *
 * <p>The code works around this in TensorFlow Java 1.1.0: gradients through {@code square} of a
 * variable bring the process down, so squares are products; the gradient of a gather adds up in an
 * order of its own, so class embeddings are products with one-hot rows; {@code applyAdam} adds ε
 * before it corrects the second moment, so ε is scaled to PyTorch's; names are counted in the
 * digits of the locale, so they are translated.
 */
package io.github.ddpm.tf.graph;

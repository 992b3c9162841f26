/**
 * Models on disk: the folders of diffusers, the safetensors format, the tensors that PyTorch
 * pickles, and the weights that a network asks for as it is built. Nothing in a file is believed
 * before it is checked.
 *
 * <p>{@code SaveFolder} writes: a save is a folder of its own, whole on the device before one
 * rename makes it the newest. {@code Snapshot} reads: all files of one save, each opened once.
 * Neither waits for the other.
 */
package io.github.ddpm.tf.files;

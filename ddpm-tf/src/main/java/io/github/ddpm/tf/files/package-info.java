/**
 * Models on disk: the folders of diffusers, the safetensors format, and the weights that a network
 * asks for as it is built. Nothing in a file is believed before it is checked.
 */
package io.github.ddpm.tf.files;

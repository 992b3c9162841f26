/** Diffusion models on TensorFlow Java: the U-Net, its training and sampling. */
package io.github.ddpm.tf;

/** Pictures to train on: MNIST, folders of pictures, and the order in which they are visited. */
package io.github.ddpm.tf.data;

/**
 * What comes over the network: files that are whole or not there, and the models of a hub. Nothing
 * that a server says is believed before it is checked.
 */
package io.github.ddpm.tf.net;

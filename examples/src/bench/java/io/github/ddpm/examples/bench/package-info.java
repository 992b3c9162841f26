/**
 * Times this library beside PyTorch and ONNX Runtime: the same network with the same weights, in
 * one process each, taken in turn. {@code Benchmark} is the command, a {@code Worker} is the
 * process of one {@code Contender}.
 */
package io.github.ddpm.examples.bench;

package io.github.ddpm.tf.files;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.tf.graph.UNetConfig;

/**
 * What a model is beside its weights.
 *
 * @param network its U-Net
 * @param info what sampling has to know of it
 * @param pipeline how it is sampled
 */
public record ModelConfig(UNetConfig network, ModelInfo info, PipelineScheduler pipeline) {}

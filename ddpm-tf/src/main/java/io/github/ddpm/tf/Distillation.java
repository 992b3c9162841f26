package io.github.ddpm.tf;

/**
 * What a model learns from models instead of from the data ({@link Trainer#distill}): to answer in
 * one call of its network what they answer in several.
 */
public sealed interface Distillation permits Autoguidance, ProgressiveDistillation {}

package io.github.ddpm.tf;

import java.time.Duration;

/**
 * How far training has come, told after each step.
 *
 * @param step steps taken, at least 1
 * @param totalSteps steps in all; 0 while not known yet
 * @param loss of the step
 * @param gradientNorm Euclidean norm of the step's gradient, before it is clipped; with local steps
 *     that of the last replica's last step
 * @param learningRate of the step
 * @param imagesPerSecond of the last steps
 * @param left estimated time until the last step; zero while not known yet
 * @param skipped steps that were not taken so far, because their loss or gradient was not finite
 */
public record TrainingProgress(
    long step,
    long totalSteps,
    double loss,
    double gradientNorm,
    double learningRate,
    double imagesPerSecond,
    Duration left,
    long skipped) {}

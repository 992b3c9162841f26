package io.github.ddpm.tf;

import java.time.Duration;

/**
 * How far training has come, told after each step.
 *
 * @param step steps taken, at least 1
 * @param totalSteps steps in all; 0 while not known yet
 * @param loss of the step
 * @param learningRate of the step
 * @param imagesPerSecond of the last steps
 * @param left estimated time until the last step; zero while not known yet
 */
public record TrainingProgress(
    long step,
    long totalSteps,
    double loss,
    double learningRate,
    double imagesPerSecond,
    Duration left) {}

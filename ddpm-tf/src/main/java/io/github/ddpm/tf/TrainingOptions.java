package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.Precision;

/**
 * How to train. {@link #defaults()} is a good start; each {@code with…} returns changed options.
 *
 * @param batchSize images per step, at least 1
 * @param microBatch images of a step that go through the network together, which bounds the memory;
 *     their gradients add up to that of the whole batch. At least 0; 0 is all of them
 * @param learningRate at its peak, above 0
 * @param warmupSteps steps over which the learning rate rises from 0 to its peak, at least 0
 * @param weightDecay of AdamW, at least 0
 * @param maxGradientNorm longer gradients are scaled to this length, above 0; infinity is off
 * @param minSnrGamma γ of the min-SNR weighting of the loss ({@link SchedulerOps#minSnrWeights}),
 *     by drawing the timesteps in proportion to it. At least 0; 0 is off, the paper recommends 5
 * @param emaMaxDecay most that the moving average of the weights keeps per step, in [0, 1)
 * @param emaPower how fast it gets there: after k steps it keeps min(emaMaxDecay, 1 - (1 +
 *     k)^-emaPower), above 0
 * @param labelDropout share of images trained without their label, in [0, 1]; only for networks
 *     with a null label
 * @param seed of the first weights, the order of the data, timesteps and noise
 * @param precision of hidden images and their gradients; null, as in options saved before there was
 *     a choice, is float32
 */
public record TrainingOptions(
    int batchSize,
    int microBatch,
    double learningRate,
    int warmupSteps,
    double weightDecay,
    double maxGradientNorm,
    double minSnrGamma,
    double emaMaxDecay,
    double emaPower,
    double labelDropout,
    long seed,
    Precision precision) {

  /**
   * Checks the ranges above.
   *
   * @throws IllegalArgumentException if a value is outside of its range
   */
  public TrainingOptions {
    checkArgument(batchSize >= 1, "batch size must be at least 1, got %s", batchSize);
    checkArgument(microBatch >= 0, "micro-batch must be at least 0, got %s", microBatch);
    checkArgument(
        learningRate > 0 && Double.isFinite(learningRate),
        "learning rate must be above 0, got %s",
        learningRate);
    checkArgument(warmupSteps >= 0, "warm-up steps must be at least 0, got %s", warmupSteps);
    checkArgument(
        weightDecay >= 0 && Double.isFinite(weightDecay),
        "weight decay must be at least 0, got %s",
        weightDecay);
    checkArgument(maxGradientNorm > 0, "gradient norm must be above 0, got %s", maxGradientNorm);
    checkArgument(minSnrGamma >= 0, "min-SNR gamma must be at least 0, got %s", minSnrGamma);
    checkArgument(
        emaMaxDecay >= 0 && emaMaxDecay < 1, "EMA decay must be in [0, 1), got %s", emaMaxDecay);
    checkArgument(emaPower > 0, "EMA power must be above 0, got %s", emaPower);
    checkArgument(
        labelDropout >= 0 && labelDropout <= 1,
        "label dropout must be in [0, 1], got %s",
        labelDropout);
    precision = precision == null ? Precision.FLOAT32 : precision;
  }

  /**
   * 128 images a step and at once, a learning rate of 1e-3 after 100 steps of warm-up, no weight
   * decay, gradients of at most 1, no min-SNR weighting, a moving average of up to 0.9999 with
   * power 3/4, a tenth of the labels dropped, seed 0, and the precision that is fastest on this
   * machine.
   */
  public static TrainingOptions defaults() {
    return new TrainingOptions(
        128, 0, 1e-3, 100, 0, 1, 0, 0.9999, 0.75, 0.1, 0, Kernels.fastestPrecision());
  }

  /** These options with another batch size. */
  public TrainingOptions withBatchSize(int images) {
    return new TrainingOptions(
        images,
        microBatch,
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        seed,
        precision);
  }

  /**
   * These options with so many images at once in the network, for batches that don't fit into the
   * memory; 0 is the whole batch.
   */
  public TrainingOptions withMicroBatch(int images) {
    return new TrainingOptions(
        batchSize,
        images,
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        seed,
        precision);
  }

  /**
   * These options with another learning rate at its peak, and another number of steps to get there.
   */
  public TrainingOptions withLearningRate(double peak, int warmup) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        peak,
        warmup,
        weightDecay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        seed,
        precision);
  }

  /** These options with another weight decay. */
  public TrainingOptions withWeightDecay(double decay) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        learningRate,
        warmupSteps,
        decay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        seed,
        precision);
  }

  /** These options with min-SNR weighting; 0 turns it off. */
  public TrainingOptions withMinSnrGamma(double gamma) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradientNorm,
        gamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        seed,
        precision);
  }

  /** These options with another share of labels dropped. */
  public TrainingOptions withLabelDropout(double share) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        share,
        seed,
        precision);
  }

  /** These options with another seed. */
  public TrainingOptions withSeed(long value) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        value,
        precision);
  }

  /** These options with another precision. */
  public TrainingOptions withPrecision(Precision value) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        learningRate,
        warmupSteps,
        weightDecay,
        maxGradientNorm,
        minSnrGamma,
        emaMaxDecay,
        emaPower,
        labelDropout,
        seed,
        value);
  }

  /**
   * The learning rate of a step: a linear rise, then half a cosine down to 0 at the last step
   * (Loshchilov and Hutter 2017, "SGDR", eq. 5).
   *
   * @param step steps taken before, at least 0
   * @param totalSteps of the whole training; 0 if not known yet, for a rate that stays at its peak
   */
  double learningRate(long step, long totalSteps) {
    if (step < warmupSteps) {
      return learningRate * (step + 1) / warmupSteps;
    }
    if (totalSteps <= warmupSteps) {
      return learningRate;
    }
    double done = Math.min(1, (double) (step - warmupSteps) / (totalSteps - warmupSteps));
    return learningRate * (1 + Math.cos(Math.PI * done)) / 2;
  }

  /** The share of the moving average that a step keeps; the first step keeps nothing. */
  double emaDecay(long step) {
    return Math.min(emaMaxDecay, 1 - Math.pow(1.0 + step, -emaPower));
  }
}

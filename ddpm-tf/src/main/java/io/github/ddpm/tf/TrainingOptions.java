package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import io.github.ddpm.Precision;
import io.github.ddpm.tf.graph.SchedulerOps;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.util.List;

/**
 * How to train. {@link #defaults()} is a good start; each {@code with…} returns changed options.
 *
 * @param batchSize images per step, at least 1
 * @param microBatch images of a step that go through the network together, which bounds the memory;
 *     their gradients add up to that of the whole batch. At least 0; 0 is as many as have the
 *     pixels of 64 images of 28x28 (of 512 on a GPU), several times side by side
 * @param localSteps steps that replicas of the network take by themselves before they are averaged,
 *     each on its {@code microBatch} images of every batch; see {@link #withLocalSteps}. At least
 *     0; 0 is no replicas
 * @param optimizer how weights follow the gradient
 * @param ema how the moving average follows the weights
 * @param minSnrGamma γ of the min-SNR weighting of the loss ({@link SchedulerOps#minSnrWeights}),
 *     by drawing the timesteps in proportion to it. At least 0; 0 is off, the paper recommends 5
 * @param labelDropout share of images trained without their label, in [0, 1]; only for networks
 *     with a null label
 * @param seed of the first weights, the order of the data, timesteps and noise
 * @param precision of hidden images and their gradients
 */
public record TrainingOptions(
    int batchSize,
    int microBatch,
    int localSteps,
    Optimizer optimizer,
    Ema ema,
    double minSnrGamma,
    double labelDropout,
    long seed,
    Precision precision) {

  /**
   * Checks the ranges.
   *
   * @param batchSize at least 1
   * @param microBatch at least 0; 0 leaves it to the library
   * @param localSteps at least 0; 0 is no replicas
   * @param optimizer not null
   * @param ema not null
   * @param minSnrGamma at least 0; 0 is off
   * @param labelDropout in [0, 1]
   * @param seed any number
   * @param precision not null
   * @throws IllegalArgumentException if a value is outside of its range
   */
  public TrainingOptions {
    requireNonNull(optimizer, "optimizer");
    requireNonNull(ema, "ema");
    requireNonNull(precision, "precision");
    checkArgument(batchSize >= 1, "batch size must be at least 1, got %s", batchSize);
    checkArgument(microBatch >= 0, "micro-batch must be at least 0, got %s", microBatch);
    checkArgument(localSteps >= 0, "local steps must be at least 0, got %s", localSteps);
    checkArgument(minSnrGamma >= 0, "min-SNR gamma must be at least 0, got %s", minSnrGamma);
    checkArgument(
        labelDropout >= 0 && labelDropout <= 1,
        "label dropout must be in [0, 1], got %s",
        labelDropout);
  }

  /** The rule by which weights follow the gradient. */
  public enum Method {
    /** AdamW (Loshchilov and Hutter 2019). */
    ADAMW,

    /**
     * Muon (Jordan et al. 2024) for matrices, convolutions among them: they follow the
     * orthogonalized momentum. Whatever else there is follows as by {@link #ADAMW}, embeddings of
     * classes and the first and last convolution too. Learning rates mean about the same as there
     * (Liu et al. 2025, "Muon is Scalable for LLM Training").
     */
    MUON
  }

  /**
   * How weights follow the gradient.
   *
   * @param learningRate at its peak, above 0 and finite
   * @param warmupSteps steps over which the learning rate rises from 0 to its peak, at least 0
   * @param weightDecay as AdamW has it, apart from the gradient, at least 0 and finite
   * @param maxGradientNorm longer gradients are scaled to this length, above 0; infinity is off
   * @param method that makes a step of a gradient
   */
  public record Optimizer(
      double learningRate,
      int warmupSteps,
      double weightDecay,
      double maxGradientNorm,
      Method method) {
    /**
     * Checks the ranges.
     *
     * @param learningRate above 0 and finite
     * @param warmupSteps at least 0
     * @param weightDecay at least 0 and finite
     * @param maxGradientNorm above 0; infinity is off
     * @param method not null
     * @throws IllegalArgumentException if a value is outside of its range
     */
    public Optimizer {
      requireNonNull(method, "method");
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
    }

    /**
     * Makes an optimizer by {@link Method#ADAMW}.
     *
     * @param learningRate above 0 and finite
     * @param warmupSteps at least 0
     * @param weightDecay at least 0 and finite
     * @param maxGradientNorm above 0; infinity is off
     * @throws IllegalArgumentException if a value is outside of its range
     */
    public Optimizer(
        double learningRate, int warmupSteps, double weightDecay, double maxGradientNorm) {
      this(learningRate, warmupSteps, weightDecay, maxGradientNorm, Method.ADAMW);
    }

    /**
     * Returns the learning rate of a step: it rises linearly to its peak, then falls to 0 along
     * half a cosine (Loshchilov and Hutter 2017, "SGDR", eq. 5).
     *
     * @param step steps taken before, at least 0
     * @param totalSteps of the whole training; 0 if not known yet, for a rate that stays at its
     *     peak
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
  }

  /**
   * How the moving average follows the weights: after k steps it keeps min(maxDecay, 1 - (1 +
   * k)^-power), as diffusers' {@code EMAModel} does.
   *
   * @param maxDecay most that it keeps per step, in [0, 1)
   * @param power how fast it gets there, above 0
   */
  public record Ema(double maxDecay, double power) {
    /**
     * Checks the ranges.
     *
     * @param maxDecay in [0, 1)
     * @param power above 0
     * @throws IllegalArgumentException if a value is outside of its range
     */
    public Ema {
      checkArgument(maxDecay >= 0 && maxDecay < 1, "EMA decay must be in [0, 1), got %s", maxDecay);
      checkArgument(power > 0, "EMA power must be above 0, got %s", power);
    }

    /** Returns the share of the moving average that a step keeps; the first step keeps nothing. */
    double decay(long step) {
      return Math.min(maxDecay, 1 - Math.pow(1.0 + step, -power));
    }
  }

  /**
   * {@return options of 128 images a step, AdamW, a learning rate of 1e-3 after 100 steps of
   * warm-up, no replicas, no weight decay, gradients of at most 1, no min-SNR weighting, a moving
   * average of up to 0.9999 with power 3/4, a tenth of the labels dropped, seed 0, and the
   * precision that is fastest on this machine}
   *
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     TensorFlowRuntime#graph}
   */
  public static TrainingOptions defaults() {
    return new TrainingOptions(
        128,
        0,
        0,
        new Optimizer(1e-3, 100, 0, 1),
        new Ema(0.9999, 0.75),
        0,
        0.1,
        0,
        TensorFlowRuntime.fastestPrecision());
  }

  /** Tells whether gradients may be rounded to 0, against which there is a {@link LossScale}. */
  boolean scalesLoss() {
    return precision == Precision.FLOAT16;
  }

  /** Returns the parts of a batch. */
  List<Part> parts() {
    return Part.of(batchSize, microBatch);
  }

  /** Refuses options whose gradients can't be computed elsewhere. */
  void checkHasParts() {
    checkHasParts("gradients are computed elsewhere by parts of a batch");
  }

  /** Refuses local steps of a single replica. */
  void checkHasReplicas() {
    if (localSteps > 0) {
      checkHasParts("local steps are taken by replicas, one for each part of a batch");
    }
  }

  private void checkHasParts(String why) {
    checkArgument(
        parts().size() > 1,
        "%s: microBatch must be in [1, %s], got %s",
        why,
        batchSize - 1,
        microBatch);
  }

  /**
   * {@return these options with another batch size}
   *
   * @param images per step, at least 1
   */
  public TrainingOptions withBatchSize(int images) {
    return new TrainingOptions(
        images, microBatch, localSteps, optimizer, ema, minSnrGamma, labelDropout, seed, precision);
  }

  /**
   * {@return these options with so many images at once in the network, and no others side by side,
   * for batches that don't fit into the memory}
   *
   * @param images at least 0; 0 leaves it to the library, which computes as many parts side by side
   *     as there are cores
   */
  public TrainingOptions withMicroBatch(int images) {
    return new TrainingOptions(
        batchSize, images, localSteps, optimizer, ema, minSnrGamma, labelDropout, seed, precision);
  }

  /**
   * {@return these options with replicas that take so many steps by themselves, from the same
   * weights on, and are then averaged: local SGD (Stich 2019, "Local SGD Converges Fast and
   * Communicates Little", algorithm 1), with AdamW in the place of SGD} A part of the batch, of
   * {@code microBatch} images, is one replica's batch, so it learns another training than that
   * without replicas: more local steps, less to send between machines, but replicas that have gone
   * further apart when they are averaged. One process computes the same, one replica after the
   * other.
   *
   * @param steps at least 0; 0 is no replicas: in every step the gradients of the parts are added
   */
  public TrainingOptions withLocalSteps(int steps) {
    return new TrainingOptions(
        batchSize, microBatch, steps, optimizer, ema, minSnrGamma, labelDropout, seed, precision);
  }

  /**
   * {@return these options with another optimizer}
   *
   * @param other not null
   */
  public TrainingOptions withOptimizer(Optimizer other) {
    return new TrainingOptions(
        batchSize, microBatch, localSteps, other, ema, minSnrGamma, labelDropout, seed, precision);
  }

  /**
   * {@return these options with another learning rate at its peak, and another number of steps to
   * get there}
   *
   * @param peak above 0 and finite
   * @param warmup steps over which the rate rises from 0, at least 0
   */
  public TrainingOptions withLearningRate(double peak, int warmup) {
    return withOptimizer(
        new Optimizer(
            peak, warmup, optimizer.weightDecay, optimizer.maxGradientNorm, optimizer.method));
  }

  /**
   * {@return these options with another weight decay}
   *
   * @param decay at least 0 and finite; 0 is off
   */
  public TrainingOptions withWeightDecay(double decay) {
    return withOptimizer(
        new Optimizer(
            optimizer.learningRate,
            optimizer.warmupSteps,
            decay,
            optimizer.maxGradientNorm,
            optimizer.method));
  }

  /**
   * {@return these options with gradients of another length at most}
   *
   * @param norm above 0; infinity is off
   */
  public TrainingOptions withMaxGradientNorm(double norm) {
    return withOptimizer(
        new Optimizer(
            optimizer.learningRate,
            optimizer.warmupSteps,
            optimizer.weightDecay,
            norm,
            optimizer.method));
  }

  /**
   * {@return these options with another rule by which weights follow the gradient}
   *
   * @param other not null
   */
  public TrainingOptions withMethod(Method other) {
    return withOptimizer(
        new Optimizer(
            optimizer.learningRate,
            optimizer.warmupSteps,
            optimizer.weightDecay,
            optimizer.maxGradientNorm,
            other));
  }

  /**
   * {@return these options with another moving average}
   *
   * @param other not null
   */
  public TrainingOptions withEma(Ema other) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        localSteps,
        optimizer,
        other,
        minSnrGamma,
        labelDropout,
        seed,
        precision);
  }

  /**
   * {@return these options with min-SNR weighting}
   *
   * @param gamma γ, at least 0; 0 turns it off, the paper recommends 5
   */
  public TrainingOptions withMinSnrGamma(double gamma) {
    return new TrainingOptions(
        batchSize, microBatch, localSteps, optimizer, ema, gamma, labelDropout, seed, precision);
  }

  /**
   * {@return these options with another share of labels dropped}
   *
   * @param share of images trained without their label, in [0, 1]; 0 for a network with classes and
   *     no null label
   */
  public TrainingOptions withLabelDropout(double share) {
    return new TrainingOptions(
        batchSize, microBatch, localSteps, optimizer, ema, minSnrGamma, share, seed, precision);
  }

  /**
   * {@return these options with another seed}
   *
   * @param value any number
   */
  public TrainingOptions withSeed(long value) {
    return new TrainingOptions(
        batchSize,
        microBatch,
        localSteps,
        optimizer,
        ema,
        minSnrGamma,
        labelDropout,
        value,
        precision);
  }

  /**
   * {@return these options with another precision}
   *
   * @param value of hidden images and their gradients; not null
   */
  public TrainingOptions withPrecision(Precision value) {
    return new TrainingOptions(
        batchSize, microBatch, localSteps, optimizer, ema, minSnrGamma, labelDropout, seed, value);
  }
}

package io.github.ddpm;

/** A solver whose order lets few steps do. */
interface FewSteps extends NoiseScheduler {
  @Override
  default int defaultSteps(int trainTimesteps) {
    return Math.min(20, trainTimesteps);
  }
}

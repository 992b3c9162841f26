package io.github.ddpm.examples;

import io.github.ddpm.BetaSchedule;

/**
 * Images of one pixel whose values are N(mean, sd²). What a perfect network answers is a formula,
 * and so is the solution of the probability flow ODE (Song et al. 2021, "Score-Based Generative
 * Modeling through Stochastic Differential Equations", section 4.3): it keeps the number of
 * standard deviations that x is from its mean.
 *
 * @param mean of the image
 * @param sd its standard deviation, above 0
 */
record GaussianData(double mean, double sd) {
  /** Returns E[x0|x], the best estimate of the image for an x with ᾱ = signal². */
  double image(double signal, double x) {
    return mean + signal * sd * sd * (x - signal * mean) / variance(signal * signal);
  }

  /** Returns where the ODE brings an x of the last timestep at another. */
  double solution(BetaSchedule schedule, double start, double timestep) {
    double last = schedule.alphaBar(schedule.timesteps() - 1.0);
    double here = schedule.alphaBar(timestep);
    return Math.sqrt(here) * mean
        + (start - Math.sqrt(last) * mean) * Math.sqrt(variance(here) / variance(last));
  }

  /** Returns the variance of x. */
  private double variance(double alphaBar) {
    return alphaBar * sd * sd + 1 - alphaBar;
  }
}

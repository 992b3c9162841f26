package io.github.ddpm;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.spi.Excerpt;

/**
 * What a network was trained to predict from {@code x = signal·x0 + noise·ε}. It is always {@code
 * fromNoise·ε + fromX0·x0}, two numbers per timestep, where signal is √ᾱ and noise is √(1-ᾱ).
 */
public enum PredictionType {
  /** The noise ε (Ho et al. 2020, eq. 14). */
  EPSILON("epsilon") {
    @Override
    public double fromNoise(double signal, double noise) {
      return 1;
    }

    @Override
    public double fromX0(double signal, double noise) {
      return 0;
    }
  },

  /**
   * The velocity v = signal·ε - noise·x0 (Salimans and Ho 2022, "Progressive Distillation", section
   * 4).
   */
  V_PREDICTION("v_prediction") {
    @Override
    public double fromNoise(double signal, double noise) {
      return signal;
    }

    @Override
    public double fromX0(double signal, double noise) {
      return -noise;
    }
  },

  /** The image x0 itself. */
  SAMPLE("sample") {
    @Override
    public double fromNoise(double signal, double noise) {
      return 0;
    }

    @Override
    public double fromX0(double signal, double noise) {
      return 1;
    }
  };

  private final String configName;

  PredictionType(String configName) {
    this.configName = configName;
  }

  /**
   * {@return the weight of ε in the target}
   *
   * @param signal √ᾱ, in [0, 1)
   * @param noise √(1-ᾱ), in (0, 1]
   */
  public abstract double fromNoise(double signal, double noise);

  /**
   * {@return the weight of x0 in the target}
   *
   * @param signal √ᾱ, in [0, 1)
   * @param noise √(1-ᾱ), in (0, 1]
   */
  public abstract double fromX0(double signal, double noise);

  /**
   * {@return the name in a diffusers {@code scheduler_config.json}, such as {@code v_prediction}}
   */
  public String configName() {
    return configName;
  }

  /**
   * {@return the type with that name in a configuration file}
   *
   * @param configName such as {@code v_prediction}
   * @throws IllegalArgumentException if there is none; the message lists those that exist
   */
  public static PredictionType ofConfigName(String configName) {
    for (PredictionType type : values()) {
      if (type.configName.equals(configName)) {
        return type;
      }
    }
    throw new IllegalArgumentException(
        "prediction type must be epsilon, v_prediction or sample, got " + Excerpt.of(configName));
  }

  /**
   * Refuses a timestep where x0 can't be had from this prediction, because x holds no signal, or so
   * little that the factor of the network's output is beyond what a float holds.
   */
  void checkSignal(double signal, double timestep) {
    checkArgument(
        this != EPSILON || signal == 0 || signal >= Float.MIN_NORMAL,
        "epsilon prediction needs signal at every timestep, but the schedule leaves %s of it at timestep %s, which is"
            + " too little for float32; its betas are too large or too many",
        signal,
        timestep);
    checkArgument(
        this != EPSILON || signal > 0,
        "epsilon prediction needs signal at every timestep, but the schedule has zero SNR at timestep %s;"
            + " use v_prediction or sample",
        timestep);
  }
}

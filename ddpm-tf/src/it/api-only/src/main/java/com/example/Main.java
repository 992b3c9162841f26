package com.example;

import io.github.ddpm.Sampler;

/** A project that has only ddpm-api is told what to add. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    try {
      Sampler.ddim(0.0).sample(1);
    } catch (IllegalStateException e) {
      if (e.getMessage().contains("io.github.ddpm:ddpm-tf")) {
        return;
      }
      throw e;
    }
    throw new AssertionError("sampled without anything that runs models");
  }
}

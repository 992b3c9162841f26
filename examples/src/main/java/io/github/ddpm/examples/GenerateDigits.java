package io.github.ddpm.examples;

import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Draws pictures with a trained model. */
@Command(
    name = "GenerateDigits",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = "Draws pictures with a trained model.")
public final class GenerateDigits implements Callable<Integer> {
  @Option(names = "--model", description = "folder of the model; default: the one in the library")
  private Path model;

  @Option(names = "--sampler", defaultValue = "ddim", description = SamplingOptions.SAMPLERS)
  private String sampler;

  @Option(
      names = "--eta",
      description = "share of DDPM's variance in DDIM, in [0, 1]; default: 0, deterministic")
  private Double eta;

  @Option(
      names = "--steps",
      description = "number of steps; default: 50 for ddim, all for ddpm, 20 for dpm-solver")
  private Integer steps;

  @Option(names = "--count", defaultValue = "64", description = "number of pictures")
  private int count;

  @Mixin private final SamplingOptions sampling = new SamplingOptions();

  @Option(
      names = "--out",
      defaultValue = "digits.png",
      description = "file to write, .png (a grid) or .npy")
  private Path out;

  GenerateDigits() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    Commands.main(new GenerateDigits(), args);
  }

  @Override
  public Integer call() throws Exception {
    Commands.checkPictures(count, out);
    Sampler configured =
        sampling.applyTo(SamplingOptions.sampler(sampler, SamplingOptions.SAMPLERS, eta), steps);
    long start = System.nanoTime();
    try (Predictor predictor = model == null ? Predictor.pretrained() : sampling.load(model)) {
      sampling.draw(configured.with(predictor), count, out, start);
    }
    return 0;
  }
}

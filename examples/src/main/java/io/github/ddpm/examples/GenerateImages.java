package io.github.ddpm.examples;

import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Draws pictures with any model folder of diffusers, as its pipeline would. */
@Command(
    name = "GenerateImages",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Draws pictures with a model folder that diffusers or this library saved, as its pipeline would.")
public final class GenerateImages implements Callable<Integer> {
  private static final String SAMPLERS = "own, " + SamplingOptions.SAMPLERS;

  @Option(names = "--model", required = true, description = "folder of the model")
  private Path model;

  @Option(
      names = "--sampler",
      defaultValue = "own",
      description = SAMPLERS + "; own is as the folder's scheduler_config.json says")
  private String sampler;

  @Option(
      names = "--steps",
      description =
          "number of steps; default: the pipeline's, 50 for ddim, all for ddpm, 20 for dpm-solver")
  private Integer steps;

  @Option(names = "--count", defaultValue = "16", description = "number of pictures")
  private int count;

  @Mixin private final SamplingOptions sampling = new SamplingOptions();

  @Option(
      names = "--out",
      defaultValue = "images.png",
      description = "file to write, .png (a grid) or .npy")
  private Path out;

  GenerateImages() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    Commands.main(new GenerateImages(), args);
  }

  @Override
  public Integer call() throws Exception {
    Commands.checkPictures(count, out);
    long start = System.nanoTime();
    try (Predictor predictor = sampling.load(model)) {
      sampling.draw(sampling.applyTo(sampler(predictor), steps), count, out, start);
    }
    return 0;
  }

  private Sampler sampler(Predictor predictor) {
    return sampler.equals("own")
        ? predictor.sampler()
        : SamplingOptions.sampler(sampler, SAMPLERS, null).with(predictor);
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Draws pictures with any model folder of diffusers, as its pipeline would. */
@Command(
    name = "GenerateImages",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Draws pictures with a model folder that diffusers or this library saved, as its pipeline would.")
public final class GenerateImages implements Callable<Integer> {
  @Option(names = "--model", required = true, description = "folder of the model")
  private Path model;

  @Option(
      names = "--sampler",
      defaultValue = "own",
      description = "own (as the folder's scheduler_config.json says), ddim or ddpm")
  private String sampler;

  @Option(
      names = "--steps",
      description = "number of steps; default: the pipeline's, 50 for ddim, all for ddpm")
  private Integer steps;

  @Option(names = "--count", defaultValue = "16", description = "number of pictures")
  private int count;

  @Option(
      names = "--labels",
      split = ",",
      description = "what to draw, such as 7 or 0,1,2; repeated as needed; default: anything")
  private int[] labels = {};

  @Option(
      names = "--guidance",
      defaultValue = "1",
      description = "how much more the labels weigh; 1 is off")
  private double guidance;

  @Option(
      names = "--precision",
      description = "float32 or bfloat16; by default the faster one on this machine")
  private Precision precision;

  @Option(names = "--seed", description = "for the same pictures again; default: a new one")
  private Long seed;

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
    long chosenSeed = seed != null ? seed : new SecureRandom().nextLong();
    long start = System.nanoTime();
    try (Predictor predictor =
        precision == null ? Predictor.load(model) : Predictor.load(model, precision)) {
      Sampler configured = sampler(predictor).labels(labels).guidance(guidance).seed(chosenSeed);
      if (steps != null) {
        configured = configured.steps(steps);
      }
      Images images = Bar.sample(configured, count);
      Commands.write(images, out);
    }
    System.out.printf(
        Locale.ROOT,
        "%s: %d pictures, seed %d, %.1f s%n",
        out,
        count,
        chosenSeed,
        (System.nanoTime() - start) / 1e9);
    return 0;
  }

  private Sampler sampler(Predictor predictor) {
    return switch (sampler) {
      case "own" -> predictor.sampler();
      case "ddim" -> Sampler.ddim(0).with(predictor);
      case "ddpm" -> Sampler.ddpm().with(predictor);
      default ->
          throw new IllegalArgumentException("--sampler must be own, ddim or ddpm, got " + sampler);
    };
  }
}

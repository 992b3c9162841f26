package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
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

  @Option(names = "--sampler", defaultValue = "ddim", description = "ddim or ddpm")
  private String sampler;

  @Option(
      names = "--eta",
      description = "share of DDPM's variance in DDIM, in [0, 1]; default: 0, deterministic")
  private Double eta;

  @Option(names = "--steps", description = "number of steps; default: 50 for ddim, all for ddpm")
  private Integer steps;

  @Option(names = "--count", defaultValue = "64", description = "number of pictures")
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
    long chosenSeed = seed != null ? seed : new SecureRandom().nextLong();
    Sampler configured = sampler().labels(labels).guidance(guidance).seed(chosenSeed);
    if (steps != null) {
      configured = configured.steps(steps);
    }
    long start = System.nanoTime();
    try (Predictor predictor = predictor()) {
      Images images = Bar.sample(configured.with(predictor), count);
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

  private Predictor predictor() throws IOException {
    if (model == null) {
      return Predictor.pretrained();
    }
    return precision == null ? Predictor.load(model) : Predictor.load(model, precision);
  }

  private Sampler sampler() {
    return switch (sampler) {
      case "ddim" -> Sampler.ddim(eta == null ? 0 : eta);
      case "ddpm" -> {
        if (eta != null) {
          throw new IllegalArgumentException("--eta is for --sampler ddim, got " + eta);
        }
        yield Sampler.ddpm();
      }
      default ->
          throw new IllegalArgumentException("--sampler must be ddim or ddpm, got " + sampler);
    };
  }
}

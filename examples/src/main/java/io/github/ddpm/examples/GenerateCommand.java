package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Help.Visibility;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The commands that draw pictures have this in common: options, and how they draw. */
abstract class GenerateCommand implements Callable<Integer> {
  /** DPM-Solver++ draws good pictures in so many steps. */
  private static final int FEW = 20;

  /** So many steps take long enough to say what takes less. */
  private static final int MANY = 100;

  @Option(
      names = "--labels",
      split = ",",
      showDefaultValue = Visibility.NEVER,
      description =
          "what to draw, by the names of the model's classes or by number, such as cat,dog or 0,1,2; repeated as needed;"
              + " default: anything")
  private String[] labels = {};

  @Option(
      names = "--null-label",
      description =
          "don't tell the model a class: by its null label, instead of labels as frequent as in the training data; not with --labels")
  private boolean nullLabel;

  @Option(
      names = "--guidance",
      defaultValue = "1",
      description = "how much more the labels weigh; 1 is off")
  private double guidance;

  @Option(
      names = "--precision",
      description =
          "float32, bfloat16 or, for GPUs, float16; by default the fastest one on this machine")
  private Precision precision;

  @Mixin private final SpacingOption spacing = new SpacingOption();

  @Option(names = "--seed", description = "for the same pictures again; default: a new one")
  private Long seed;

  @Option(names = "--count", description = "number of pictures")
  private int count;

  @Option(names = "--out", description = "file to write, .png (a grid) or .npy")
  private Path out;

  /**
   * Sets the defaults in which the commands differ.
   *
   * @param count number of pictures
   * @param out file to write
   */
  GenerateCommand(int count, Path out) {
    this.count = count;
    this.out = out;
  }

  /**
   * Draws, writes, and says what it took.
   *
   * @param model its folder, or the name of one in the library; null for {@code digits} there
   * @param named the sampler that was asked for; empty for the model's own
   * @param condition what the pictures are conditioned on, in turn; empty for nothing
   * @param steps number of steps; null for the sampler's own number
   * @return the exit code
   */
  final Integer draw(Path model, Optional<Sampler> named, Optional<Images> condition, Integer steps)
      throws IOException {
    checkPictures();
    spacing.of(steps);
    long usedSeed = seedToUse();
    long start = System.nanoTime();
    try (Predictor predictor = open(model, precision)) {
      checkChannels(predictor.info().channels());
      Sampler sampler = sampler(predictor, named, steps, usedSeed);
      Labels.announce(predictor.info(), labels);
      Sampler conditioned = condition.map(sampler::condition).orElse(sampler);
      boolean asked = named.isPresent() || steps != null;
      write(ProgressDisplay.sample(conditioned, count, rows -> asked ? "" : faster(rows)));
    }
    report(out.toString(), usedSeed, start);
    return 0;
  }

  /** Returns what to do about so many steps that nobody asked for; nothing if they are few. */
  private static String faster(int rows) {
    return rows < MANY
        ? ""
        : Commands.format(
            "drawing in %d steps, as the model's folder says; --sampler dpm-solver --steps %d is %d times as fast",
            rows, FEW, rows / FEW);
  }

  /** Returns the sampler that was asked for. */
  final Sampler sampler(
      Predictor predictor, Optional<Sampler> named, Integer steps, long usedSeed) {
    return sampler(predictor, named, steps, usedSeed, labels(predictor.info()));
  }

  /**
   * Returns the sampler that was asked for.
   *
   * @param asked what {@link #labels} returns
   */
  final Sampler sampler(
      Predictor predictor, Optional<Sampler> named, Integer steps, long usedSeed, int... asked) {
    Optional<Spacing> plan = spacing.of(steps);
    Sampler sampler =
        named
            .map(some -> some.with(predictor))
            .orElseGet(predictor::sampler)
            .labels(asked.length > 0 ? asked : Samplers.unasked(nullLabel))
            .guidance(guidance)
            .seed(usedSeed);
    return plan.map(sampler::spacing)
        .orElseGet(() -> steps == null ? sampler : sampler.steps(steps));
  }

  /** Returns the numbers of the classes that were asked for; none if none were. */
  final int[] labels(ModelInfo model) {
    return Labels.of(model, labels);
  }

  /** Tells whether classes were asked for. */
  final boolean hasLabels() {
    return labels.length > 0;
  }

  /** Returns the seed that was asked for, or a new one. */
  final long seedToUse() {
    return seed == null ? new SecureRandom().nextLong() : seed;
  }

  /** Returns the precision that was asked for, if any was. */
  final Optional<Precision> precision() {
    return Optional.ofNullable(precision);
  }

  final int count() {
    return count;
  }

  final Path out() {
    return out;
  }

  /**
   * Says what was drawn, and what it took.
   *
   * @param where it was written to
   */
  final void report(String where, long usedSeed, long start) {
    System.out.printf(
        Locale.ROOT,
        "%s: %d pictures, seed %d, %.1f s%n",
        where,
        count,
        usedSeed,
        (System.nanoTime() - start) / 1e9);
  }

  /** Does what {@link Commands#open(Path, Precision)} says; a command may know other ways. */
  Predictor open(Path model, Precision precision) throws IOException {
    return Commands.open(model, precision);
  }

  /** Refuses a number of pictures or a file for them that can't be, before they are drawn. */
  private void checkPictures() throws IOException {
    if (!isArray() && !out.toString().endsWith(".png")) {
      throw new IllegalArgumentException("--out must end in .png or .npy, got " + out);
    }
    checkRequest();
    Commands.checkWritable(out.toAbsolutePath().getParent());
  }

  /** Refuses what no picture can be drawn for. */
  final void checkRequest() {
    if (nullLabel && labels.length > 0) {
      throw new IllegalArgumentException("--null-label is for pictures without --labels");
    }
    if (count < 1) {
      throw new IllegalArgumentException("--count must be at least 1, got " + count);
    }
  }

  private void checkChannels(int channels) {
    if (!isArray() && channels > Images.MAX_CHANNELS) {
      throw new IllegalArgumentException(
          Commands.format(
              "--out must end in .npy for a model of %d channels, of which a PNG has at most %d, got %s",
              channels, Images.MAX_CHANNELS, out));
    }
  }

  private void write(Images images) throws IOException {
    if (isArray()) {
      images.writeNpy(out);
    } else {
      images.writeGrid(out);
    }
  }

  private boolean isArray() {
    return out.toString().endsWith(".npy");
  }
}

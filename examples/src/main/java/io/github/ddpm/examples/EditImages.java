package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Visibility;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Draws pictures that start from pictures. */
@Command(
    name = "EditImages",
    mixinStandardHelpOptions = true,
    description = "Draws pictures that start from pictures, with any model.",
    subcommands = {
      EditImages.Vary.class,
      EditImages.Invert.class,
      EditImages.Between.class,
      EditImages.Inpaint.class,
      EditImages.Denoise.class
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} vary --from photo.png --out others.png",
      "  ${COMMAND-FULL-NAME} denoise --count 16 --out denoise.gif"
    })
public final class EditImages implements Callable<Integer> {
  private static final Duration FRAME = Duration.ofMillis(100);

  EditImages() {}

  /** Runs a command; {@code --help} lists them. */
  public static void main(String... args) {
    Commands.drawing(new EditImages(), args);
  }

  @Override
  public Integer call() {
    throw new IllegalArgumentException(
        "which command? vary, invert, between, inpaint or denoise; --help says what they do");
  }

  /** What all of them are told. */
  static final class Common {
    @Option(names = "--model", description = "folder of the model, or " + Commands.LIBRARY)
    private Path model;

    @Option(
        names = "--precision",
        description = "float32, bfloat16 or, for GPUs, float16; default: the fastest one")
    private Precision precision;

    @Option(
        names = "--labels",
        split = ",",
        showDefaultValue = Visibility.NEVER,
        description =
            "what to draw, by the names of the model's classes or by number, repeated as needed; default: whatever the"
                + " picture is, by the null label of a model that has one")
    private String[] labels = {};

    @Option(names = "--seed", description = "for the same pictures again; default: a new one")
    private Long seed;

    @Option(names = "--steps", description = "number of steps; default: the solver's")
    private Integer steps;

    @Option(names = "--out", required = true, description = "file to write")
    private Path out;

    Predictor open() throws IOException {
      Commands.checkWritable(out.toAbsolutePath().getParent());
      return Commands.open(model, precision);
    }

    /** Returns a sampler with that solver, set up as asked. */
    Sampler sampler(NoiseScheduler solver, Predictor predictor) {
      // A label that is drawn for it would make another picture of the one that is there.
      int[] asked =
          labels.length > 0
              ? Labels.of(predictor.info(), labels)
              : Samplers.unasked(predictor.info().nullLabel());
      Sampler sampler = Sampler.of(solver).with(predictor).labels(asked);
      Sampler seeded = seed == null ? sampler : sampler.seed(seed);
      return steps == null ? seeded : seeded.steps(steps);
    }

    boolean isGif() {
      return out.toString().endsWith(".gif");
    }

    void check(String... endings) {
      if (List.of(endings).stream().noneMatch(out.toString()::endsWith)) {
        throw new IllegalArgumentException(
            "--out must end in " + String.join(" or ", endings) + ", got " + out);
      }
    }

    void writeGrid(Images images, int columns) throws IOException {
      Commands.replace(out, Pictures.png(images.toGrid(columns)));
      System.out.println(out + ": " + images.count() + " pictures");
    }
  }

  /** Makes variations of pictures. */
  @Command(
      name = "vary",
      mixinStandardHelpOptions = true,
      showDefaultValues = true,
      description = "Adds noise to pictures and takes it away again: others that look like them.",
      footerHeading = Commands.EXAMPLES,
      footer = {
        "  ${COMMAND-FULL-NAME} --from photo.png --out others.png",
        "  ${COMMAND-FULL-NAME} --from 1.png,2.png --strength 0.3 --out others.png"
      })
  static final class Vary implements Callable<Integer> {
    @Mixin private Common common;

    @Option(
        names = "--from",
        split = ",",
        required = true,
        description = "PNG files of the size that the model draws")
    private Path[] from;

    @Option(
        names = "--strength",
        defaultValue = "0.5",
        description = "how much of them goes: 0 is nothing, 1 is all")
    private double strength;

    @Option(names = "--count", defaultValue = "8", description = "number of pictures of each")
    private int count;

    Vary() {}

    @Override
    public Integer call() throws IOException {
      common.check(".png");
      Images images = Images.readPng(from);
      try (Predictor predictor = common.open()) {
        Sampler sampler = common.sampler(NoiseScheduler.ddim(1), predictor).from(images, strength);
        // Of each picture the original comes first.
        Images varied = ProgressDisplay.sample(sampler, Math.multiplyExact(count, from.length));
        List<Images> rows = new ArrayList<>();
        for (int i = 0; i < from.length; i++) {
          rows.add(images.slice(i, i + 1));
          for (int k = 0; k < count; k++) {
            rows.add(varied.slice(k * from.length + i, k * from.length + i + 1));
          }
        }
        common.writeGrid(Pictures.concat(rows), count + 1);
      }
      return 0;
    }
  }

  /** Finds the noise of pictures, and draws them of it again. */
  @Command(
      name = "invert",
      mixinStandardHelpOptions = true,
      description =
          "Finds the noise that DDIM would have made pictures of, and makes them of it again: originals, noise, and what came back.",
      footerHeading = Commands.EXAMPLES,
      footer = {
        "  ${COMMAND-FULL-NAME} --from photo.png --out inverted.png",
        "  ${COMMAND-FULL-NAME} --from 1.png,2.png --steps 100 --out inverted.png"
      })
  static final class Invert implements Callable<Integer> {
    @Mixin private Common common;

    @Option(
        names = "--from",
        split = ",",
        required = true,
        description = "PNG files of the size that the model draws")
    private Path[] from;

    Invert() {}

    @Override
    public Integer call() throws IOException {
      common.check(".png");
      Images images = Images.readPng(from);
      try (Predictor predictor = common.open()) {
        Images noise =
            ProgressDisplay.sample(
                common.sampler(NoiseScheduler.ddimInverse(), predictor).startingAt(images),
                from.length);
        Images back =
            ProgressDisplay.sample(
                common.sampler(NoiseScheduler.ddim(0), predictor).startingAt(noise), from.length);
        common.writeGrid(Pictures.concat(List.of(images, noise, back)), from.length);
        System.out.printf(
            "mean absolute difference %s, of pixels in [-1, 1]%n",
            Commands.format("%.4f", Pictures.difference(images, back)));
      }
      return 0;
    }
  }

  /** Goes from one picture to another. */
  @Command(
      name = "between",
      mixinStandardHelpOptions = true,
      showDefaultValues = true,
      description =
          "Goes from one picture to another, through what the model makes of the noise between.",
      footerHeading = Commands.EXAMPLES,
      footer = {
        "  ${COMMAND-FULL-NAME} --from 1.png,2.png --out between.png",
        "  ${COMMAND-FULL-NAME} --from 1.png,2.png --frames 30 --out between.gif"
      })
  static final class Between implements Callable<Integer> {
    @Mixin private Common common;

    @Option(
        names = "--from",
        split = ",",
        showDefaultValue = Visibility.NEVER,
        description = "two PNG files of the size that the model draws; default: two that are drawn")
    private Path[] from = {};

    @Option(names = "--frames", defaultValue = "9", description = "number of pictures, at least 2")
    private int frames;

    Between() {}

    @Override
    public Integer call() throws IOException {
      common.check(".png", ".gif");
      if (common.labels.length > 1) {
        throw new IllegalArgumentException(
            "--labels must be one for all pictures between, got " + common.labels.length);
      }
      if (frames < 2 || (from.length != 0 && from.length != 2)) {
        throw new IllegalArgumentException(
            frames < 2
                ? "--frames must be at least 2, got " + frames
                : "--from must be 2 files, got " + from.length);
      }
      try (Predictor predictor = common.open()) {
        Sampler sampler = common.sampler(NoiseScheduler.ddim(0), predictor);
        Images ends =
            from.length == 0
                ? sampler.noise(2)
                : common
                    .sampler(NoiseScheduler.ddimInverse(), predictor)
                    .startingAt(Images.readPng(from))
                    .sample(2);
        List<Images> between =
            IntStream.range(0, frames)
                .mapToObj(i -> ends.slice(0, 1).slerp(ends.slice(1, 2), (double) i / (frames - 1)))
                .toList();
        Images drawn = ProgressDisplay.sample(sampler.startingAt(Pictures.concat(between)), frames);
        if (common.isGif()) {
          AnimatedGif.write(common.out, Pictures.each(drawn), FRAME);
          System.out.println(common.out + ": " + frames + " pictures");
        } else {
          common.writeGrid(drawn, frames);
        }
      }
      return 0;
    }
  }

  /** Draws a part of pictures. */
  @Command(
      name = "inpaint",
      mixinStandardHelpOptions = true,
      showDefaultValues = true,
      description = "Draws the part of a picture that a mask shows white; the rest stays as it is.",
      footerHeading = Commands.EXAMPLES,
      footer = {
        "  ${COMMAND-FULL-NAME} --from photo.png --mask mask.png --out whole.png",
        "  ${COMMAND-FULL-NAME} --from photo.png --mask mask.png --count 16 --out whole.png"
      })
  static final class Inpaint implements Callable<Integer> {
    @Mixin private Common common;

    @Option(
        names = "--from",
        required = true,
        description = "a PNG file of the size that the model draws")
    private Path from;

    @Option(
        names = "--mask",
        required = true,
        description = "a PNG file of that size: white is drawn, what is black or transparent stays")
    private Path mask;

    @Option(
        names = "--jump",
        defaultValue = "10",
        description = "how many steps RePaint goes back at a time")
    private int jump;

    @Option(
        names = "--resamplings",
        defaultValue = "10",
        description = "how often it goes through each step; 1 is DDPM")
    private int resamplings;

    @Option(names = "--count", defaultValue = "8", description = "number of pictures")
    private int count;

    Inpaint() {}

    @Override
    public Integer call() throws IOException {
      common.check(".png");
      Images image = Images.readPng(from);
      Images where = Pictures.mask(Images.readPng(mask));
      try (Predictor predictor = common.open()) {
        Sampler sampler =
            common
                .sampler(NoiseScheduler.rePaint(jump, resamplings), predictor)
                .inpainting(image, where);
        Images painted = ProgressDisplay.sample(sampler, count);
        common.writeGrid(
            Pictures.concat(List.of(Pictures.masked(image, where), painted)), count + 1);
      }
      return 0;
    }
  }

  /** Shows how pictures come out of noise. */
  @Command(
      name = "denoise",
      mixinStandardHelpOptions = true,
      showDefaultValues = true,
      description = "Shows the estimate of the pictures after each step, as an animation.",
      footerHeading = Commands.EXAMPLES,
      footer = {
        "  ${COMMAND-FULL-NAME} --out denoise.gif",
        "  ${COMMAND-FULL-NAME} --count 16 --steps 20 --out denoise.gif"
      })
  static final class Denoise implements Callable<Integer> {
    @Mixin private Common common;

    @Option(names = "--count", defaultValue = "16", description = "number of pictures, at most 64")
    private int count;

    Denoise() {}

    @Override
    public Integer call() throws IOException {
      common.check(".gif");
      // More would be worked off in several batches, of which each has all steps.
      if (count < 1 || count > 64) {
        throw new IllegalArgumentException("--count must be in [1, 64], got " + count);
      }
      int columns = (int) Math.ceil(Math.sqrt(count));
      List<BufferedImage> estimates = new ArrayList<>();
      try (Predictor predictor = common.open()) {
        common
            .sampler(NoiseScheduler.ddim(0), predictor)
            .listener(
                progress -> {
                  if (progress.x0().count() < count) {
                    throw new IllegalArgumentException(
                        "--count must be at most "
                            + progress.x0().count()
                            + " for pictures of this size, got "
                            + count);
                  }
                  return estimates.add(progress.x0().toGrid(columns));
                })
            .sample(count);
      }
      AnimatedGif.write(common.out, estimates, FRAME);
      System.out.println(common.out + ": " + estimates.size() + " steps");
      return 0;
    }
  }
}

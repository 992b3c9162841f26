package io.github.ddpm.examples;

import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Visibility;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Draws pictures with any model folder of diffusers, as its pipeline would. */
@Command(
    name = "GenerateImages",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Draws pictures with a model folder that diffusers or this library saved, as its pipeline would, or digits with"
            + " the model in the library.",
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --count 64 --seed 1 --out digits.png",
      "  ${COMMAND-FULL-NAME} --model model --sampler dpm-solver --steps 20"
    })
public final class GenerateImages extends GenerateCommand {
  private static final String OWN = "own";

  /** Trainings write there unless they are told otherwise. */
  private static final Path TRAINED = Path.of(TrainingCommand.OUT);

  @Option(
      names = "--model",
      description =
          "folder of the model, hub:OWNER/NAME or hub:OWNER/NAME@REVISION for one on a hub, or "
              + Commands.LIBRARY
              + "; default: digits")
  private Path model;

  @Option(
      names = "--sampler",
      completionCandidates = Samplers.Names.class,
      description =
          OWN
              + ", ${COMPLETION-CANDIDATES}; own is as the folder's scheduler_config.json says, and with --schedule"
              + " ddpm; default: own, or ddim for a model in the library")
  private String sampler;

  @Option(
      names = "--eta",
      description = "share of DDPM's variance in DDIM, in [0, 1]; default: 0, deterministic")
  private Double eta;

  @Option(
      names = "--steps",
      description =
          "number of steps; default: the pipeline's, 50 for ddim and euler, all for ddpm, 20 for the others")
  private Integer steps;

  @Option(
      names = "--condition",
      split = ",",
      showDefaultValue = Visibility.NEVER,
      description =
          "PNG files that the pictures are conditioned on, in turn, for a model that takes such, of the size that it draws")
  private Path[] condition = {};

  @Option(
      names = "--schedule",
      description =
          "noise that the network was trained with, for a folder that doesn't say it, such as unet_ema/ of a checkpoint;"
              + " goes with --prediction: "
              + Noise.SCHEDULES)
  private String schedule;

  @Option(names = "--prediction", description = "what that network predicts: " + Noise.PREDICTIONS)
  private String prediction;

  @Option(
      names = "--spark",
      paramLabel = "<master>",
      description =
          "draw on the Spark cluster of this master, into files of --format in the folder --out")
  private String spark;

  @Option(
      names = "--format",
      description =
          "parquet or npy: with --spark, rows of index, label and PNG, or floats as files of NumPy; default: parquet")
  private Cluster.Format format;

  @Spec private CommandSpec spec;

  GenerateImages() {
    super(16, Path.of("images.png"));
  }

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.drawing(new GenerateImages(), args);
  }

  @Override
  public Integer call() throws IOException {
    Noise.checkBoth(schedule, prediction);
    if (spark != null) {
      return drawOnSpark();
    }
    if (format != null) {
      throw new IllegalArgumentException("--format needs --spark; else --out says what is written");
    }
    warnOfDigits();
    Optional<Images> given =
        condition.length == 0 ? Optional.empty() : Optional.of(Images.readPng(condition));
    return draw(model, named(), given, steps);
  }

  /** Whoever has just trained may take that model for the default. */
  private void warnOfDigits() {
    if (model == null && Files.exists(TRAINED.resolve("model_index.json"))) {
      TrainingRun.warn(
          Commands.format(
              "these are digits of the model in the library; --model %s draws with the one in that folder",
              TRAINED));
    }
  }

  private Optional<Sampler> named() {
    String name = sampler != null ? sampler : Commands.isInLibrary(model) ? "ddim" : OWN;
    if (name.equals(OWN) && eta == null) {
      return Optional.empty();
    }
    return Optional.of(Samplers.of(name, eta, OWN));
  }

  private int drawOnSpark() throws IOException {
    if (schedule != null || condition.length > 0) {
      throw new IllegalArgumentException(
          "--spark is for whole models, without --schedule and --condition");
    }
    checkRequest();
    Cluster.Format written = format == null ? Cluster.Format.PARQUET : format;
    checkEnding(written);
    named();
    String where = asGiven(out());
    long seed = seedToUse();
    long start = System.nanoTime();
    Path local = ModelOnHub.local(model);
    int[] labels = labels(local);
    try (Cluster cluster = Cluster.open(spark)) {
      List<String> arguments = new ArrayList<>(ownArguments());
      arguments.addAll(List.of("--seed", String.valueOf(seed)));
      cluster.draw(
          local, precision(), labels, arguments.toArray(new String[0]), count(), written, where);
    }
    report(where, seed, start);
    return 0;
  }

  /** Asks the model for the numbers of classes here, before a cluster starts. */
  private int[] labels(Path local) throws IOException {
    if (!hasLabels()) {
      return new int[0];
    }
    try (Predictor predictor = open(local, precision().orElse(null))) {
      return labels(predictor.info());
    }
  }

  /** Returns what was said to this command, without its name where it is one of several. */
  private List<String> ownArguments() {
    List<String> all = spec.commandLine().getParseResult().originalArgs();
    return spec.parent() == null ? all : all.subList(1, all.size());
  }

  /** Refuses a name that promises other files than there will be. */
  private void checkEnding(Cluster.Format written) {
    String name = out().toString().toLowerCase(Locale.ROOT);
    String extension = written.name().toLowerCase(Locale.ROOT);
    for (String other : List.of("png", "npy", "parquet")) {
      if (name.endsWith("." + other) && !other.equals(extension)) {
        throw new IllegalArgumentException(
            "--out must not end in .%s for a folder of --format %s, got %s"
                .formatted(other, extension, out()));
      }
    }
  }

  /** A URL is no path: two slashes of it would become one. */
  private String asGiven(Path out) {
    List<String> given = spec.optionsMap().get("--out").originalStringValues();
    return given.isEmpty() ? out.toString() : given.get(given.size() - 1);
  }

  /**
   * Returns the sampler of a command line, for an executor.
   *
   * @param labels numbers of the classes that the arguments ask for; none if they ask for none
   * @param arguments of which the last of equal ones counts
   */
  static Sampler sampler(Predictor predictor, int[] labels, String... arguments) {
    GenerateImages command = new GenerateImages();
    Commands.line(command).setOverwrittenOptionsAllowed(true).parseArgs(arguments);
    return command.sampler(predictor, command.named(), command.steps, command.seedToUse(), labels);
  }

  @Override
  Predictor open(Path folder, Precision precision) throws IOException {
    if (schedule != null) {
      return Commands.open(
          folder, Noise.schedule(schedule), Noise.prediction(prediction), precision);
    }
    try {
      return super.open(folder, precision);
    } catch (NoSuchFileException e) {
      throw Noise.explained(e);
    }
  }
}

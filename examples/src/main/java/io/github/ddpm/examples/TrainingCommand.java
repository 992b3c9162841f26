package io.github.ddpm.examples;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.examples.measures.FeatureNetwork;
import io.github.ddpm.tf.Autoguidance;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** The training commands have this in common: the options, and the training that they ask for. */
final class TrainingCommand {
  /** The model is written there unless another folder is named. */
  static final String OUT = "model";

  private static final double DEFAULT_MINUTES = 15;
  private static final double GUIDE_WEIGHT = 1.5;

  /** A training of at most so many minutes, or epochs, is short. */
  private static final double SHORT_MINUTES = 15;

  private static final double SHORT_EPOCHS = 2;

  /** Channels are normalized in so many groups. */
  private static final int GROUPS = 8;

  /** Help says of a network that makes features what it has to be. */
  static final String FEATURES =
      "a TensorFlow SavedModel that you trust, with one input, float [n, height, width, 1 or 3], which gets values in"
          + " [-1, 1], and one output, float [n, features]";

  private static final int MAX_MINUTES = 365 * 24 * 60;

  @Option(
      names = "--out",
      defaultValue = OUT,
      description = "folder of the model (${DEFAULT-VALUE})")
  Path out;

  @Option(
      names = "--prediction",
      description =
          "what the network learns to predict: " + Noise.PREDICTIONS + "; default: v_prediction")
  String prediction;

  @Option(names = "--schedule", description = "noise: " + Noise.SCHEDULES + "; default: cosine")
  String schedule;

  @Option(
      names = "--channels",
      split = ",",
      description =
          "channels at each level of the network, finest first, multiples of 8; default: 32,64,64 up to 32 pixels,"
              + " 32,64,128,128 up to 64")
  Integer[] channels;

  @Option(
      names = "--layers",
      description =
          "residual blocks at each level; default: 1, or as many as the model of --from has, which new ones make deeper")
  Integer layers;

  @Option(
      names = "--from",
      description =
          "folder of a model to start from, which also decides channels, prediction and schedule; with both --prediction"
              + " and --schedule, of a network that was saved alone, such as unet_ema/ of a checkpoint")
  Path from;

  @Option(
      names = "--guide",
      description =
          "folder of a model that was trained less than that of --from and guides it: what the two predict together is"
              + " learned, instead of the data; both must stay as they are until training is done")
  Path guide;

  @Option(
      names = "--guide-weight",
      description = "how far to go from the guide's prediction through the model's; default: 1.5")
  Double guideWeight;

  @Option(names = "--epochs", description = "how often to go through the data")
  Double epochs;

  @Option(names = "--minutes", description = "how long to train, instead of --epochs; default: 15")
  Double minutes;

  @Option(
      names = "--batch",
      description = "images a step; default: 64, or 32 of digits in a short training")
  Integer batch;

  @Option(
      names = "--micro-batch",
      description =
          "images of a step that go through the network at once, for batches that don't fit the memory; default: 64 of 28x28 on each core, or as many pixels")
  Integer microBatch;

  @Option(
      names = "--local-steps",
      description =
          "steps that replicas take by themselves, one for each part of --micro-batch images, before they are averaged:"
              + " another training, with less to send between machines; default: 0, no replicas")
  Integer localSteps;

  @Option(
      names = "--optimizer",
      description =
          "how weights follow the gradient: adamw, or muon, which gets further in as many steps and takes the same learning"
              + " rates; default: adamw, or muon for digits in a short training")
  TrainingOptions.Method optimizer;

  @Option(names = "--learning-rate", description = "at its peak")
  Double learningRate;

  @Option(
      names = "--label-dropout",
      description =
          "share of images trained without their label, so that the model can sample by the null label and with guidance")
  Double labelDropout;

  @Option(
      names = "--min-snr",
      description =
          "gamma of the loss's min-SNR weighting, by which timesteps that matter less are drawn less often; 0 is off")
  Double minSnrGamma;

  @Option(
      names = "--precision",
      description =
          "float32, bfloat16 or, for GPUs, float16; by default the fastest one on this machine")
  Precision precision;

  @Option(names = "--seed", description = "of all randomness; default: a new one")
  Long seed;

  @Option(
      names = "--save-every",
      paramLabel = "<minutes>",
      defaultValue = "3",
      description = "minutes from one save to the next (${DEFAULT-VALUE}); goes with --resume")
  double saveEvery;

  @Option(
      names = "--keep",
      paramLabel = "<saves>",
      defaultValue = "2",
      description =
          "how many saves are kept, so that one is there if the newest is damaged (${DEFAULT-VALUE}); goes with --resume")
  int keep;

  @Option(
      names = "--keep-every",
      paramLabel = "<steps>",
      description =
          "steps from one snapshot to the next, each a model in --out/snapshots that stays; default: none; goes with"
              + " --resume")
  Integer keepEvery;

  @Option(
      names = "--measure-every",
      paramLabel = "<steps>",
      description =
          "steps from one Fréchet distance to the next, of 1000 pictures, or half of --data; by the features of a"
              + " classifier of MNIST's digits, or of --features; default: none; goes with --resume")
  Integer measureEvery;

  @Option(
      names = "--features",
      paramLabel = "<folder>",
      description = "what --measure-every measures by: " + FEATURES + "; goes with --resume")
  Path features;

  @Option(
      names = "--spark",
      paramLabel = "<master>",
      description =
          "compute the parts of each step, of --micro-batch images, or train the replicas of --local-steps, on the Spark cluster of this master; goes with --resume")
  String spark;

  @Option(
      names = "--resume",
      description = "go on with the training in --out, with the options it was started with")
  boolean resume;

  /** Refuses options that don't fit together, before work is put into anything. */
  void check() throws IOException {
    if (epochs != null && minutes != null) {
      throw new IllegalArgumentException("give either --epochs or --minutes, got both");
    }
    if (minutes != null && !(minutes > 0 && minutes <= MAX_MINUTES)) {
      throw new IllegalArgumentException(
          "--minutes must be above 0 and at most " + MAX_MINUTES + ", got " + minutes);
    }
    if (!(saveEvery > 0 && saveEvery <= MAX_MINUTES)) {
      throw new IllegalArgumentException(
          "--save-every must be above 0 and at most " + MAX_MINUTES + ", got " + saveEvery);
    }
    checkAtLeastOne("--keep-every", keepEvery);
    checkAtLeastOne("--measure-every", measureEvery);
    if (features != null && measureEvery == null) {
      throw new IllegalArgumentException("--features is for --measure-every, which is missing");
    }
    if (keep < 1) {
      throw new IllegalArgumentException("--keep must be at least 1, got " + keep);
    }
    if (epochs != null && !(epochs > 0 && Double.isFinite(epochs))) {
      throw new IllegalArgumentException("--epochs must be above 0, got " + epochs);
    }
    if (resume && (optionsGiven() || epochs != null)) {
      throw new IllegalArgumentException(
          "--resume goes on with the options that training was started with: none that say how to train can go with it");
    }
    for (Integer count : channels == null ? new Integer[0] : channels) {
      if (count < GROUPS || count % GROUPS != 0) {
        throw new IllegalArgumentException("--channels must be multiples of 8, got " + count);
      }
    }
    if (localSteps != null && localSteps < 0) {
      throw new IllegalArgumentException("--local-steps must be at least 0, got " + localSteps);
    }
    if (localSteps != null && localSteps > 0 && microBatch == null) {
      throw new IllegalArgumentException(
          "--local-steps needs --micro-batch: a replica learns from so many images of a step");
    }
    if (from != null) {
      checkFrom();
    }
    if (guide != null && (from == null || layers != null)) {
      throw new IllegalArgumentException(
          "--guide guides the model of --from, whose network stays as it is: give --from, and no --layers");
    }
    if (guideWeight != null && guide == null) {
      throw new IllegalArgumentException("--guide-weight needs --guide");
    }
    if (guideWeight != null && !(guideWeight > 1 && Double.isFinite(guideWeight))) {
      throw new IllegalArgumentException("--guide-weight must be above 1, got " + guideWeight);
    }
    checkKeepsTheTeacher(out);
    if (Files.exists(out)) {
      Commands.checkWritable(out);
    }
    checkPlace();
    predictionType();
    noise();
    if (features != null) {
      // A network that doesn't fit is refused before pictures are read.
      FeatureNetwork.load(features).close();
    }
  }

  private static void checkAtLeastOne(String option, Integer steps) {
    if (steps != null && steps < 1) {
      throw new IllegalArgumentException(option + " must be at least 1, got " + steps);
    }
  }

  /** Refuses to measure pictures other than digits by the classifier of digits. */
  void checkFeatures() {
    if (measureEvery != null && features == null) {
      throw new IllegalArgumentException(
          "--measure-every measures digits by the features of a classifier of MNIST: for other pictures, name a network"
              + " with --features, or leave it out");
    }
  }

  private void checkFrom() {
    if (channels != null) {
      throw new IllegalArgumentException("--from takes channels from the model; leave them out");
    }
    Noise.checkBoth(schedule, prediction);
    if (schedule != null && (layers != null || guide != null)) {
      throw new IllegalArgumentException(
          "with --from, --schedule and --prediction are of a network without them, which neither --layers nor --guide"
              + " can go with");
    }
  }

  /**
   * Refuses a new training in the place of one that is there, or that was there before a crash, and
   * to go on with one that is not.
   */
  private void checkPlace() throws IOException {
    List<Path> places = new ArrayList<>(List.of(out));
    if (Files.isDirectory(out.resolve("saves"))) {
      try (Stream<Path> saves = Files.list(out.resolve("saves"))) {
        saves.forEach(places::add);
      }
    }
    boolean there = places.stream().anyMatch(place -> Files.exists(place.resolve("training")));
    if (!resume && there) {
      throw new IllegalArgumentException(
          out + " has a training in it: go on with --resume, or choose another --out");
    }
    if (resume && !there) {
      throw new IllegalArgumentException(
          out
              + " has no training in it that --resume could go on with: start one without --resume"
              + (Files.exists(out.resolve("model_index.json"))
                  ? ", from the model in it with --from " + out + " and another --out"
                  : ""));
    }
  }

  /** Refuses to write to what is learned from, which must stay as it is until training is done. */
  void checkKeepsTheTeacher(Path written) {
    if (guide != null && List.of(absolute(from), absolute(guide)).contains(absolute(written))) {
      throw new IllegalArgumentException(
          written + " is learned from; choose another folder to write to");
    }
  }

  private static Path absolute(Path folder) {
    return folder.toAbsolutePath().normalize();
  }

  private boolean optionsGiven() {
    return prediction != null
        || schedule != null
        || channels != null
        || layers != null
        || from != null
        || guide != null
        || guideWeight != null
        || batch != null
        || microBatch != null
        || localSteps != null
        || optimizer != null
        || learningRate != null
        || labelDropout != null
        || minSnrGamma != null
        || precision != null
        || seed != null;
  }

  PredictionType predictionType() {
    return prediction == null ? PredictionType.V_PREDICTION : Noise.prediction(prediction);
  }

  BetaSchedule noise() {
    return schedule == null ? BetaSchedule.cosine() : Noise.schedule(schedule);
  }

  /**
   * Returns the network that was asked for.
   *
   * @param usual what holds where nothing was asked for
   */
  UNetConfig network(UNetConfig usual) {
    UNetConfig network = channels == null ? usual : usual.withBlockOutChannels(channels);
    return layers == null ? network : network.withLayersPerBlock(layers);
  }

  /**
   * Returns the options that were asked for.
   *
   * @param usual what holds where nothing was asked for, but for the seed, which is a new one then
   */
  TrainingOptions options(TrainingOptions usual) {
    double peak = learningRate == null ? usual.optimizer().learningRate() : learningRate;
    return usual
        .withBatchSize(batch == null ? usual.batchSize() : batch)
        .withMicroBatch(microBatch == null ? usual.microBatch() : microBatch)
        .withLocalSteps(localSteps == null ? usual.localSteps() : localSteps)
        .withMethod(optimizer == null ? usual.optimizer().method() : optimizer)
        .withLearningRate(peak, usual.optimizer().warmupSteps())
        .withLabelDropout(labelDropout == null ? usual.labelDropout() : labelDropout)
        .withMinSnrGamma(minSnrGamma == null ? usual.minSnrGamma() : minSnrGamma)
        .withPrecision(precision == null ? usual.precision() : precision)
        .withSeed(seed == null ? new SecureRandom().nextLong() : seed);
  }

  /** Returns whether the time is so short that what gets furthest in it is best. */
  boolean isShort() {
    return epochs == null ? time() <= SHORT_MINUTES : epochs <= SHORT_EPOCHS;
  }

  /** Returns how many minutes to train where epochs don't say. */
  private double time() {
    return minutes == null ? DEFAULT_MINUTES : minutes;
  }

  /** Returns whether there is a training or a model to go on from. */
  boolean continues() {
    return resume || from != null;
  }

  /**
   * Opens the training to go on with.
   *
   * @param usual as for {@link #options}, of a training that starts from a model
   */
  Trainer continued(TrainingOptions usual) throws IOException {
    if (resume) {
      return Trainer.resume(out);
    }
    if (guide != null) {
      double weight = guideWeight == null ? GUIDE_WEIGHT : guideWeight;
      return Trainer.distill(from, new Autoguidance(guide, weight), options(usual));
    }
    if (schedule != null) {
      return Trainer.fineTune(from, noise(), predictionType(), options(usual));
    }
    try {
      return layers == null
          ? Trainer.fineTune(from, options(usual))
          : Trainer.deepen(from, layers, options(usual));
    } catch (NoSuchFileException e) {
      throw Noise.explained(e);
    }
  }

  /**
   * Trains and saves, if there is something left to train.
   *
   * @param real the pictures without what was made of them to train on, to measure by
   * @return the losses of all steps; none if a signal ended training
   */
  Optional<LossCurve> run(Trainer trainer, Dataset data, Dataset real) throws IOException {
    if (labelDropout != null && labelDropout > 0 && trainer.info().classes() == 0) {
      throw new IllegalArgumentException(
          "--label-dropout drops labels, of which there are none: --data needs sub-folders, or --from a model with"
              + " classes; got "
              + labelDropout);
    }
    if (epochs != null) {
      trainer.setTotalSteps(
          Math.max(1, Math.round(epochs * data.size() / trainer.options().batchSize())));
    }
    if (resume && minutes != null && trainer.totalSteps() > 0) {
      throw new IllegalArgumentException(
          trainer.stepsTaken() == trainer.totalSteps()
              ? TrainingRun.nothingLeft(trainer, out)
              : "--minutes can't go with --resume: the training in %s has %s steps"
                  .formatted(out, trainer.totalSteps()));
    }
    trainer.lock(out);
    // Another may have ended since the options were checked.
    checkPlace();
    TrainingRun run =
        new TrainingRun(
            trainer,
            new TrainingRun.Saving(out, duration(saveEvery), keep),
            new TrainingRun.Milestones(
                keepEvery == null ? 0 : keepEvery,
                measureEvery == null ? 0 : measureEvery,
                Optional.ofNullable(features)));
    if (spark == null) {
      return losses(run, data, real, time());
    }
    if (trainer.options().microBatch() == 0) {
      throw new IllegalArgumentException(
          "--spark needs --micro-batch: a step is spread by parts of so many images");
    }
    try (Cluster cluster = Cluster.open(spark)) {
      cluster.spread(trainer, data);
      return losses(run, data, real, time());
    }
  }

  private static Optional<LossCurve> losses(
      TrainingRun run, Dataset data, Dataset real, double minutes) throws IOException {
    return run.run(data, real, duration(minutes)) ? Optional.of(run.losses()) : Optional.empty();
  }

  private static Duration duration(double minutes) {
    return Duration.ofNanos(Math.max(1, Math.round(minutes * 60e9)));
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.TrainingProgress;
import io.github.ddpm.tf.UNetConfig;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.Mnist;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Option;

/** Trains a digits model on MNIST. */
@Command(
    name = "TrainMnist",
    mixinStandardHelpOptions = true,
    description = {
      "Trains a digits model on MNIST and saves it as a folder that diffusers can load.",
      "While it trains, --out also gets loss.png, loss.csv and samples/."
    })
public final class TrainMnist implements Callable<Integer> {
  private static final int DEFAULT_BATCH = 64;
  private static final double DEFAULT_MINUTES = 15;
  private static final int MAX_MINUTES = 365 * 24 * 60;

  /** How often the model is saved and a grid of samples drawn. */
  private static final Duration CHECKPOINT = Duration.ofMinutes(3);

  /** How often a line is printed where there is no terminal to draw a bar on. */
  private static final Duration LINE = Duration.ofSeconds(15);

  @Option(
      names = "--data",
      description = "folder with the four MNIST files; default: they are downloaded once")
  private Path data;

  @Option(
      names = "--out",
      defaultValue = "model",
      description = "folder of the model (${DEFAULT-VALUE})")
  private Path out;

  @Option(
      names = "--prediction",
      description = "what the network learns to predict: epsilon, v_prediction (default) or sample")
  private String prediction;

  @Option(names = "--schedule", description = "noise: linear or cosine (default)")
  private String schedule;

  @Option(
      names = "--channels",
      split = ",",
      description = "of the network at each level, multiples of 8; default: 32,64,64")
  private Integer[] channels;

  @Option(names = "--epochs", description = "how often to go through the data")
  private Double epochs;

  @Option(names = "--minutes", description = "how long to train, instead of --epochs; default: 15")
  private Double minutes;

  @Option(names = "--batch", description = "images a step; default: 64")
  private Integer batch;

  @Option(names = "--precision", description = "float32 (the default) or bfloat16")
  private Precision precision;

  @Option(names = "--seed", description = "of all randomness; default: a new one")
  private Long seed;

  @Option(
      names = "--resume",
      description = "go on with the training in --out, with the options it was started with")
  private boolean resume;

  @Option(
      names = "--export",
      description =
          "folder for the model as it is shipped: float16, with a model card; after a training that is done, --resume"
              + " only exports")
  private Path export;

  TrainMnist() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    Commands.main(new TrainMnist(), args);
  }

  @Override
  public Integer call() throws Exception {
    checkOptions();
    if (Files.exists(out)) {
      Commands.checkWritable(out);
    }
    if (export != null) {
      Commands.checkWritable(Files.createDirectories(export));
    }
    if (!resume && Files.exists(out.resolve("training"))) {
      throw new IllegalArgumentException(
          out + " has a training in it: go on with --resume, or choose another --out");
    }
    PredictionType type =
        prediction == null ? PredictionType.V_PREDICTION : PredictionType.ofConfigName(prediction);
    BetaSchedule noise =
        switch (schedule == null ? "cosine" : schedule) {
          case "cosine" -> BetaSchedule.cosine();
          case "linear" -> BetaSchedule.linear();
          default ->
              throw new IllegalArgumentException(
                  "--schedule must be linear or cosine, got " + schedule);
        };
    Dataset digits = data == null ? Mnist.train() : Mnist.train(data);
    try (Trainer trainer = resume ? Trainer.resume(out) : create(digits, noise, type)) {
      Files.createDirectories(out);
      LossCurve losses = new LossCurve(out, trainer.step());
      System.out.printf(
          Locale.ROOT,
          "%s, %s, %d images a step, %s, seed %d%n",
          trainer.info().predictionType().configName(),
          trainer.info().schedule(),
          trainer.options().batchSize(),
          trainer.options().precision().name().toLowerCase(Locale.ROOT),
          trainer.options().seed());
      train(trainer, digits, losses);
      checkpoint(trainer, losses);
      System.out.println("saved " + out);
      if (export != null) {
        trainer.export(export);
        ModelCard.write(export, trainer, digits, data == null, losses);
        System.out.println("exported " + export);
      }
    }
    return 0;
  }

  private void checkOptions() {
    if (epochs != null && minutes != null) {
      throw new IllegalArgumentException("give either --epochs or --minutes, got both");
    }
    if (minutes != null && !(minutes > 0 && minutes <= MAX_MINUTES)) {
      throw new IllegalArgumentException(
          "--minutes must be above 0 and at most " + MAX_MINUTES + ", got " + minutes);
    }
    if (epochs != null && !(epochs > 0 && Double.isFinite(epochs))) {
      throw new IllegalArgumentException("--epochs must be above 0, got " + epochs);
    }
    boolean others =
        prediction != null
            || schedule != null
            || channels != null
            || epochs != null
            || minutes != null
            || batch != null
            || precision != null
            || seed != null;
    if (resume && others) {
      throw new IllegalArgumentException(
          "--resume goes on with the options that training was started with; only --data, --out and --export go with it");
    }
  }

  private Trainer create(Dataset digits, BetaSchedule noise, PredictionType type) {
    TrainingOptions options =
        TrainingOptions.defaults()
            .withBatchSize(batch == null ? DEFAULT_BATCH : batch)
            .withPrecision(precision == null ? Precision.FLOAT32 : precision)
            .withSeed(seed == null ? new SecureRandom().nextLong() : seed);
    UNetConfig network =
        UNetConfig.small(digits.height(), digits.width(), digits.channels())
            .withClasses(digits.classes());
    return Trainer.create(
        channels == null ? network : network.withBlockOutChannels(channels), noise, type, options);
  }

  private void train(Trainer trainer, Dataset digits, LossCurve losses) {
    if (epochs != null) {
      trainer.setTotalSteps(
          Math.max(1, Math.round(epochs * digits.size() / trainer.options().batchSize())));
    }
    try (Display display = Ansi.AUTO.enabled() ? new Bar() : new Lines()) {
      Predicate<TrainingProgress> listener = listener(trainer, losses, display);
      if (trainer.totalSteps() > 0) {
        trainer.train(digits, listener);
      } else {
        double time = minutes == null ? DEFAULT_MINUTES : minutes;
        trainer.train(digits, Duration.ofMillis(Math.round(time * 60_000)), listener);
      }
    }
  }

  private Predicate<TrainingProgress> listener(Trainer trainer, LossCurve losses, Display display) {
    long[] saved = {System.nanoTime()};
    return progress -> {
      losses.add(progress.loss());
      display.show(progress, losses.recent());
      // What is resumed must know its number of steps.
      if (progress.totalSteps() > 0 && System.nanoTime() - saved[0] > CHECKPOINT.toNanos()) {
        checkpoint(trainer, losses);
        saved[0] = System.nanoTime();
      }
      return true;
    };
  }

  /** Saves the model, the curve, and a row of digits that it draws. */
  private void checkpoint(Trainer trainer, LossCurve losses) {
    try (Predictor predictor = trainer.predictor()) {
      losses.save();
      trainer.save(out);
      int classes = predictor.info().classes();
      Path samples = Files.createDirectories(out.resolve("samples"));
      Sampler.ddim(0)
          .steps(20)
          .with(predictor)
          .labels(IntStream.range(0, classes).toArray())
          .seed(0)
          .sample(2 * classes)
          .writeGrid(samples.resolve(String.format(Locale.ROOT, "step-%06d.png", trainer.step())));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private interface Display extends AutoCloseable {
    void show(TrainingProgress progress, double loss);

    @Override
    void close();
  }

  private static final class Lines implements Display {
    private long shown = System.nanoTime() - LINE.toNanos();

    @Override
    public void show(TrainingProgress progress, double loss) {
      boolean last = progress.step() == progress.totalSteps();
      if (last || System.nanoTime() - shown >= LINE.toNanos()) {
        shown = System.nanoTime();
        System.out.printf(
            Locale.ROOT,
            "step %d/%s  loss %.4f  %.0f images/s  %s left%n",
            progress.step(),
            progress.totalSteps() == 0 ? "?" : progress.totalSteps(),
            loss,
            progress.imagesPerSecond(),
            progress.totalSteps() == 0 ? "?" : clock(progress.left()));
      }
    }

    @Override
    public void close() {}

    private static String clock(Duration time) {
      return String.format(Locale.ROOT, "%d:%02d", time.toMinutes(), time.toSecondsPart());
    }
  }

  private static final class Bar implements Display {
    private final ProgressBar bar =
        new ProgressBarBuilder().setTaskName("Training").setInitialMax(-1).build();

    @Override
    public void show(TrainingProgress progress, double loss) {
      bar.maxHint(progress.totalSteps() == 0 ? -1 : progress.totalSteps());
      bar.stepTo(progress.step());
      bar.setExtraMessage(
          String.format(Locale.ROOT, "loss %.4f, %.0f images/s", loss, progress.imagesPerSecond()));
    }

    @Override
    public void close() {
      bar.close();
    }
  }
}

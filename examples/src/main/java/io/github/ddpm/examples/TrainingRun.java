package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingProgress;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * A run of a training shows how it goes, and saves the model, its loss curve and samples every few
 * minutes.
 */
final class TrainingRun {
  /** A grid of samples shows at most so many classes. */
  private static final int MAX_SAMPLED_CLASSES = 10;

  /** A grid shows so many samples of a model without classes. */
  private static final int SAMPLES = 16;

  /** The model is saved and a grid of samples drawn so often. */
  private static final Duration CHECKPOINT = Duration.ofMinutes(3);

  private final Trainer trainer;
  private final Path out;
  private final LossCurve losses;
  private long saved = System.nanoTime();

  /**
   * Prepares to go on where the trainer is.
   *
   * @param out folder of the model, its curve and its samples; it is made if need be
   */
  TrainingRun(Trainer trainer, Path out) throws IOException {
    this.trainer = trainer;
    this.out = Files.createDirectories(out);
    losses = new LossCurve(out, trainer.stepsTaken());
  }

  /**
   * Trains and saves, if there is something left to train.
   *
   * @param time how long to train where the trainer has no total number of steps
   * @return the losses of all steps
   */
  LossCurve run(Dataset data, Duration time) throws IOException {
    System.out.printf(
        Locale.ROOT,
        "%s, %s, %d images a step, %s, seed %d%n",
        trainer.info().predictionType().configName(),
        trainer.info().schedule(),
        trainer.options().batchSize(),
        trainer.options().precision().name().toLowerCase(Locale.ROOT),
        trainer.options().seed());
    long before = trainer.stepsTaken();
    try (ProgressDisplay display = ProgressDisplay.onOut("Training step")) {
      if (trainer.totalSteps() > 0) {
        trainer.train(data, progress -> stepped(progress, display));
      } else {
        trainer.train(data, time, progress -> stepped(progress, display));
      }
    }
    if (trainer.stepsTaken() > before) {
      checkpoint();
      System.out.println("saved " + out);
    }
    return losses;
  }

  private boolean stepped(TrainingProgress progress, ProgressDisplay display) {
    losses.add(progress.loss());
    display.show(
        progress.step(),
        progress.totalSteps(),
        format("loss %.3g  %.0f images/s", losses.recent(), progress.imagesPerSecond()),
        progress.left());
    // What is resumed must know its number of steps.
    if (progress.totalSteps() > 0 && System.nanoTime() - saved > CHECKPOINT.toNanos()) {
      checkpoint();
      saved = System.nanoTime();
    }
    return true;
  }

  /** Saves the model, the curve, and a grid of pictures that it draws. */
  private void checkpoint() {
    try (Predictor predictor = trainer.predictor()) {
      losses.save();
      trainer.save(out);
      int classes = Math.min(predictor.info().classes(), MAX_SAMPLED_CLASSES);
      Path samples = Files.createDirectories(out.resolve("samples"));
      Sampler.ddim(0)
          .steps(steps(predictor.info()))
          .with(predictor)
          .labels(IntStream.range(0, classes).toArray())
          .seed(0)
          .sample(classes == 0 ? SAMPLES : 2 * classes)
          .writeGrid(samples.resolve(format("step-%06d.png", trainer.stepsTaken())));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns how many steps the samples are drawn with: few, or those that a model is made for. */
  private static int steps(ModelInfo info) {
    return info.steps() > 0 ? info.steps() : Math.min(20, info.schedule().timesteps());
  }
}

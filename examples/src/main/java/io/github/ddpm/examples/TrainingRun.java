package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingProgress;
import io.github.ddpm.tf.data.Dataset;
import java.awt.AWTError;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;
import java.util.stream.IntStream;

/**
 * A run of a training shows how it goes, and saves the model every few minutes, when it is told to
 * stop and at the end. The loss curve and samples come after the model: they are there to look at,
 * so what is wrong with them is said and costs nothing else.
 */
final class TrainingRun {
  /** A grid of samples shows at most so many classes. */
  private static final int MAX_SAMPLED_CLASSES = 10;

  /** A grid shows so many samples of a model without classes. */
  private static final int SAMPLES = 16;

  /**
   * Where and how often a training is saved.
   *
   * @param out folder of the model, its curve and its samples; it is made if need be
   * @param interval from one save to the next, above zero
   * @param keep how many saves there are at most, at least 1
   */
  record Saving(Path out, Duration interval, int keep) {}

  /**
   * What is done after every so many steps; 0 is never.
   *
   * @param keepEvery to keep a snapshot
   * @param measureEvery to measure the Fréchet distance
   * @param features network to measure by; none for the classifier of digits
   */
  record Milestones(int keepEvery, int measureEvery, Optional<Path> features) {
    static final Milestones NONE = new Milestones(0, 0, Optional.empty());

    /** Tells whether a round that ends with a step has taken one of every so many. */
    static boolean isReached(int every, long before, long step) {
      return every > 0 && step / every > before / every;
    }
  }

  private final Trainer trainer;
  private final Saving saving;
  private final Milestones milestones;
  private final LossCurve losses;
  private final Snapshots snapshots;
  private final TensorBoard tensorBoard;

  /** What to measure by, while it is asked for and possible. */
  private Optional<TrainingDistance> distance = Optional.empty();

  /** The step that the listener was told of last, or that training goes on from. */
  private long lastStep;

  /** The step of the newest save, if there is one. */
  private OptionalLong savedStep;

  /** When to save next. */
  private long due = System.nanoTime();

  private long skipped;

  /** Prepares to go on where the trainer is. */
  TrainingRun(Trainer trainer, Saving saving) throws IOException {
    this(trainer, saving, Milestones.NONE);
  }

  /** Prepares to go on where the trainer is, with milestones. */
  TrainingRun(Trainer trainer, Saving saving, Milestones milestones) throws IOException {
    this.trainer = trainer;
    this.saving = saving;
    this.milestones = milestones;
    snapshots = new Snapshots(saving.out());
    tensorBoard = new TensorBoard(saving.out().resolve("tensorboard"), System::nanoTime);
    Files.createDirectories(saving.out());
    long step = trainer.stepsTaken();
    lastStep = step;
    savedStep = step == 0 ? OptionalLong.empty() : OptionalLong.of(step);
    losses = new LossCurve(saving.out());
    if (step > 0) {
      due += saving.interval().toNanos();
      try {
        losses.read(step);
      } catch (IOException e) {
        warn(Commands.reason(e));
      }
    }
  }

  /** Returns the losses of all steps. */
  LossCurve losses() {
    return losses;
  }

  /** Trains and saves as the other method does, and measures by what is trained on. */
  boolean run(Dataset data, Duration time) throws IOException {
    return run(data, data, time);
  }

  /**
   * Trains and saves, if there is something left to train.
   *
   * @param real pictures that those drawn are measured by
   * @param time how long to train where the trainer has no total number of steps
   * @return whether all steps are taken and no signal says to end
   * @throws IOException if what was trained last can't be saved
   * @throws IllegalStateException if the loss has grown too much or is not finite any more
   */
  boolean run(Dataset data, Dataset real, Duration time) throws IOException {
    if (isDone()) {
      System.out.println(nothingLeft(trainer, saving.out()));
      return true;
    }
    try (StopSignals signals = new StopSignals()) {
      System.out.printf(
          Locale.ROOT,
          "%s, %s, %d images a step, %s, seed %d%n",
          trainer.info().predictionType().configName(),
          Noise.inWords(trainer.info().schedule()),
          trainer.options().batchSize(),
          trainer.options().precision().name().toLowerCase(Locale.ROOT),
          trainer.options().seed());
      try {
        openMeasures(real);
        tensorBoard.start(trainer.stepsTaken());
        try (ProgressDisplay display = ProgressDisplay.onOut("Training step")) {
          train(data, time, signals, display);
        }
        saveLast(signals);
      } finally {
        distance.ifPresent(TrainingDistance::close);
        tensorBoard.close();
      }
      return isDone() && !signals.received();
    }
  }

  /** Says that all steps are taken, and how to go on. */
  static String nothingLeft(Trainer trainer, Path out) {
    return format(
        "all %d steps are taken, nothing is left to train; for more, start another training with --from %s",
        trainer.totalSteps(), out);
  }

  private boolean isDone() {
    return trainer.totalSteps() > 0 && trainer.stepsTaken() == trainer.totalSteps();
  }

  private void train(Dataset data, Duration time, StopSignals signals, ProgressDisplay display) {
    signals.setInterruptible(true);
    try {
      if (trainer.totalSteps() > 0) {
        trainer.train(data, progress -> stepped(progress, signals, display));
      } else {
        trainer.train(data, time, progress -> stepped(progress, signals, display));
      }
    } catch (CancellationException e) {
      // The step in progress took too long after a signal.
    } catch (IllegalStateException e) {
      throw new IllegalStateException(e.getMessage() + "; " + whatStays(), e);
    } finally {
      signals.setInterruptible(false);
    }
  }

  private boolean stepped(TrainingProgress progress, StopSignals signals, ProgressDisplay display) {
    signals.setInterruptible(false);
    long before = lastStep;
    lastStep = progress.step();
    double measured = Double.NaN;
    if (!signals.received() && Milestones.isReached(milestones.measureEvery(), before, lastStep)) {
      display.clear();
      measured = measure(signals);
    }
    LossRow row = losses.add(progress, measured);
    tensorBoard.add(row, isDone() || signals.received());
    skipped = progress.skipped();
    display.show(
        progress.step(),
        progress.totalSteps(),
        format(
            "loss %.3g  %.0f images/s%s",
            losses.recent(),
            progress.imagesPerSecond(),
            skipped == 0 ? "" : "  " + skipped + " skipped"),
        progress.left());
    if (!signals.received() && Milestones.isReached(milestones.keepEvery(), before, lastStep)) {
      display.clear();
      keep();
    }
    // The last step is saved when training is over, and so is that after which it stops. What is
    // resumed must know its number of steps.
    if (!signals.received() && progress.totalSteps() > 0 && !isDone()) {
      checkpoint(signals, display);
    }
    signals.setInterruptible(true);
    return !signals.received();
  }

  private void openMeasures(Dataset real) throws IOException {
    if (milestones.measureEvery() > 0) {
      TrainingDistance opened = TrainingDistance.open(milestones.features(), real);
      distance = Optional.of(opened);
      System.out.println(opened.inWords());
    }
  }

  /** Returns the distance of pictures drawn now; NaN if there is none. */
  private double measure(StopSignals signals) {
    TrainingDistance measure = distance.orElseThrow();
    try (Predictor predictor = trainer.predictor()) {
      double value = measure.of(sampler(predictor, signals).sample(measure.count()));
      System.out.println(
          format(
              "step %d: Fréchet distance %s of %d pictures; of as many real ones %s",
              lastStep,
              QualityTable.distance(value),
              measure.count(),
              QualityTable.distance(measure.floor())));
      return value;
    } catch (CancellationException e) {
      return Double.NaN;
    } catch (RuntimeException e) {
      // Pictures of weights that are not finite have no covariance.
      warn(format("can't measure the Fréchet distance: %s", Commands.reason(e)));
      return Double.NaN;
    }
  }

  private void keep() {
    if (losses.isLost()) {
      warn(lost());
    } else {
      tryTo("keep a snapshot", () -> snapshots.add(trainer));
    }
  }

  /** Saves if it is time to: at once in a training that is new, which has no save. */
  private void checkpoint(StopSignals signals, ProgressDisplay display) {
    if (System.nanoTime() - due < 0) {
      return;
    }
    display.clear();
    boolean first = savedStep.isEmpty();
    if (losses.isLost()) {
      warn(lost());
    } else {
      try {
        save();
        // Of the first one there is nothing to see yet.
        if (!first) {
          savePictures(signals);
        }
      } catch (IOException | UncheckedIOException e) {
        warn(notSaved(e) + "; training goes on, and saves again later");
      }
    }
    due = System.nanoTime() + saving.interval().toNanos();
  }

  /** Saves what no checkpoint has. */
  private void saveLast(StopSignals signals) throws IOException {
    if (skipped > 0) {
      System.out.printf(
          Locale.ROOT, "%d steps were skipped: their loss or gradient was not finite%n", skipped);
    }
    long step = trainer.stepsTaken();
    if (losses.isLost()) {
      throw new IllegalStateException(lost());
    }
    boolean isNew = savedStep.isEmpty() ? step > 0 : step > savedStep.getAsLong();
    if (isNew) {
      try {
        save();
      } catch (IOException | UncheckedIOException e) {
        throw new IOException(notSaved(e), e);
      }
    }
    if (!signals.received()) {
      savePictures(signals);
    }
    if (savedStep.isEmpty()) {
      System.out.println("stopped before the first step, so there is nothing to save");
    } else {
      System.out.printf(
          Locale.ROOT,
          "saved %s at step %d%s%n",
          saving.out(),
          savedStep.getAsLong(),
          isDone() ? "" : "; --resume goes on");
    }
  }

  private void save() throws IOException {
    trainer.save(saving.out(), saving.keep());
    savedStep = OptionalLong.of(trainer.stepsTaken());
    tryTo("write the table of losses", losses::saveTable);
  }

  private void savePictures(StopSignals signals) {
    tryTo("draw the loss curve", losses::saveChart);
    tryTo("draw samples", () -> saveSamples(signals));
  }

  private void saveSamples(StopSignals signals) throws IOException {
    try (Predictor predictor = trainer.predictor()) {
      int classes = Math.min(predictor.info().classes(), MAX_SAMPLED_CLASSES);
      Path samples = Files.createDirectories(saving.out().resolve("samples"));
      Path grid = samples.resolve(format("step-%06d.png", trainer.stepsTaken()));
      sampler(predictor, signals)
          .labels(IntStream.range(0, classes).toArray())
          .sample(classes == 0 ? SAMPLES : 2 * classes)
          .writeGrid(grid);
      tensorBoard.add(trainer.stepsTaken(), grid, predictor.info().channels());
    } catch (CancellationException e) {
      // A signal came.
    }
  }

  private static Sampler sampler(Predictor predictor, StopSignals signals) {
    return Sampler.ddim(0)
        .steps(steps(predictor.info()))
        .with(predictor)
        .seed(0)
        .listener(progress -> !signals.received());
  }

  private interface Attempt {
    void run() throws IOException;
  }

  /** Does something without which training goes on as well. */
  private void tryTo(String what, Attempt attempt) {
    try {
      attempt.run();
    } catch (IOException | RuntimeException | LinkageError | AWTError | VirtualMachineError e) {
      // A Java runtime without fonts or windows throws errors; pictures may not fit the memory.
      warn(format("can't %s in %s: %s", what, saving.out(), Commands.reason(e)));
    }
  }

  private String notSaved(Exception e) {
    return format("can't save to %s: %s; %s", saving.out(), Commands.reason(e), whatStays());
  }

  private String lost() {
    return format(
        "the loss has grown from %.3g to %.3g, which is not saved; %s",
        losses.lowest(), losses.recent(), whatStays());
  }

  private String whatStays() {
    return savedStep.isEmpty()
        ? "nothing is saved in " + saving.out()
        : format("%s stays as it was saved at step %d", saving.out(), savedStep.getAsLong());
  }

  static void warn(String problem) {
    System.err.println("warning: " + problem);
  }

  /** Returns how many steps the samples are drawn with: few, or those that a model is made for. */
  private static int steps(ModelInfo info) {
    return info.steps() > 0 ? info.steps() : Math.min(20, info.schedule().timesteps());
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.io.Closer;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.SaveFolder;
import io.github.ddpm.tf.files.Snapshot;
import io.github.ddpm.tf.files.Weight;
import io.github.ddpm.tf.graph.UNetConfig;
import io.github.ddpm.tf.sampling.TfPredictor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Predicate;

/**
 * Trains a U-Net to denoise (Ho et al. 2020, algorithm 1), by AdamW or Muon with a moving average
 * of the weights.
 *
 * <pre>{@code
 * try (Trainer trainer = Trainer.create(UNetConfig.small(28, 28, 1).withClasses(10),
 *     BetaSchedule.cosine(), PredictionType.V_PREDICTION, TrainingOptions.defaults())) {
 *   trainer.train(Mnist.train(), Duration.ofMinutes(15), progress -> true);
 *   trainer.save(Path.of("model"));
 * }
 * }</pre>
 *
 * <p>All randomness is a function of the seed and the number of steps, taken or skipped, so
 * training that was saved and resumed gives the weights of training in one go: bit for bit on the
 * same kind of machine, with any number of threads (TensorFlow's own operations, where ours don't
 * run, add in an order that depends on these too). A trainer is not thread-safe; whoever opens one
 * closes it.
 */
public final class Trainer implements AutoCloseable {
  private final ModelConfig model;
  private final TrainingOptions options;
  private final Optional<Teacher> teacher;
  private final Optional<Path> startedFrom;
  private final TrainingGraph graph;
  private final List<SaveFolder> taken = new ArrayList<>();

  private final Steps steps;

  private boolean closed;

  private Trainer(TrainingStart start) throws IOException {
    this.model = start.model();
    this.options = start.state().options();
    this.teacher = start.teacher();
    this.startedFrom = start.state().startedFrom();
    this.graph = new TrainingGraph(model, options, teacher, start.layout());
    graph.set(start.vectors());
    this.steps = new Steps(model.info(), graph, start.state());
  }

  /**
   * Starts a training from random weights.
   *
   * @param network what to train
   * @param schedule the noise that it is trained with
   * @param predictionType what it learns to predict
   * @param options label dropout must be 0 for a network with classes and no null label
   * @return a trainer, which the caller closes
   * @throws IllegalArgumentException if these don't fit together, for instance ε or min-SNR
   *     weighting with zero terminal SNR, or no such network can be built
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static Trainer create(
      UNetConfig network,
      BetaSchedule schedule,
      PredictionType predictionType,
      TrainingOptions options) {
    try {
      return new Trainer(TrainingStart.random(network, schedule, predictionType, options));
    } catch (IOException e) {
      // Nothing is read.
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Starts a training from a finished model, of this library or of diffusers: its weights, network,
   * noise and prediction type, but a new optimizer, moving average and label counts. A tenth to a
   * hundredth of the usual learning rate keeps most of what it knows. A variance that it learned is
   * trained no further, so the model is sampled with the small one from then on.
   *
   * @param folder a model; its state of training, if it has one, is left alone
   * @param options label dropout must be 0 for a model with classes and no null label
   * @return a trainer, which the caller closes
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong
   * @throws IllegalArgumentException if the options don't fit the model
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static Trainer fineTune(Path folder, TrainingOptions options) throws IOException {
    try (ModelFolder saved = ModelFolder.read(folder)) {
      return fineTune(folder, saved, options);
    }
  }

  /**
   * Starts a training as {@link #fineTune(Path, TrainingOptions)} does, from a network that was
   * saved alone; see {@link Predictor#load(Path, BetaSchedule, PredictionType)}.
   *
   * @param folder {@code config.json} and the weights, such as {@code unet_ema/} of a checkpoint
   * @param schedule the noise that it was trained with, and is trained with on
   * @param type what it predicts
   * @param options how to train; they must fit the model
   * @return a trainer, which the caller closes
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong
   * @throws IllegalArgumentException if the type doesn't go with the schedule, or the options don't
   *     fit the model
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static Trainer fineTune(
      Path folder, BetaSchedule schedule, PredictionType type, TrainingOptions options)
      throws IOException {
    try (ModelFolder saved = ModelFolder.read(folder, schedule, type)) {
      return fineTune(folder, saved, options);
    }
  }

  private static Trainer fineTune(Path folder, ModelFolder saved, TrainingOptions options)
      throws IOException {
    return new Trainer(
        TrainingStart.from(folder, saved, saved.config().network(), Optional.empty(), options));
  }

  /**
   * Starts a training as {@link #fineTune(Path, TrainingOptions)} does, but toward what models
   * predict instead of toward the data: one call of the trained network then does what takes
   * several of theirs, be it of two networks ({@link Autoguidance}) or of one in a row ({@link
   * ProgressiveDistillation}). A step takes a forward pass more for each of these calls, and the
   * memory of their networks, whose weights are constants of the graph. Resuming needs all folders
   * where and as they were.
   *
   * @param folder the model to start from, which autoguidance guides
   * @param distillation what to learn
   * @param options as for {@link #fineTune(Path, TrainingOptions)}; without min-SNR weighting in
   *     progressive distillation, which has its own
   * @return a trainer, which the caller closes
   * @throws IOException if something is missing or wrong in a folder; the message names the file
   *     and what is wrong
   * @throws IllegalArgumentException if a model is one of something else, or a number of steps, or
   *     the options don't fit
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static Trainer distill(Path folder, Distillation distillation, TrainingOptions options)
      throws IOException {
    try (Closer closer = Closer.create()) {
      ModelFolder saved = closer.register(ModelFolder.read(folder));
      Teacher teacher = Teacher.of(saved, distillation, closer);
      return new Trainer(
          TrainingStart.from(
              folder, saved, saved.config().network(), Optional.of(teacher), options));
    }
  }

  /**
   * Starts a training as {@link #fineTune(Path, TrainingOptions)} does, with more residual blocks
   * at each level than the model has. The new ones do nothing at first (Net2DeeperNet, Chen et al.
   * 2016), so training goes on from what the model knows.
   *
   * @param folder the model to start from
   * @param layersPerBlock at least the model's; see {@link UNetConfig#withLayersPerBlock}
   * @param options how to train; they must fit the model
   * @return a trainer, which the caller closes
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   * @throws IOException if something is missing or wrong; the message names the file
   * @throws IllegalArgumentException if the options don't fit the model, or there would be fewer
   *     blocks than it has, or more than 128
   */
  public static Trainer deepen(Path folder, int layersPerBlock, TrainingOptions options)
      throws IOException {
    try (ModelFolder saved = ModelFolder.read(folder)) {
      UNetConfig deeper = Deepening.network(saved.config().network(), layersPerBlock);
      return new Trainer(TrainingStart.from(folder, saved, deeper, Optional.empty(), options));
    }
  }

  /**
   * Opens a training as {@link #save} left it, and takes the folder as {@link #lock} does, unless
   * it can't be written to or another training of this process has it. Every file is checked
   * against its checksum: the newest save that is whole is opened, and a line of the log names what
   * is damaged in newer ones.
   *
   * @param folder a model that was saved here; one without {@code training/} can be sampled from
   *     but not resumed
   * @return a trainer that has taken the steps of the save, which the caller closes
   * @throws IOException if something is missing or wrong, or another process trains here; the
   *     message names the file and what is wrong, or the process
   * @throws IllegalStateException if TensorFlow can't be set up; see {@link
   *     io.github.ddpm.tf.graph.TensorFlowRuntime#graph}
   */
  public static Trainer resume(Path folder) throws IOException {
    Optional<SaveFolder> taken =
        SaveFolder.mayBeTaken(folder) ? Optional.of(SaveFolder.take(folder)) : Optional.empty();
    boolean done = false;
    try (Closer closer = Closer.create()) {
      ModelFolder saved = closer.register(ModelFolder.read(Snapshot.ofTraining(folder)));
      try {
        Trainer trainer = new Trainer(TrainingStart.resumed(saved, closer));
        taken.ifPresent(trainer.taken::add);
        done = true;
        return trainer;
      } catch (IllegalArgumentException e) {
        throw new IOException(TrainingFolder.stateFile(saved.files()) + ": " + e.getMessage(), e);
      }
    } finally {
      if (!done && taken.isPresent()) {
        taken.get().close();
      }
    }
  }

  /**
   * {@return what the model is, with the label counts of the steps so far, and the names that the
   * data has for the classes}
   */
  public ModelInfo info() {
    return model.info().withLabelCounts(steps.labelCounts()).withClassNames(steps.classNames());
  }

  private ModelConfig config() {
    return new ModelConfig(model.network(), info(), model.pipeline());
  }

  /** {@return what the network is} */
  public UNetConfig network() {
    return model.network();
  }

  /** {@return how it is trained} */
  public TrainingOptions options() {
    return options;
  }

  /**
   * {@return the model that this training started from: as it was given, or, after {@link #resume},
   * its absolute path}
   */
  public Optional<Path> startedFrom() {
    return startedFrom;
  }

  /** {@return what is learned from models, as {@link #distill} was given it} */
  public Optional<Distillation> distillation() {
    return teacher.map(Teacher::distillation);
  }

  /** {@return the number of steps taken so far} */
  public long stepsTaken() {
    return steps.taken();
  }

  /** {@return the number of steps in all; 0 while not known} */
  public long totalSteps() {
    return steps.total();
  }

  /**
   * Fixes the number of steps in all, over which the learning rate falls to 0.
   *
   * @param total at least 1, and not less than were taken
   */
  public void setTotalSteps(long total) {
    steps.setTotal(total);
  }

  /**
   * Names the classes anew. Data with other names is refused, as its classes are probably others or
   * in another order; whoever has a model learn other classes in the place of its own says so
   * before.
   *
   * @param names one of each class, as {@link Dataset#classNames} has them; or none, for those of
   *     the data that it is trained on next
   * @throws IllegalArgumentException if they are others
   */
  public void setClassNames(List<String> names) {
    steps.setClassNames(names);
  }

  /**
   * Takes one step.
   *
   * @param batch images x0 of the network's size, at least one
   * @param classes the label of each, in [0, classes); none for a network without labels
   * @return the loss: the mean squared error of the prediction, or to the teacher's in {@link
   *     #distill}. With min-SNR weighting the timesteps are drawn in proportion to the weights, and
   *     it is times their mean
   * @throws IllegalArgumentException if images or labels don't fit the network
   * @throws IllegalStateException after {@link #close}; if replicas take local steps; or if loss or
   *     gradient are not finite, in float16 whatever the loss is multiplied by, in which case
   *     everything stays as it was: weights, moving average, optimizer and step
   */
  public double step(Images batch, int... classes) {
    checkOpen();
    return steps.take(batch, classes);
  }

  /**
   * Trains up to {@link #totalSteps}. A step whose loss or gradient is not finite is skipped:
   * nothing changes but its batch and its randomness, of which the next attempt has others, and in
   * float16 what the loss is multiplied by, which is halved for a gradient that is not finite, and
   * doubled after 2000 steps without. {@link Thread#interrupt} ends training before the next step,
   * or within a step before the next of its parts ({@link TrainingOptions#microBatch}); the thread
   * stays interrupted, and a step that was not finished has changed nothing.
   *
   * <p>With {@link TrainingOptions#withLocalSteps local steps}, those of a round are taken or
   * skipped together, and the listener is told once a round: of the last step's number, and of the
   * mean loss. An interrupt gives the round up.
   *
   * @param data of the network's size; training continues where the steps so far left off
   * @param listener is told after each step taken; training stops when it answers {@code false}
   * @throws CancellationException if this thread is interrupted
   * @throws IllegalStateException if the number of steps in all is not known, or 10 steps, or
   *     rounds of local steps, in a row are not finite; one that halves the factor doesn't count
   */
  public void train(Dataset data, Predicate<TrainingProgress> listener) {
    checkOpen();
    checkState(totalSteps() > 0, "the number of steps is not known: call setTotalSteps first");
    steps.take(data, Duration.ZERO, listener);
  }

  /**
   * Trains as {@link #train(Dataset, Predicate)} does, for about that long: the first steps are
   * timed, and fix the number of steps in all. If that is known already, as after {@link #resume},
   * it stays. If the listener or an interrupt ends training before it is known, the steps taken so
   * far fix it, if there are any.
   *
   * @param data of the network's size; training continues where the steps so far left off
   * @param time above zero
   * @param listener is told after each step taken; training stops when it answers {@code false}
   * @throws CancellationException if this thread is interrupted
   * @throws IllegalStateException if all steps are taken already, or 10 steps, or rounds of local
   *     steps, in a row are not finite
   */
  public void train(Dataset data, Duration time, Predicate<TrainingProgress> listener) {
    checkArgument(time.compareTo(Duration.ZERO) > 0, "time must be above zero, got %s", time);
    checkOpen();
    checkState(
        steps.isOneLeft(),
        "all %s steps are taken, so no time is left to train: call setTotalSteps first",
        totalSteps());
    steps.take(data, time, listener);
  }

  /**
   * Describes this training to {@link GradientWorker}s: the network, the noise, the options and
   * what is learned from models, but neither weights nor data.
   *
   * @return a text, for {@link GradientWorker#open}
   */
  public String description() {
    return TrainingFolder.describe(new TrainingFolder.Described(config(), state()));
  }

  /**
   * Has the gradients of the steps that {@code train} takes from now on computed elsewhere. Here
   * they are added up, in the order of the parts, so the weights are those of a training that
   * computes them itself, bit for bit on the same kind of machine.
   *
   * @param source that computes them
   * @throws IllegalArgumentException if a batch has only one part: {@link
   *     TrainingOptions#microBatch} must be less than the batch size, and not 0
   * @throws IllegalStateException if replicas take local steps
   */
  public void computeGradientsBy(GradientSource source) {
    options.checkHasParts();
    checkState(
        options.localSteps() == 0,
        "with %s local steps replicas are trained elsewhere, not gradients computed: call trainReplicasBy",
        options.localSteps());
    steps.computeGradientsBy(Optional.of(source));
  }

  /**
   * Has the replicas whose local steps {@code train} takes from now on trained elsewhere. Here they
   * are averaged, in their order, so the weights are those of a training that trains them itself,
   * bit for bit on the same kind of machine.
   *
   * @param source that trains them
   * @throws IllegalStateException if there are none: see {@link TrainingOptions#withLocalSteps}
   */
  public void trainReplicasBy(ReplicaSource source) {
    checkState(
        options.localSteps() > 0,
        "without local steps gradients are computed elsewhere, not replicas trained: call computeGradientsBy");
    steps.trainReplicasBy(Optional.of(source));
  }

  /** Computes all steps from now on here, as a trainer does at first. */
  public void computeGradients() {
    steps.computeGradientsBy(Optional.empty());
    steps.trainReplicasBy(Optional.empty());
  }

  /**
   * {@return the model as it is now, with the moving average of the weights, ready to sample in the
   * precision of the training; it doesn't change as training goes on} Whoever asks for it closes
   * it.
   */
  public Predictor predictor() {
    checkOpen();
    try {
      return new TfPredictor(
          config(), graph.layout().source(graph.get(Vector.EMA)), options.precision());
    } catch (IOException e) {
      // Nothing is read.
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Takes a folder for this training until it is closed, so that no other training can be resumed
   * from it or saved to it. {@link #save} does the same; who trains for long asks before.
   *
   * @param folder made if need be
   * @throws IOException if it can't be written to, or another training has it; the message names
   *     the process
   */
  public void lock(Path folder) throws IOException {
    checkOpen();
    saves(folder);
  }

  private SaveFolder saves(Path folder) throws IOException {
    for (SaveFolder each : taken) {
      if (each.is(folder)) {
        return each;
      }
    }
    SaveFolder saves = SaveFolder.take(folder);
    taken.add(saves);
    return saves;
  }

  /**
   * Saves as {@link #save(Path, int)} does, and keeps the save before as well.
   *
   * @param folder made if need be; no other training may have it
   * @throws IOException if it can't be written; what was there before stays
   */
  public void save(Path folder) throws IOException {
    save(folder, 2);
  }

  /**
   * Saves the model in the layout of diffusers, with the moving average of the weights, and beside
   * it, in {@code training/}, all that {@link #resume} needs. The save is whole or not there,
   * whatever happens to the process or the machine meanwhile: it is a folder of its own in {@code
   * saves/}, with checksums, to which the files that diffusers reads are links.
   *
   * @param folder made if need be, and taken as by {@link #lock}; what was saved there before is
   *     replaced, other files stay
   * @param keep how many saves there are afterward, at least 1: the oldest go
   * @throws IOException if it can't be written, for instance because the device is full, or another
   *     training has the folder; what was there before stays
   */
  public void save(Path folder, int keep) throws IOException {
    checkArgument(keep >= 1, "keep must be at least 1, got %s", keep);
    checkOpen();
    // An interrupt that ended training would end the writing as well, and is there again after it.
    boolean interrupted = Thread.interrupted();
    try {
      TrainingFolder.write(saves(folder), config(), state(), graph.layout(), graph::get, keep);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private TrainingFolder.State state() {
    return new TrainingFolder.State(
        steps.taken(),
        steps.total(),
        steps.skipped(),
        steps.lossScale(),
        steps.labelCounts(),
        startedFrom,
        teacher.map(given -> new DistillationJson.Taught(given.distillation(), given.digest())),
        options);
  }

  /**
   * Saves the model alone, with the moving average of the weights in float16: half the size of what
   * {@link #save} makes of it, and no state of training. It loads like any other, here and in
   * diffusers.
   *
   * @param folder made if need be; a model there is replaced, other files stay
   * @throws IOException if it can't be written, or a weight is beyond 65504, where float16 ends;
   *     what was there before stays
   */
  public void saveHalf(Path folder) throws IOException {
    checkOpen();
    Map<String, Weight> average = graph.layout().unpack(graph.get(Vector.EMA));
    for (SaveFolder each : taken) {
      if (each.is(folder)) {
        ModelFolder.write(each, config(), average, DType.F16);
        return;
      }
    }
    ModelFolder.write(folder, config(), average, DType.F16);
  }

  /** Frees what training holds. Closing twice does nothing. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      graph.close();
      for (SaveFolder each : taken) {
        each.close();
      }
    }
  }

  private void checkOpen() {
    checkState(!closed, "the trainer is closed");
  }
}

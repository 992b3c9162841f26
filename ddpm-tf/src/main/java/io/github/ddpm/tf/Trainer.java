package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.AdamW.State;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.Variable;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TFloating;

/**
 * Trains a {@link UNet} to denoise (Ho et al. 2020, algorithm 1), by AdamW with a moving average of
 * the weights.
 *
 * <pre>{@code
 * try (Trainer trainer = Trainer.create(UNetConfig.small(28, 28, 1).withClasses(10),
 *     BetaSchedule.cosine(), PredictionType.V_PREDICTION, TrainingOptions.defaults())) {
 *   trainer.train(Mnist.train(), Duration.ofMinutes(15), progress -> true);
 *   trainer.save(Path.of("model"));
 * }
 * }</pre>
 *
 * <p>All randomness is a function of the seed and the step, so training that was saved and resumed
 * gives the weights of training in one go, bit for bit on the same machine. Not thread-safe; who
 * opens one closes it.
 */
public final class Trainer implements AutoCloseable {
  private static final String TRAINING = "training";
  private static final String STATE = "state.json";
  private static final String AUTOGUIDANCE = "autoguidance";

  /** Steps before a speed is believed: the first few build and tune the graph. */
  private static final int UNTIMED_STEPS = 3;

  /** Least steps that the total is estimated from when time is given instead. */
  private static final int TIMED_STEPS = 20;

  private final UNetConfig config;
  private final ModelInfo info;
  private final PipelineScheduler pipeline;
  private final TrainingOptions options;
  private final Optional<Teacher> teacher;
  private final Parameters parameters;

  private final Graph graph;
  private final Session session;
  private final AdamW adam;
  private final Operand<TFloat32> images;
  private final Operand<TInt32> labels;
  private final Operand<TInt64> randomness;
  private final Operand<TFloat32> loss;
  private final Operand<TFloat32> norm;
  private final Op update;
  private final Optional<Accumulation> accumulation;

  private Optional<Path> startedFrom = Optional.empty();
  private long step;
  private long totalSteps;
  private boolean closed;

  private Trainer(
      UNetConfig config,
      ModelInfo info,
      PipelineScheduler pipeline,
      TrainingOptions options,
      Optional<Teacher> teacher) {
    checkArgument(
        options.labelDropout() == 0 || config.nullLabel() || config.classEmbeddings() == 0,
        "label dropout needs a network with a null label, got dropout %s",
        options.labelDropout());
    checkArgument(
        options.minSnrGamma() == 0 || !info.schedule().isZeroTerminalSnr(),
        "min-SNR weighting never trains the last timestep of a schedule with zero terminal SNR: gamma must be 0, got %s",
        options.minSnrGamma());
    this.config = config;
    this.info = info;
    this.pipeline = pipeline;
    this.options = options;
    this.teacher = teacher;
    this.parameters = Parameters.of(config);
    this.graph = Sessions.graph();
    Ops tf = Ops.create(graph);
    this.adam = new AdamW(tf, parameters);
    this.images =
        tf.placeholder(
            TFloat32.class,
            Placeholder.shape(Shape.of(-1, info.height(), info.width(), info.channels())));
    this.labels = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    this.randomness = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
    this.loss = loss(tf);
    Operand<TFloat32> gradient = adam.gradient(loss);
    this.norm = AdamW.norm(tf, gradient);
    this.update = adam.step(gradient, norm, options.maxGradientNorm());
    this.accumulation =
        options.microBatch() == 0 || options.microBatch() >= options.batchSize()
            ? Optional.empty()
            : Optional.of(accumulation(tf, gradient));
    this.session = Sessions.open(graph);
  }

  /**
   * Training from the start.
   *
   * @throws IllegalArgumentException if these don't fit together, for instance ε or min-SNR
   *     weighting with zero terminal SNR
   */
  public static Trainer create(
      UNetConfig config,
      BetaSchedule schedule,
      PredictionType predictionType,
      TrainingOptions options) {
    Trainer trainer =
        new Trainer(
            config,
            config.info(schedule, predictionType),
            PipelineScheduler.DEFAULT,
            options,
            Optional.empty());
    trainer.start(trainer.parameters.initial(options.seed()));
    return trainer;
  }

  /**
   * Training that starts from a finished model, of this library or of diffusers: its weights,
   * network, noise and prediction type, but a new optimizer and moving average. A tenth to a
   * hundredth of the usual learning rate keeps most of what it knows.
   *
   * @param folder a model; its state of training, if it has one, is left alone
   * @param options label dropout must be 0 for a model with classes and no null label
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong
   * @throws IllegalArgumentException if the options don't fit the model
   */
  public static Trainer fineTune(Path folder, TrainingOptions options) throws IOException {
    ModelFolder model = ModelFolder.read(folder);
    return fineTune(folder, model, model.config().layersPerBlock(), Optional.empty(), options);
  }

  /**
   * As {@link #fineTune}, but towards what the model predicts under autoguidance instead of towards
   * the data: so one call of the trained network does what two models would have to do together
   * (distillation, Meng et al. 2023, "On Distillation of Guided Diffusion Models"). A step takes
   * two forward passes more, and the memory of two networks whose weights are constants of the
   * graph. Resuming needs both folders where and as they were.
   *
   * @param folder the model, which is the one to start from as well
   * @param autoguidance what it is guided by, and how much
   * @param options as for {@link #fineTune}
   * @throws IOException if something is missing or wrong in either folder; the message names the
   *     file and what is wrong
   * @throws IllegalArgumentException if the guide is a model of something else, or the options
   *     don't fit
   */
  public static Trainer distill(Path folder, Autoguidance autoguidance, TrainingOptions options)
      throws IOException {
    ModelFolder model = ModelFolder.read(folder);
    Teacher teacher = Teacher.of(model, autoguidance);
    return fineTune(folder, model, model.config().layersPerBlock(), Optional.of(teacher), options);
  }

  /**
   * As {@link #fineTune}, with more residual blocks at each level than the model has. The new ones
   * do nothing at first (Net2DeeperNet, Chen et al. 2016), so training goes on from what the model
   * knows.
   *
   * @param layersPerBlock at least the model's; see {@link UNetConfig#withLayersPerBlock}
   */
  public static Trainer deepen(Path folder, int layersPerBlock, TrainingOptions options)
      throws IOException {
    return fineTune(folder, ModelFolder.read(folder), layersPerBlock, Optional.empty(), options);
  }

  private static Trainer fineTune(
      Path folder,
      ModelFolder model,
      int layersPerBlock,
      Optional<Teacher> teacher,
      TrainingOptions options)
      throws IOException {
    int layers = model.config().layersPerBlock();
    checkArgument(
        layersPerBlock >= layers,
        "a deeper network needs at least the %s residual blocks a level that the model has, got %s",
        layers,
        layersPerBlock);
    Trainer trainer =
        open(model, model.config().withLayersPerBlock(layersPerBlock), options, teacher);
    try {
      Parameters parameters = trainer.parameters;
      Map<String, Weight> weights = model.weights();
      if (layersPerBlock > layers) {
        Map<String, Weight> initial = parameters.unpack(parameters.initial(options.seed()));
        weights = Deepening.deepen(weights, layers, initial, layersPerBlock - layers);
      }
      trainer.start(parameters.pack(weights));
      trainer.startedFrom = Optional.of(folder);
      return trainer;
    } catch (UncheckedIOException e) {
      trainer.close();
      throw e.getCause();
    } catch (RuntimeException e) {
      trainer.close();
      throw e;
    }
  }

  /** Builds the graph, with a teacher's weights in it. */
  private static Trainer open(
      ModelFolder model, UNetConfig config, TrainingOptions options, Optional<Teacher> teacher)
      throws IOException {
    try {
      return new Trainer(config, model.info(), model.pipeline(), options, teacher);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private void start(float[] weights) {
    adam.set(session, State.WEIGHTS, weights);
    adam.set(session, State.EMA, weights);
    adam.set(session, State.ADAM_M, new float[weights.length]);
    adam.set(session, State.ADAM_V, new float[weights.length]);
  }

  /**
   * Training as {@link #save} left it.
   *
   * @param folder a model that was saved here; one without {@code training/} can be sampled from
   *     but not resumed
   * @throws IOException if something is missing or wrong; the message names the file and what is
   *     wrong
   */
  public static Trainer resume(Path folder) throws IOException {
    ModelFolder model = ModelFolder.read(folder);
    Path training = folder.resolve(TRAINING);
    Path stateFile = training.resolve(STATE);
    if (!Files.exists(stateFile)) {
      throw new IOException(
          folder + ": this model has no state of training to resume, " + stateFile + " is missing");
    }
    JsonNode state = ModelFolder.readJson(stateFile);
    TrainingOptions options;
    Optional<Path> startedFrom;
    try {
      startedFrom = Optional.ofNullable(state.path("started_from").asText(null)).map(Path::of);
      checkArgument(
          !state.has(AUTOGUIDANCE) || startedFrom.isPresent(), "autoguidance needs started_from");
      options = ModelFolder.JSON.treeToValue(complete(state.get("options")), TrainingOptions.class);
    } catch (JsonProcessingException | IllegalArgumentException e) {
      String problem =
          e instanceof JsonProcessingException json ? json.getOriginalMessage() : e.getMessage();
      throw new IOException(stateFile + ": " + problem, e);
    }
    long step = state.path("step").asLong(-1);
    long totalSteps = state.path("total_steps").asLong(-1);
    if (options == null || step < 0 || (totalSteps != 0 && totalSteps < step)) {
      throw new IOException(stateFile + ": needs step, total_steps and options, got " + state);
    }
    Trainer trainer;
    try {
      Optional<Teacher> teacher =
          state.has(AUTOGUIDANCE)
              ? Optional.of(
                  Teacher.resume(startedFrom.orElseThrow(), model.info(), state.get(AUTOGUIDANCE)))
              : Optional.empty();
      trainer = open(model, model.config(), options, teacher);
    } catch (IOException | IllegalArgumentException e) {
      throw new IOException(stateFile + ": " + e.getMessage(), e);
    }
    try {
      for (State vector : State.values()) {
        Map<String, Weight> weights =
            ModelFolder.readWeights(file(training, vector), trainer.parameters);
        trainer.adam.set(trainer.session, vector, trainer.parameters.pack(weights));
      }
    } catch (UncheckedIOException e) {
      trainer.close();
      throw e.getCause();
    } catch (IOException | RuntimeException e) {
      trainer.close();
      throw e;
    }
    trainer.startedFrom = startedFrom;
    trainer.step = step;
    trainer.totalSteps = totalSteps;
    return trainer;
  }

  /** Options as they are saved today, of those saved before there were all of them. */
  private static JsonNode complete(JsonNode saved) {
    return saved instanceof ObjectNode given
        ? ModelFolder.JSON
            .createObjectNode()
            .put("microBatch", 0)
            .putNull("precision")
            .setAll(given)
        : saved;
  }

  /** What the model is. */
  public ModelInfo info() {
    return info;
  }

  /** What the network is. */
  public UNetConfig network() {
    return config;
  }

  /** How it is trained. */
  public TrainingOptions options() {
    return options;
  }

  /** The model that this training started from, as it was given. */
  public Optional<Path> startedFrom() {
    return startedFrom;
  }

  /** The autoguidance that is learned, as {@link #distill} was given it. */
  public Optional<Autoguidance> autoguidance() {
    return teacher.map(Teacher::autoguidance);
  }

  /** Steps taken. */
  public long step() {
    return step;
  }

  /** Steps in all; 0 while not known. */
  public long totalSteps() {
    return totalSteps;
  }

  /**
   * Fixes the number of steps in all, over which the learning rate falls to 0.
   *
   * @param steps at least 1, and not fewer than were taken
   */
  public void setTotalSteps(long steps) {
    checkArgument(
        steps >= Math.max(1, step),
        "total steps must be at least %s, got %s",
        Math.max(1, step),
        steps);
    totalSteps = steps;
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
   * @throws IllegalStateException after {@link #close}, or if loss or gradient are not finite, in
   *     which case the weights stay as they were
   */
  public double step(Images batch, int... classes) {
    checkOpen();
    checkBatch(batch, classes);
    if (accumulation.isPresent() && batch.count() > options.microBatch()) {
      return accumulation.get().step(batch, classes);
    }
    try (TFloat32 numbers = numbers();
        Result result =
            run(
                batch,
                classes,
                step,
                runner -> runner.feed(adam.numbers(), numbers).fetch(norm).addTarget(update))) {
      double value = ((TFloat32) result.get(0)).getFloat();
      stepped(value, ((TFloat32) result.get(1)).getFloat());
      return value;
    }
  }

  /** What the optimizer is fed in this step. */
  private TFloat32 numbers() {
    return AdamW.numbers(
        step,
        options.learningRate(step, totalSteps),
        options.weightDecay(),
        options.emaDecay(step));
  }

  /**
   * Runs the network and whatever else is asked for.
   *
   * @param draws number that the randomness is a function of, with the seed
   * @param more feeds and fetches; the first result is the loss
   */
  private Result run(Images part, int[] classes, long draws, UnaryOperator<Session.Runner> more) {
    Shape shape = Shape.of(part.count(), part.height(), part.width(), part.channels());
    try (TFloat32 x0 = TFloat32.tensorOf(shape, DataBuffers.of(part.toArray()));
        TInt32 labelTensor = TInt32.vectorOf(classes);
        TInt64 seed = TInt64.vectorOf(options.seed(), draws)) {
      Session.Runner runner = session.runner().feed(images, x0).feed(randomness, seed).fetch(loss);
      if (config.classEmbeddings() > 0) {
        runner.feed(labels, labelTensor);
      }
      return more.apply(runner).run();
    }
  }

  private void stepped(double value, double length) {
    checkState(
        Double.isFinite(value) && Double.isFinite(length),
        "the loss is %s and the gradient's norm %s at step %s; the weights stay as they were, try a lower learning"
            + " rate",
        value,
        length,
        step);
    step++;
  }

  private Accumulation accumulation(Ops tf, Operand<TFloat32> gradient) {
    Variable<TFloat32> sum = adam.accumulator();
    Placeholder<TFloat32> share = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.scalar()));
    Operand<TFloat32> part = tf.math.mul(gradient, share);
    Operand<TFloat32> whole = tf.math.add(sum, part);
    Operand<TFloat32> wholeNorm = AdamW.norm(tf, whole);
    return new Accumulation(
        share,
        tf.assign(sum, part),
        tf.assignAdd(sum, part),
        wholeNorm,
        adam.step(whole, wholeNorm, options.maxGradientNorm()));
  }

  /** A step in parts: each but the last leaves its share of the gradient in a sum. */
  private final class Accumulation {
    private final Operand<TFloat32> share;
    private final Op first;
    private final Op more;
    private final Operand<TFloat32> wholeNorm;
    private final Op last;

    Accumulation(Operand<TFloat32> share, Op first, Op more, Operand<TFloat32> wholeNorm, Op last) {
      this.share = share;
      this.first = first;
      this.more = more;
      this.wholeNorm = wholeNorm;
      this.last = last;
    }

    double step(Images batch, int... classes) {
      float[] values = batch.toArray();
      int imageSize = values.length / batch.count();
      double value = 0;
      for (int from = 0; from < batch.count(); from += options.microBatch()) {
        int to = Math.min(batch.count(), from + options.microBatch());
        double weight = (double) (to - from) / batch.count();
        Images part =
            Images.of(
                to - from,
                batch.height(),
                batch.width(),
                batch.channels(),
                Arrays.copyOfRange(values, from * imageSize, to * imageSize));
        int[] labelsOfPart = classes.length == 0 ? classes : Arrays.copyOfRange(classes, from, to);
        boolean isLast = to == batch.count();
        try (Result result = runPart(part, labelsOfPart, from, weight, isLast)) {
          value += weight * ((TFloat32) result.get(0)).getFloat();
          if (isLast) {
            stepped(value, ((TFloat32) result.get(1)).getFloat());
          }
        }
      }
      return value;
    }

    private Result runPart(Images part, int[] classes, int from, double weight, boolean isLast) {
      // Each part draws its own noise: its number goes above that of the draw.
      long draws = step + ((long) (from / options.microBatch()) << 48);
      try (TFloat32 weightTensor = TFloat32.scalarOf((float) weight);
          TFloat32 numbers = numbers()) {
        return run(
            part,
            classes,
            draws,
            runner -> {
              runner.feed(share, weightTensor);
              return isLast
                  ? runner.feed(adam.numbers(), numbers).fetch(wholeNorm).addTarget(last)
                  : runner.addTarget(from == 0 ? first : more);
            });
      }
    }
  }

  /**
   * Trains up to {@link #totalSteps}.
   *
   * @param data of the network's size; continues where the steps taken so far left off
   * @param listener told after each step; training stops when it answers {@code false}
   * @throws IllegalStateException if the number of steps in all is not known
   */
  public void train(Dataset data, Predicate<TrainingProgress> listener) {
    checkState(totalSteps > 0, "the number of steps is not known: call setTotalSteps first");
    run(data, Duration.ZERO, listener);
  }

  /**
   * Trains for about that long: the first steps are timed, and fix the number of steps in all. If
   * that is known already, as after {@link #resume}, it stays.
   *
   * @param data of the network's size; continues where the steps taken so far left off
   * @param time above zero
   * @param listener told after each step; training stops when it answers {@code false}
   */
  public void train(Dataset data, Duration time, Predicate<TrainingProgress> listener) {
    checkArgument(time.compareTo(Duration.ZERO) > 0, "time must be above zero, got %s", time);
    run(data, time, listener);
  }

  private void run(Dataset data, Duration time, Predicate<TrainingProgress> listener) {
    checkData(data);
    long begin = System.nanoTime();
    long firstStep = step;
    double secondsPerStep = 0;
    boolean goOn = true;
    int[] indices = indices(data, step);
    CompletableFuture<Images> next = images(data, indices);
    while (goOn && (totalSteps == 0 || step < totalSteps)) {
      long start = System.nanoTime();
      Images batch = next.join();
      int[] classes = labels(data, indices);
      // Made while this step is taken.
      indices = indices(data, step + 1);
      next = images(data, indices);
      double learningRate = options.learningRate(step, totalSteps);
      double value = step(batch, classes);
      double seconds = (System.nanoTime() - start) / 1e9;
      long taken = step - firstStep;
      if (taken <= UNTIMED_STEPS) {
        secondsPerStep = seconds;
      } else {
        // The mean of the timed steps at first, then a moving average.
        secondsPerStep += (seconds - secondsPerStep) / Math.min(taken - UNTIMED_STEPS, TIMED_STEPS);
      }
      double elapsed = (System.nanoTime() - begin) / 1e9;
      double budget = time.toMillis() / 1e3;
      // When the learning rate begins to depend on it: the longer timed, the better. But not when
      // time is nearly up.
      if (totalSteps == 0
          && (taken >= Math.max(UNTIMED_STEPS + TIMED_STEPS, options.warmupSteps())
              || elapsed >= budget / 4)) {
        setTotalSteps(step + Math.max(0, Math.round((budget - elapsed) / secondsPerStep)));
      }
      Duration left =
          Duration.ofMillis(Math.round(1000 * secondsPerStep * Math.max(0, totalSteps - step)));
      goOn =
          listener.test(
              new TrainingProgress(
                  step,
                  totalSteps,
                  value,
                  learningRate,
                  options.batchSize() / secondsPerStep,
                  left));
    }
  }

  private int[] indices(Dataset data, long position) {
    return data.batch(position * options.batchSize(), options.batchSize(), options.seed());
  }

  private static CompletableFuture<Images> images(Dataset data, int... indices) {
    return CompletableFuture.supplyAsync(() -> data.images(indices));
  }

  /**
   * The model as it is now, with the moving average of the weights, ready to sample in the
   * precision of the training; it doesn't change as training goes on. Who asks for it closes it.
   */
  public Predictor predictor() {
    checkOpen();
    return new TfPredictor(
        config,
        info(),
        pipeline.sampler(),
        parameters.unpack(adam.get(session, State.EMA)),
        options.precision());
  }

  /**
   * Saves the model in the layout of diffusers, with the moving average of the weights, and beside
   * it, in {@code training/}, all that {@link #resume} needs.
   *
   * @param folder made if need be; what was saved there before is replaced, other files stay
   * @throws IOException if it can't be written; what was there before stays
   */
  public void save(Path folder) throws IOException {
    checkOpen();
    Map<String, Weight> averaged = parameters.unpack(adam.get(session, State.EMA));
    ObjectNode state = ModelFolder.JSON.createObjectNode();
    state.put("step", step).put("total_steps", totalSteps);
    state.put("started_from", startedFrom.map(Path::toString).orElse(null));
    teacher.ifPresent(given -> state.set(AUTOGUIDANCE, given.json()));
    state.set("options", ModelFolder.JSON.valueToTree(options));
    new ModelFolder(config, info, pipeline, averaged)
        .write(
            folder,
            DType.F32,
            Map.of(
                TRAINING,
                part -> {
                  Files.createDirectory(part);
                  for (State vector : State.values()) {
                    SafeTensors.write(
                        file(part, vector), parameters.unpack(adam.get(session, vector)));
                  }
                  ModelFolder.writeJson(part.resolve(STATE), state);
                }));
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
    Map<String, Weight> averaged = parameters.unpack(adam.get(session, State.EMA));
    new ModelFolder(config, info, pipeline, averaged).write(folder, DType.F16, Map.of());
  }

  /** Frees what training holds. Closing twice does nothing. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      session.close();
      graph.close();
    }
  }

  /** Ho et al. 2020, algorithm 1, for any prediction type. */
  private Operand<TFloat32> loss(Ops tf) {
    Operand<TInt32> shape = tf.shape(images);
    Operand<TInt32> count = tf.slice(shape, tf.constant(new int[] {0}), tf.constant(new int[] {1}));
    double[] weights =
        SchedulerOps.minSnrWeights(info.schedule(), info.predictionType(), options.minSnrGamma());
    Operand<TInt32> timesteps =
        SchedulerOps.drawTimesteps(
            tf,
            weights,
            tf.squeeze(count),
            tf.random.statelessRandomUniform(tf.constant(new int[0]), seed(tf, 0)));
    Operand<TFloat32> epsilon = tf.random.statelessRandomNormal(shape, seed(tf, 1));
    Operand<TFloat32> x = SchedulerOps.addNoise(tf, info.schedule(), images, epsilon, timesteps);
    Operand<TFloat32> times = tf.dtypes.cast(timesteps, TFloat32.class);
    Optional<Operand<TInt32>> given =
        config.classEmbeddings() == 0 ? Optional.empty() : Optional.of(droppedLabels(tf, count));
    Operand<TFloat32> out =
        UNet.forward(tf, config, options.precision(), adam, x, times, given, dropout(tf));
    Operand<TFloat32> target =
        teacher.isPresent()
            ? teacher.get().target(tf, options.precision(), x, times, given)
            : SchedulerOps.target(
                tf, info.schedule(), info.predictionType(), images, epsilon, timesteps);
    Operand<TFloat32> error = tf.math.sub(out, target);
    Operand<TFloat32> squared = tf.math.mul(error, error);
    double meanWeight = Arrays.stream(weights).average().orElseThrow();
    return tf.math.mul(
        tf.math.mean(squared, tf.constant(new int[] {0, 1, 2, 3})),
        tf.constant((float) meanWeight));
  }

  private Operand<TInt32> droppedLabels(Ops tf, Operand<TInt32> count) {
    if (options.labelDropout() == 0) {
      return labels;
    }
    Operand<TFloat32> draw = tf.random.statelessRandomUniform(count, seed(tf, 2));
    return tf.select(
        tf.math.less(draw, tf.constant((float) options.labelDropout())),
        tf.fill(count, tf.constant(config.classes())),
        labels);
  }

  /** Sets a share of the hidden values to 0 and scales up the others; each call draws its own. */
  private Dropout dropout(Ops tf) {
    if (config.dropout() == 0) {
      return Dropout.NONE;
    }
    float kept = (float) (1 - config.dropout());
    AtomicInteger draws = new AtomicInteger(3);
    return new Dropout() {
      @Override
      public <T extends TFloating> Operand<T> apply(Operand<T> hidden) {
        Operand<TFloat32> draw =
            tf.random.statelessRandomUniform(tf.shape(hidden), seed(tf, draws.getAndIncrement()));
        Operand<TFloat32> mask =
            tf.math.mul(
                tf.dtypes.cast(tf.math.less(draw, tf.constant(kept)), TFloat32.class),
                tf.constant(1 / kept));
        return tf.math.mul(hidden, tf.stopGradient(Layers.cast(tf, mask, hidden.type())));
      }
    };
  }

  /**
   * The seed of a step's draw: (seed, step) with the number of the draw in the step's upper half.
   */
  private Operand<TInt64> seed(Ops tf, int draw) {
    return tf.math.add(randomness, tf.constant(new long[] {0, (long) draw << 32}));
  }

  private int[] labels(Dataset data, int[] indices) {
    return config.classEmbeddings() == 0 ? new int[0] : data.labels(indices);
  }

  private void checkData(Dataset data) {
    checkArgument(
        data.height() == info.height()
            && data.width() == info.width()
            && data.channels() == info.channels(),
        "the network is for pictures of %sx%sx%s, got %sx%sx%s",
        info.height(),
        info.width(),
        info.channels(),
        data.height(),
        data.width(),
        data.channels());
    checkArgument(
        info.classes() == 0 || info.classes() == data.classes(),
        "the network has %s classes, the data %s",
        info.classes(),
        data.classes());
  }

  private void checkBatch(Images batch, int[] classes) {
    checkArgument(
        batch.count() > 0
            && batch.height() == info.height()
            && batch.width() == info.width()
            && batch.channels() == info.channels(),
        "a batch needs at least 1 image of %sx%sx%s, got %s",
        info.height(),
        info.width(),
        info.channels(),
        batch);
    int wanted = info.classes() == 0 ? 0 : batch.count();
    checkArgument(
        classes.length == wanted,
        "a network with %s classes needs %s labels for %s images, got %s",
        info.classes(),
        wanted,
        batch.count(),
        classes.length);
    for (int label : classes) {
      checkArgument(
          label >= 0 && label < info.classes(),
          "labels must be in [0, %s], got %s",
          info.classes() - 1,
          label);
    }
  }

  private void checkOpen() {
    checkState(!closed, "the trainer is closed");
  }

  private static Path file(Path training, State vector) {
    return training.resolve(vector.name().toLowerCase(Locale.ROOT) + ".safetensors");
  }
}

package io.github.ddpm.tf;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.io.Closer;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.tf.TrainingVectors.Vector;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.PipelineScheduler;
import io.github.ddpm.tf.files.WeightSource;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What a training begins or goes on with.
 *
 * @param layout how the weights lie in the vectors
 * @param vectors what the vectors are
 */
record TrainingStart(
    ModelConfig model,
    Optional<Teacher> teacher,
    TrainingFolder.State state,
    WeightLayout layout,
    TrainingVectors.Values vectors) {

  /** Refuses what can't be trained. */
  TrainingStart {
    int conditionChannels = model.info().conditionChannels();
    checkArgument(
        conditionChannels == 0,
        "training on pairs of pictures is not built, so a network can't have condition channels, got %s",
        conditionChannels);
  }

  /** Makes a start with random weights. */
  static TrainingStart random(
      UNetConfig network, BetaSchedule schedule, PredictionType type, TrainingOptions options) {
    WeightLayout layout = new WeightLayout(UNet.shapes(network));
    return new TrainingStart(
        new ModelConfig(
            network, network.info(schedule, type), PipelineScheduler.ofTrained(schedule)),
        Optional.empty(),
        TrainingFolder.State.start(options, Optional.empty()),
        layout,
        fresh(layout.initial(options.seed())));
  }

  /**
   * Makes a start with the weights of a model.
   *
   * @param folder that the model was read from
   * @param network the model's, or a deeper one
   * @throws IOException if the weights can't be read or are not the network's
   */
  static TrainingStart from(
      Path folder,
      ModelFolder saved,
      UNetConfig network,
      Optional<Teacher> teacher,
      TrainingOptions options)
      throws IOException {
    WeightLayout layout = ModelFiles.layout(saved);
    WeightSource weights = saved.weights().source();
    int layers = saved.config().network().levels().layersPerBlock();
    int more = network.levels().layersPerBlock() - layers;
    if (more > 0) {
      layout = new WeightLayout(UNet.shapes(network));
      WeightSource initial = layout.source(layout.initial(options.seed()));
      weights = new Deepening(weights, layers, initial, more);
    }
    // Who learns from the data, or all timesteps, is no longer the model of few steps it was, and
    // the data may be other data. The loss says nothing of a variance.
    ModelConfig start =
        new ModelConfig(
            network,
            Teacher.question(saved.config().info()),
            saved.config().pipeline().withoutLearnedVariance());
    return new TrainingStart(
        teacher.map(given -> given.student(start)).orElse(start),
        teacher,
        TrainingFolder.State.start(options, Optional.of(folder)),
        layout,
        fresh(layout.pack(weights)));
  }

  /** Returns some weights, of which the moving average is the same, and moments of 0. */
  private static TrainingVectors.Values fresh(float[] weights) {
    return vector ->
        vector == Vector.WEIGHTS || vector == Vector.EMA ? weights : new float[weights.length];
  }

  /**
   * Reads what was saved.
   *
   * @param saved which must stay open until the vectors have been read
   * @param closer is given what else must
   * @throws IOException if something is missing or wrong; the message names the file
   * @throws IllegalArgumentException if what is learned from is no longer what it was
   */
  static TrainingStart resumed(ModelFolder saved, Closer closer) throws IOException {
    WeightLayout layout = ModelFiles.layout(saved);
    TrainingFolder.State state = TrainingFolder.read(saved.files());
    Optional<Teacher> teacher = teacher(state, saved.config().info(), closer);
    // Whatever the model's own configuration has, these are of the same moment as the weights.
    ModelInfo info = saved.config().info().withLabelCounts(state.labelCounts());
    return new TrainingStart(
        new ModelConfig(saved.config().network(), info, saved.config().pipeline()),
        teacher,
        state,
        layout,
        vector -> TrainingFolder.read(saved.files(), vector, layout));
  }

  /**
   * Makes a start of a description, for who computes gradients: it has no vectors.
   *
   * @param closer is given what must stay open until the teacher's weights have been read
   * @throws IllegalArgumentException if it is none, or what is learned from is not what it is for
   *     the trainer
   */
  static TrainingStart described(String training, Closer closer) {
    TrainingFolder.Described described = TrainingFolder.described(training);
    ModelConfig model = described.model();
    TrainingFolder.State state = described.state();
    return new TrainingStart(
        model,
        teacher(state, model.info(), closer),
        state,
        new WeightLayout(UNet.shapes(model.network())),
        vector -> {
          throw new IllegalStateException("a description has no vectors");
        });
  }

  private static Optional<Teacher> teacher(
      TrainingFolder.State state, ModelInfo trained, Closer closer) {
    return state
        .taught()
        .map(taught -> Teacher.resume(state.startedFrom().orElseThrow(), taught, trained, closer));
  }
}

package io.github.ddpm;

import static java.util.Objects.requireNonNull;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * A trained network, ready to be called by any number of threads. Whoever opens one closes it.
 *
 * <p>To run a network of another kind with these samplers, implement {@link #info} and {@link
 * #predict}, whose arguments {@link ModelInfo#checkInput} checks.
 */
public interface Predictor extends AutoCloseable {
  /** {@return what the model is} */
  ModelInfo info();

  /**
   * Calls the network once.
   *
   * @param x noisy images [n, height, width, channels] in row-major order, about [-4, 4]; for a
   *     model that takes a {@linkplain Sampler#condition condition} [n, height, width, channels +
   *     conditionChannels], of which the last are those of the condition
   * @param timestep in [0, T-1], the same for all; whole or fractional
   * @param labels one label per image, in [0, classes), or {@code classes} for the null label of a
   *     model that has one; empty for a model without labels
   * @return the prediction [n, height, width, channels]: what {@link ModelInfo#predictionType} says
   * @throws IllegalArgumentException if an argument is not of that shape or range
   * @throws IllegalStateException after {@link #close}
   */
  float[] predict(float[] x, double timestep, int... labels);

  /**
   * Calls the network once for the variance that it learned, of which {@link
   * Sampler#learnedVariance} tells.
   *
   * @param x as in {@link #predict}
   * @param timestep in [0, T-1], the same for all; whole or fractional
   * @param labels one label per image; empty for a model without labels
   * @return of the shape of the prediction: 0 for the least variance of a value, 1 for the most, on
   *     a scale of logarithms; nothing keeps a network from going beyond
   * @throws IllegalArgumentException as {@link #predict} does, and if the network learned none
   * @throws IllegalStateException after {@link #close}
   * @implSpec The default is that of a network that learned none.
   */
  default float[] predictVariance(float[] x, double timestep, int... labels) {
    throw new IllegalArgumentException("the model learned no variance");
  }

  /**
   * {@return a sampler with this model, set up as the model comes: for a loaded one, as its {@code
   * scheduler_config.json} and pipeline have it in Python, but that timesteps are spaced by the
   * {@linkplain ModelInfo#spacingExponent exponent} of a model that has one, and that one that was
   * distilled takes the {@linkplain ModelInfo#steps steps} that it was distilled for} Any other
   * sampler works as well.
   *
   * @implSpec The default is {@code Sampler.ddim(0).with(this)}.
   */
  default Sampler sampler() {
    return Sampler.ddim(0).with(this);
  }

  /**
   * Makes images of noise by running the rows of a table. Each row ends in {@link
   * DenoiseRequest#report}, so that a listener is told of it, and a listener or an interrupt ends
   * sampling there.
   *
   * @param request the rows to run, and for which images
   * @return {@code request.count()} images
   * @throws IllegalArgumentException if the request doesn't fit the model
   * @throws java.util.concurrent.CancellationException after a row, if the listener asks for it or
   *     this thread is interrupted, which it stays
   * @throws IllegalStateException after {@link #close}, or if the network returned a number that is
   *     not finite
   * @implSpec The default calls {@link #predict} once per row, twice with guidance, and {@link
   *     #predictVariance} where that is asked for, for all images together. An override may be
   *     faster but must give the same images up to float rounding, and must report each row.
   */
  default Images denoise(DenoiseRequest request) {
    ModelInfo model = info();
    int[] labels = request.labels(model);
    int[] nullLabels = request.isGuided() ? request.nullLabels(model) : labels;
    float[] conditions = request.conditions();
    float[] x = request.initial(model.imageSize());
    float[] none = new float[x.length];
    Deque<float[]> kept = new ArrayDeque<>(List.of(none, none, none));
    List<Step> steps = request.steps();
    for (int row = 0; row < steps.size() && request.count() > 0; row++) {
      Step step = steps.get(row);
      float[] input = model.input(x, conditions);
      float[] out = predict(input, step.timestep(), labels);
      if (request.isGuided(row)) {
        float[] unguided = predict(input, step.timestep(), nullLabels);
        out = Estimates.guided(request.guidance(), out, unguided, request.count());
      }
      float[] z = step.fromNoise() > 0 ? request.stepNoise(row, model.imageSize()) : none;
      double range = request.varianceRange(row);
      if (range > 0) {
        z = Estimates.spread(z, predictVariance(input, step.timestep(), labels), range);
      }
      float[] oldest = kept.removeLast();
      float[] older = kept.peekLast();
      float[] previous = kept.peekFirst();
      float[] x0 = Estimates.ofImages(request, step, x, out);
      float[] next = new float[x.length];
      float[] keeps = new float[x.length];
      for (int i = 0; i < x.length; i++) {
        next[i] =
            (float)
                (step.fromX() * x[i]
                    + step.fromOut() * out[i]
                    + step.fromX0() * x0[i]
                    + step.fromPrevious() * previous[i]
                    + step.fromOlder() * older[i]
                    + step.fromOldest() * oldest[i]
                    + step.fromNoise() * z[i]);
        keeps[i] = (float) (step.keptFromX() * x[i] + step.keptFromX0() * x0[i]);
      }
      request.inpaint(row, next);
      request.report(row, () -> model.images(x0));
      x = next;
      kept.addFirst(keeps);
    }
    return model.images(x);
  }

  /**
   * Frees what the model holds, once nobody samples from it any more. A second call does nothing.
   *
   * @throws IllegalStateException from a listener of this model's own sampling; cancel first
   */
  @Override
  void close();

  /**
   * Opens a saved model in the precision that is fastest on this machine; see {@link #load(Path,
   * Precision)}. Ask for {@link Precision#FLOAT32} where the same images are wanted on all
   * machines.
   *
   * @param folder a model in the layout of diffusers
   * @return a model, which the caller closes
   * @throws IOException as that method does
   * @throws IllegalStateException as that method does
   */
  static Predictor load(Path folder) throws IOException {
    return Predictors.provider().load(folder, null);
  }

  /**
   * Opens a saved model. What this library saved has checksums, and the newest save that is whole
   * is opened; the system property {@code io.github.ddpm.tf.checksums} is {@code false} where that
   * is not to be checked.
   *
   * @param folder a model in the layout of diffusers: {@code model_index.json}, which may be
   *     missing, {@code unet/} and {@code scheduler/}, or what is in these two side by side; {@code
   *     docs/diffusers.md} lists the options of diffusers that work
   * @param precision what to compute in, whatever the weights are stored in
   * @return a model, which the caller closes
   * @throws IOException if the folder can't be read or isn't a model; the message names the file
   *     and what is wrong
   * @throws IllegalStateException if nothing on the class path or module path can run models, in
   *     which case the message says what to add, or if TensorFlow can't be set up, in which case it
   *     says why and what to do
   */
  static Predictor load(Path folder, Precision precision) throws IOException {
    return Predictors.provider().load(folder, requireNonNull(precision, "precision"));
  }

  /**
   * Opens a network that was saved alone in the precision that is fastest on this machine; see
   * {@link #load(Path, BetaSchedule, PredictionType, Precision)}.
   *
   * @param folder {@code config.json} and the weights
   * @param schedule the noise that it was trained with
   * @param type what it predicts
   * @return a model, which the caller closes
   * @throws IOException as that method does
   * @throws IllegalArgumentException as that method does
   * @throws IllegalStateException as that method does
   */
  static Predictor load(Path folder, BetaSchedule schedule, PredictionType type)
      throws IOException {
    return Predictors.provider()
        .load(folder, requireNonNull(schedule, "schedule"), requireNonNull(type, "type"), null);
  }

  /**
   * Opens a network that was saved alone, as {@code UNet2DModel.save_pretrained} does: such a
   * folder doesn't say what noise the network was trained with, nor what it predicts, so you do. A
   * wrong answer makes pictures too, but bad ones. Its own {@link #sampler} is DDPM, by default in
   * all timesteps but at most 1000, with estimates clipped to [-1, 1].
   *
   * @param folder {@code config.json} and the weights: {@code unet/} of a model, or {@code
   *     unet_ema/} of a training's checkpoint. A folder with {@code unet/} in it works as well;
   *     what it says of a scheduler or a pipeline is not read, so that this also opens a model
   *     whose scheduler {@link #load(Path, Precision)} refuses. What this library saved has its
   *     checksums there, and not in {@code unet/}
   * @param schedule the noise that it was trained with
   * @param type what it predicts
   * @param precision what to compute in, whatever the weights are stored in
   * @return a model, which the caller closes
   * @throws IOException if the folder can't be read or has no such network; the message names the
   *     file and what is wrong
   * @throws IllegalArgumentException if the type doesn't go with the schedule, as ε with zero
   *     terminal SNR
   * @throws IllegalStateException as {@link #load(Path, Precision)} does
   */
  static Predictor load(
      Path folder, BetaSchedule schedule, PredictionType type, Precision precision)
      throws IOException {
    return Predictors.provider()
        .load(
            folder,
            requireNonNull(schedule, "schedule"),
            requireNonNull(type, "type"),
            requireNonNull(precision, "precision"));
  }

  /**
   * Opens what is newest of a model on a hub, in the precision that is fastest on this machine; see
   * {@link #fromHub(String, String, Precision)}.
   *
   * @param name {@code owner/name} on the hub
   * @return a model, which the caller closes
   * @throws IOException as that method does
   * @throws IllegalArgumentException as that method does
   * @throws IllegalStateException as that method does
   */
  static Predictor fromHub(String name) throws IOException {
    return fromHub(name, "main");
  }

  /**
   * Opens a model on a hub in the precision that is fastest on this machine; see {@link
   * #fromHub(String, String, Precision)}.
   *
   * @param name {@code owner/name} on the hub
   * @param revision a branch, a tag or a commit
   * @return a model, which the caller closes
   * @throws IOException as that method does
   * @throws IllegalArgumentException as that method does
   * @throws IllegalStateException as that method does
   */
  static Predictor fromHub(String name, String revision) throws IOException {
    return Predictors.provider()
        .fromHub(requireNonNull(name, "name"), requireNonNull(revision, "revision"), null);
  }

  /**
   * Opens a model that the hub of Hugging Face has, as {@link #load(Path, Precision)} opens it. Its
   * files are downloaded over HTTPS, checked against the sizes and checksums that the hub has of
   * them, and kept; a download that broke off goes on where it was. Nothing in them is run.
   *
   * <p>They are kept where Python's huggingface_hub keeps them and in its layout, so that neither
   * downloads what the other has. The environment variables are Python's too: {@code HF_HUB_CACHE}
   * or {@code HF_HOME} say where that is ({@code ~/.cache/huggingface/hub} unless set), {@code
   * HF_TOKEN} is for models that not everybody may have, {@code HF_ENDPOINT} names another hub, and
   * with {@code HF_HUB_OFFLINE=1} nothing is asked for.
   *
   * @param name {@code owner/name}
   * @param revision a branch or tag, such as {@code main}: the hub is asked which commit that is,
   *     and what was kept of it is opened if it can't be reached; or a commit of 40 digits, which
   *     is always the same and needs no network once it is kept
   * @param precision what to compute in, whatever the weights are stored in
   * @return a model, which the caller closes
   * @throws IOException if the hub doesn't give the model, the connection breaks time and again,
   *     what arrives is not what the hub says that it is, or it isn't a model that can be opened;
   *     the message says which and what to do
   * @throws IllegalArgumentException if that can be no name, no revision, or no value of one of the
   *     environment variables
   * @throws IllegalStateException as {@link #load(Path, Precision)} does
   */
  static Predictor fromHub(String name, String revision, Precision precision) throws IOException {
    return Predictors.provider()
        .fromHub(
            requireNonNull(name, "name"),
            requireNonNull(revision, "revision"),
            requireNonNull(precision, "precision"));
  }

  /**
   * Opens the model {@code digits}; see {@link #pretrained(String)}.
   *
   * @return a model, which need not be closed
   * @throws IllegalStateException as that method does
   */
  static Predictor pretrained() {
    return pretrained("digits");
  }

  /**
   * Opens a model that comes with the library in the precision that is fastest on this machine; see
   * {@link #pretrained(String, Precision)}.
   *
   * @param name such as {@code digits} or {@code digits-1}
   * @return a model, which need not be closed
   * @throws IllegalArgumentException as that method does
   * @throws IllegalStateException as that method does
   */
  static Predictor pretrained(String name) {
    return Predictors.provider().pretrained(requireNonNull(name, "name"), null);
  }

  /**
   * Opens a model that comes with the library. All draw handwritten digits: 28x28, gray, classes 0
   * to 9 and a null label. A model is loaded when it is first asked for in a precision and shared
   * from then on, so closing it does nothing.
   *
   * @param name {@code digits}, which takes as many steps as you like, by any solver; or {@code
   *     digits-4}, {@code digits-2} or {@code digits-1}, which learned from it to take that many
   *     steps of {@link Sampler#ddim ddim(0)}, and take them unless told otherwise
   * @param precision what to compute in
   * @return a model, which need not be closed
   * @throws IllegalArgumentException if there is none of that name; the message lists the names
   * @throws IllegalStateException if nothing on the class path or module path can run models, in
   *     which case the message says what to add, or if the model's files are damaged, in which case
   *     it says which and how, or if TensorFlow can't be set up, in which case it says why and what
   *     to do
   */
  static Predictor pretrained(String name, Precision precision) {
    return Predictors.provider()
        .pretrained(requireNonNull(name, "name"), requireNonNull(precision, "precision"));
  }
}

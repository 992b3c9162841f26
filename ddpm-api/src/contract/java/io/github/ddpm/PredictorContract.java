package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.util.concurrent.Uninterruptibles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What every {@link Predictor} keeps to. Extend it and hand over a model; the tests adapt to its
 * {@link ModelInfo} (with or without labels, a null label, a condition) and need at least 5
 * training timesteps. A tiny model is best: each test opens its own.
 */
public abstract class PredictorContract {
  private static final int STEPS = 4;
  private static final long SEED = 20;

  private Predictor model;
  private ModelInfo info;

  /** Opens a model that nobody else uses; the contract closes it. */
  protected abstract Predictor predictor();

  /**
   * How far the values of two images that should be equal may be apart: float rounding in the
   * network, carried through a few rows. Pixels are in [-1, 1].
   */
  protected float tolerance() {
    return 1e-3f;
  }

  /** Whether the model learned a variance. */
  protected boolean learnsVariance() {
    return false;
  }

  @BeforeEach
  final void open() {
    model = predictor();
    info = model.info();
  }

  @AfterEach
  final void close() {
    model.close();
  }

  @Test
  final void imageIsTheSameAloneAndInABatch() {
    for (Sampler sampler : samplers()) {
      Images batch = sampler.sample(5);
      assertShape(batch, 5);
      for (int k = 0; k < 5; k++) {
        assertSame(sampler.first(k).sample(1), batch.slice(k, k + 1));
      }
      assertSame(sampler.first(2).sample(3), batch.slice(2, 5));
      assertSame(sampler.sample(2), batch.slice(0, 2));
    }
  }

  @Test
  final void itsOwnSamplerHasThisModel() {
    Sampler own = conditioned(model.sampler().steps(2).seed(SEED));
    Sampler labeled = info.classes() == 0 ? own : own.labels(0);
    assertShape(labeled.sample(2), 2);
    assertSame(labeled.with(model).sample(2), labeled.sample(2));
  }

  @Test
  final void imageIsTheSameWhenSplitOverThreads() throws Exception {
    Sampler sampler = samplers().get(1);
    Images batch = sampler.sample(6);
    List<Images> parts =
        together(
            List.of(
                () -> sampler.sample(1),
                () -> sampler.first(1).sample(3),
                () -> sampler.first(4).sample(2)));
    assertSame(parts.get(0), batch.slice(0, 1));
    assertSame(parts.get(1), batch.slice(1, 4));
    assertSame(parts.get(2), batch.slice(4, 6));
  }

  @Test
  final void imagesOfOneSeedDiffer() {
    Images images = samplers().get(0).sample(2);
    assertThat(images.slice(0, 1)).isNotEqualTo(images.slice(1, 2));
  }

  @Test
  final void denoiseIsTheDefault() {
    Predictor plain = plain(model);
    for (Sampler sampler : samplers()) {
      assertSame(sampler.sample(3), sampler.with(plain).sample(3));
      assertSame(
          sampler.clip(Double.POSITIVE_INFINITY).steps(2).sample(2),
          sampler.clip(Double.POSITIVE_INFINITY).steps(2).with(plain).sample(2));
    }
  }

  /** What is not a matter of rows. */
  @Test
  final void denoiseIsTheDefaultForAllElseThatIsAskedFor() {
    Predictor plain = plain(model);
    Images images = info.images(noise(2));
    float[] half = new float[info.height() * info.width()];
    Arrays.fill(half, half.length / 2, half.length, 1);
    Images mask = Images.of(1, info.height(), info.width(), 1, half);
    double middle = info.schedule().sigma((info.schedule().timesteps() - 1) / 2.0);
    for (Sampler sampler : samplers()) {
      List<Sampler> asked =
          new ArrayList<>(
              List.of(
                  sampler.from(images, 0.5),
                  sampler.startingAt(images),
                  sampler.inpainting(images, mask),
                  sampler.threshold(0.9, 3),
                  sampler.threshold(0.5, 1)));
      if (info.nullLabel()) {
        Sampler guided = sampler.labels(0, 1).guidance(3);
        asked.add(guided.guidanceRescale(0.7));
        asked.add(guided.guidanceRescale(0.7).threshold(0.9, 2));
        asked.add(guided.guidanceInterval(middle, Double.POSITIVE_INFINITY));
        asked.add(guided.guidanceInterval(0, middle).guidanceRescale(1));
        asked.add(guided.nullLabel(1));
      }
      for (Sampler one : asked) {
        assertSame(one.sample(3), one.with(plain).sample(3));
      }
    }
  }

  @Test
  final void strengthSaysHowMuchOfAnImageStays() {
    Images images = info.images(noise(2));
    Sampler sampler = samplers().get(0);
    Images same = sampler.from(images, 0).sample(3);
    assertThat(same.slice(0, 2)).isEqualTo(images);
    assertThat(same.slice(2, 3)).isEqualTo(images.slice(0, 1));
    assertSame(sampler.from(images, 1).sample(3), sampler.sample(3));
    assertThat(sampler.from(images, 0.5).sample(3)).isNotEqualTo(sampler.sample(3));
    assertSame(sampler.startingAt(sampler.noise(3)).sample(3), sampler.sample(3));
    assertThat(sampler.from(images, 0.5).first(1).sample(2))
        .isEqualTo(sampler.from(images, 0.5).first(1).sample(3).slice(0, 2));
  }

  @Test
  final void whatIsKnownComesOutAsItIs() {
    Images images = info.images(noise(2));
    float[] half = new float[info.height() * info.width()];
    Arrays.fill(half, half.length / 2, half.length, 1);
    Images mask = Images.of(1, info.height(), info.width(), 1, half);
    int known = half.length / 2 * info.channels();
    for (Sampler sampler : samplers()) {
      Images painted = sampler.inpainting(images, mask).sample(3);
      for (int k = 0; k < 3; k++) {
        float[] image = painted.slice(k, k + 1).toArray();
        float[] whole = images.slice(k % 2, k % 2 + 1).toArray();
        assertThat(Arrays.copyOf(image, known)).containsExactly(Arrays.copyOf(whole, known));
        assertThat(image).isNotEqualTo(whole);
      }
    }
  }

  /** Tables that no scheduler makes, with every weight in use. */
  @Test
  final void denoiseIsTheDefaultForAnyTable() {
    Random random = new Random(1);
    for (int table = 0; table < 4; table++) {
      List<Step> rows = IntStream.range(0, 5).mapToObj(row -> randomRow(random)).toList();
      double guidance = info.nullLabel() && table % 2 == 1 ? 2.5 : 1;
      double clip = table < 2 ? 0.5 : Double.POSITIVE_INFINITY;
      List<List<float[]>> estimates = List.of(new ArrayList<>(), new ArrayList<>());
      Images[] images = new Images[2];
      for (int i = 0; i < 2; i++) {
        List<float[]> told = estimates.get(i);
        DenoiseRequest request =
            request(
                rows,
                3,
                table,
                7,
                labels(),
                guidance,
                clip,
                progress -> told.add(progress.x0().toArray()));
        images[i] = (i == 0 ? model : plain(model)).denoise(request);
      }
      assertSame(images[0], images[1]);
      assertThat(estimates.get(0)).hasSize(5);
      for (int row = 0; row < 5; row++) {
        assertThat(estimates.get(0).get(row))
            .containsExactly(estimates.get(1).get(row), within(tolerance()));
      }
    }
  }

  @Test
  final void aLearnedVarianceIsThatOfTheDefault() {
    Sampler fixed =
        conditioned(Sampler.ddpm().steps(STEPS).labels(labelArray(3)).seed(SEED).with(model));
    Sampler learned = fixed.learnedVariance();
    if (!learnsVariance()) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> learned.sample(3))
          .withMessage("the model learned no variance");
      return;
    }
    assertThat(learned.sample(3)).isNotEqualTo(fixed.sample(3));
    List<Sampler> samplers = new ArrayList<>(List.of(learned, learned.threshold(0.5, 2)));
    if (info.nullLabel()) {
      samplers.add(learned.guidance(2.5));
      samplers.add(learned.guidance(2.5).guidanceRescale(0.7));
    }
    for (Sampler sampler : samplers) {
      Images images = sampler.sample(3);
      assertSame(images, sampler.with(plain(model)).sample(3));
      assertSame(images.slice(1, 2), sampler.first(1).labels(labelArray(3)).sample(1));
    }
  }

  @Test
  final void imagesAreConditionedOnPicturesInTurn() {
    Sampler sampler = samplers().get(0);
    if (condition().isEmpty()) {
      Images given = info.images(noise(1));
      assertThatIllegalArgumentException()
          .isThrownBy(() -> sampler.condition(given))
          .withMessageStartingWith("the model takes no condition, got one of ");
      return;
    }
    Images two = condition().get();
    Images images = sampler.sample(3);
    Sampler second = sampler.condition(two.slice(1, 2));
    assertSame(second.first(1).sample(1), images.slice(1, 2));
    assertThat(second.sample(3).slice(0, 1)).isNotEqualTo(images.slice(0, 1));
    assertThat(second.sample(3).slice(2, 3)).isNotEqualTo(images.slice(2, 3));
    DenoiseRequest none =
        new DenoiseRequest(
            List.of(randomRow(new Random(4))), 1, SEED, 0, labels(), 1, 1, progress -> true);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> model.denoise(none))
        .withMessageStartingWith("the model draws by a condition of ");
  }

  private Step randomRow(Random random) {
    double timestep = random.nextDouble() * (info.schedule().timesteps() - 1);
    double alphaBar = info.schedule().alphaBar(timestep);
    double[] weights = random.doubles(8, -0.6, 0.6).toArray();
    return new Step(
        timestep,
        Math.sqrt(alphaBar),
        Math.sqrt(1 - alphaBar),
        weights[0],
        weights[1],
        weights[2],
        weights[3],
        weights[4],
        weights[5],
        weights[6],
        weights[7],
        random.nextDouble() * 0.6,
        random.nextBoolean() ? 0 : 0.4,
        1);
  }

  /** A row that makes the next x of fresh noise alone, so there is nothing to round. */
  @Test
  final void freshNoiseIsThatOfTheRequest() {
    Step noise = new Step(1, 0.8, 0.6, 0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0, 1);
    DenoiseRequest request = request(List.of(noise, noise), labels(), 1);
    float[] z = request.stepNoise(1, info.imageSize());
    float[] images = model.denoise(request).toArray();
    assertThat(images).hasSize(z.length);
    for (int i = 0; i < z.length; i++) {
      assertThat(images[i]).isEqualTo(0.5f * z[i]);
    }
  }

  @Test
  final void listenerIsToldOfEveryRowInOrder() {
    List<Progress> told = new ArrayList<>();
    Images images = samplers().get(0).first(2).listener(told::add).sample(3);
    double[] plan = info.spacing(STEPS).timesteps(info.schedule());
    assertThat(told).hasSize(STEPS);
    for (int row = 0; row < STEPS; row++) {
      Progress progress = told.get(row);
      assertThat(progress.row()).isEqualTo(row);
      assertThat(progress.rows()).isEqualTo(STEPS);
      assertThat(progress.timestep()).isEqualTo(plan[row]);
      assertThat(progress.firstImage()).isEqualTo(2);
      assertShape(progress.x0(), 3);
      for (float value : progress.x0().toArray()) {
        assertThat(value).isBetween(-1f, 1f);
      }
    }
    assertSame(told.get(STEPS - 1).x0(), images);
  }

  @Test
  final void listenerCancels() {
    List<Integer> rows = new ArrayList<>();
    Sampler sampler =
        samplers()
            .get(0)
            .listener(
                progress -> {
                  rows.add(progress.row());
                  return progress.row() < 1;
                });
    assertThatThrownBy(() -> sampler.sample(2)).isInstanceOf(CancellationException.class);
    assertThat(rows).containsExactly(0, 1);
    assertShape(samplers().get(0).sample(1), 1);
  }

  @Test
  final void interruptEndsSamplingAfterTheRow() {
    Sampler sampler = samplers().get(0);
    List<Integer> rows = new ArrayList<>();
    Sampler interrupting =
        sampler.listener(
            progress -> {
              rows.add(progress.row());
              if (progress.row() == 1) {
                Thread.currentThread().interrupt();
              }
              return true;
            });
    try {
      assertThatThrownBy(() -> interrupting.sample(2))
          .isInstanceOf(CancellationException.class)
          .hasMessage("sampling was interrupted after row 2 of " + STEPS);
      assertThat(Thread.currentThread().isInterrupted()).isTrue();
      // And so where nobody listens.
      assertThatThrownBy(() -> sampler.sample(2))
          .isInstanceOf(CancellationException.class)
          .hasMessage("sampling was interrupted after row 1 of " + STEPS);
      assertThat(Thread.currentThread().isInterrupted()).isTrue();
    } finally {
      Thread.interrupted();
    }
    assertThat(rows).containsExactly(0, 1);
    assertShape(sampler.sample(1), 1);
  }

  @Test
  final void cancelingTheFutureEndsSamplingAfterTheRow() throws Exception {
    List<Integer> rows = new ArrayList<>();
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch canceled = new CountDownLatch(1);
    Sampler sampler =
        samplers()
            .get(0)
            .listener(
                progress -> {
                  rows.add(progress.row());
                  begun.countDown();
                  Uninterruptibles.awaitUninterruptibly(canceled);
                  return true;
                });
    ExecutorService thread = Executors.newSingleThreadExecutor();
    Future<Images> future = thread.submit(() -> sampler.sample(2));
    begun.await();
    future.cancel(true);
    canceled.countDown();
    thread.shutdown();
    assertThat(thread.awaitTermination(1, TimeUnit.MINUTES)).isTrue();
    assertThat(rows).containsExactly(0);
  }

  @Test
  final void noImagesAreNoImages() {
    for (Sampler sampler : samplers()) {
      assertShape(sampler.sample(0), 0);
    }
    assertThat(model.predict(new float[0], 0)).isEmpty();
  }

  @Test
  final void eightThreadsWithDifferentSamplersOnOneModel() throws Exception {
    List<Callable<Images>> work = new ArrayList<>();
    List<Sampler> samplers = samplers();
    for (int i = 0; i < 8; i++) {
      Sampler sampler = samplers.get(i % samplers.size()).seed(i).steps(2 + i % 3);
      int n = 1 + i % 4;
      work.add(() -> sampler.sample(n));
    }
    List<Images> alone = new ArrayList<>();
    for (Callable<Images> one : work) {
      alone.add(one.call());
    }
    List<Images> together = together(work);
    for (int i = 0; i < 8; i++) {
      assertSame(together.get(i), alone.get(i));
    }
  }

  private static List<Images> together(List<Callable<Images>> work) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(work.size());
    try {
      CyclicBarrier start = new CyclicBarrier(work.size());
      List<Future<Images>> futures = new ArrayList<>();
      for (Callable<Images> one : work) {
        futures.add(
            threads.submit(
                () -> {
                  start.await();
                  return one.call();
                }));
      }
      List<Images> results = new ArrayList<>();
      for (Future<Images> future : futures) {
        results.add(future.get());
      }
      return results;
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  final void predictionOfAnImageDoesNotDependOnTheOthers() {
    int size = info.imageSize();
    int inputSize = info.inputSize();
    float[] x = input(3);
    float[] before = x.clone();
    double timestep = (info.schedule().timesteps() - 1) / 2.0 + 0.25;
    float[] batch = model.predict(x, timestep, labelArray(3));
    assertThat(x).containsExactly(before);
    assertThat(batch).hasSize(3 * size);
    for (int k = 0; k < 3; k++) {
      int[] label = info.classes() == 0 ? new int[0] : new int[] {labelArray(3)[k]};
      float[] alone =
          model.predict(Arrays.copyOfRange(x, k * inputSize, (k + 1) * inputSize), timestep, label);
      assertThat(alone)
          .containsExactly(
              Arrays.copyOfRange(batch, k * size, (k + 1) * size), within(tolerance()));
    }
  }

  @Test
  final void withoutLabelsMeansTheNullLabelUnlessTheModelKnowsMore() {
    if (info.nullLabel()) {
      assertAsked(List.of(Sampler.NULL_LABEL), info.classes());
    }
    if (info.nullLabel() || !info.labelCounts().isEmpty()) {
      assertAsked(List.of(), info.label(SEED, 0));
    }
  }

  private void assertAsked(List<Integer> labels, int label) {
    List<float[]> told = new ArrayList<>();
    List<Step> rows = List.of(new Step(1, 0.8, 0.6, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1));
    DenoiseRequest request =
        request(
            rows,
            1,
            SEED,
            0,
            labels,
            1,
            Double.POSITIVE_INFINITY,
            progress -> told.add(progress.x0().toArray()));
    float[] images = model.denoise(request).toArray();
    float[] x = request.initialNoise(info.imageSize());
    float[] out = model.predict(info.input(x, request.conditions()), 1, label);
    assertThat(images).containsExactly(out, within(tolerance()));
    assertThat(told.get(0)).containsExactly(out, within(tolerance()));
  }

  @Test
  final void badArgumentsOfPredictAreRefused() {
    int[] labels = labelArray(1);
    refused(new float[info.inputSize() + 1], 0, labels);
    float[] x = input(1);
    refused(x, -0.5, labels);
    refused(x, info.schedule().timesteps(), labels);
    refused(x, Double.NaN, labels);
    if (info.classes() == 0) {
      refused(x, 0, 0);
    } else {
      refused(x, 0);
      refused(x, 0, 0, 0);
      refused(x, 0, -1);
      refused(x, 0, info.classes() + (info.nullLabel() ? 1 : 0));
    }
  }

  private void refused(float[] x, double timestep, int... labels) {
    assertThatIllegalArgumentException().isThrownBy(() -> model.predict(x, timestep, labels));
  }

  @Test
  final void requestsThatDoNotFitTheModelAreRefused() {
    refused(List.of(info.classes()), 1);
    refused(List.of(-1), 1);
    if (!info.nullLabel()) {
      refused(List.of(Sampler.NULL_LABEL), 1);
      refused(labels(), 2);
    } else {
      refused(List.of(Sampler.NULL_LABEL), 2);
    }
    if (info.labelCounts().isEmpty()) {
      refused(List.of(), 2);
      if (info.classes() > 0 && !info.nullLabel()) {
        refused(List.of(), 1);
      }
    }
    Step beyond = new Step(info.schedule().timesteps(), 0.8, 0.6, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1);
    DenoiseRequest request = request(List.of(beyond), labels(), 1);
    assertThatIllegalArgumentException().isThrownBy(() -> model.denoise(request));
  }

  private void refused(List<Integer> labels, double guidance) {
    List<Step> rows = List.of(new Step(1, 0.8, 0.6, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1));
    DenoiseRequest request = request(rows, labels, guidance);
    assertThatIllegalArgumentException().isThrownBy(() -> model.denoise(request));
  }

  private DenoiseRequest request(List<Step> rows, List<Integer> labels, double guidance) {
    return request(rows, 1, SEED, 0, labels, guidance, 1, progress -> true);
  }

  private DenoiseRequest request(
      List<Step> rows,
      int count,
      long seed,
      long first,
      List<Integer> labels,
      double guidance,
      double clip,
      Predicate<Progress> listener) {
    return new DenoiseRequest(
        rows,
        count,
        seed,
        first,
        labels,
        Guidance.of(guidance),
        clip,
        0,
        false,
        Optional.empty(),
        Optional.empty(),
        condition(),
        listener);
  }

  @Test
  final void closedModelIsRefused() {
    Sampler sampler = samplers().get(0);
    model.close();
    assertThatCode(model::close).doesNotThrowAnyException();
    assertThatIllegalStateException().isThrownBy(() -> sampler.sample(1));
    assertThatIllegalStateException().isThrownBy(() -> model.predict(input(1), 0, labelArray(1)));
  }

  /** With and without fresh noise, guidance and clipping, as far as the model can. */
  private List<Sampler> samplers() {
    int[] labels = labels().stream().mapToInt(Integer::intValue).toArray();
    List<Sampler> samplers = new ArrayList<>();
    for (NoiseScheduler scheduler :
        List.of(
            NoiseScheduler.ddim(0),
            NoiseScheduler.ddim(0.5),
            NoiseScheduler.ddpm(),
            NoiseScheduler.dpmSolver())) {
      samplers.add(
          conditioned(Sampler.of(scheduler).with(model).labels(labels).steps(STEPS).seed(SEED)));
    }
    if (info.nullLabel()) {
      samplers.add(samplers.get(1).guidance(2));
      samplers.add(samplers.get(1).labels(Sampler.NULL_LABEL, 0));
    }
    if (info.nullLabel() || !info.labelCounts().isEmpty()) {
      samplers.add(samplers.get(1).labels());
    }
    return samplers;
  }

  private List<Integer> labels() {
    return info.classes() == 0 ? List.of() : List.of(info.classes() - 1, 0);
  }

  private int[] labelArray(int n) {
    return info.classes() == 0
        ? new int[0]
        : IntStream.range(0, n).map(i -> labels().get(i % 2)).toArray();
  }

  private Sampler conditioned(Sampler sampler) {
    return condition().map(sampler::condition).orElse(sampler);
  }

  /** Two pictures, if the model takes a condition. */
  private Optional<Images> condition() {
    int channels = info.conditionChannels();
    return channels == 0
        ? Optional.empty()
        : Optional.of(
            Images.of(
                2,
                info.height(),
                info.width(),
                channels,
                noise(2 * info.height() * info.width() * channels, 3)));
  }

  /** What the network takes, with the condition in it. */
  private float[] input(int n) {
    return noise(n * info.inputSize(), 2);
  }

  private float[] noise(int n) {
    return noise(n * info.imageSize(), 2);
  }

  private static float[] noise(int size, long seed) {
    Random random = new Random(seed);
    float[] x = new float[size];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private void assertShape(Images images, int count) {
    assertThat(images.count()).isEqualTo(count);
    assertThat(images.height()).isEqualTo(info.height());
    assertThat(images.width()).isEqualTo(info.width());
    assertThat(images.channels()).isEqualTo(info.channels());
  }

  private void assertSame(Images actual, Images expected) {
    assertShape(actual, expected.count());
    assertThat(actual.toArray()).containsExactly(expected.toArray(), within(tolerance()));
  }

  /** The same network with the interface's own {@code denoise}. */
  private static Predictor plain(Predictor model) {
    return new Predictor() {
      @Override
      public ModelInfo info() {
        return model.info();
      }

      @Override
      public float[] predict(float[] x, double timestep, int... labels) {
        return model.predict(x, timestep, labels);
      }

      @Override
      public float[] predictVariance(float[] x, double timestep, int... labels) {
        return model.predictVariance(x, timestep, labels);
      }

      @Override
      public void close() {}
    };
  }
}

package io.github.ddpm.tf.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Step;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.files.ModelFolder;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The model in the jar, and what is said of one that is damaged. */
class PretrainedTest {
  private static final String ROOT = "io/github/ddpm/tf/pretrained/";
  private static final long MAX_BYTES = 2_300_000;

  @TempDir Path folder;

  private Path damaged;

  @BeforeEach
  void copyAModel() throws IOException {
    damaged = folder.resolve(ROOT + "damaged");
    Fixtures.copyModel("golden/unet-attention", damaged);
  }

  @Test
  void itDrawsWithoutAModelGiven() {
    Images images = Sampler.ddim(0.0).steps(2).labels(7).guidance(2).seed(1).sample(3);
    assertThat(images.count()).isEqualTo(3);
    assertThat(images.height()).isEqualTo(28);
    Images again =
        Sampler.ddim(0)
            .steps(2)
            .labels(7)
            .guidance(2)
            .seed(1)
            .with(Predictor.pretrained())
            .sample(3);
    assertThat(again.toArray()).containsExactly(images.toArray(), within(1e-3f));
  }

  @ParameterizedTest
  @CsvSource({"digits, 0", "digits-1, 1", "digits-2, 2", "digits-4, 4"})
  void eachHasTheDigitsAndANullLabelAndIsSmall(String name, int steps) throws IOException {
    ModelInfo info = Predictor.pretrained(name).info();
    assertThat(List.of(info.height(), info.width(), info.channels(), info.classes()))
        .containsExactly(28, 28, 1, 10);
    assertThat(info.nullLabel()).isTrue();
    assertThat(info.steps()).isEqualTo(steps);
    assertThat(info.labelCounts())
        .containsExactly(5923L, 6742L, 5958L, 6131L, 5842L, 5421L, 5918L, 6265L, 5851L, 5949L);
    long bytes = 0;
    for (String file : ModelFolder.FILES) {
      URL url = TfPredictorProvider.class.getClassLoader().getResource(ROOT + name + "/" + file);
      assertThat(url).as(file).isNotNull();
      bytes += url.openConnection().getContentLengthLong();
    }
    assertThat(bytes).isLessThanOrEqualTo(MAX_BYTES);
    assertThat(TfPredictorProvider.class.getResource("/" + ROOT + name + "/README.md")).isNotNull();
  }

  /** Each step ends in pictures: far from gray, the paper black and the ink white. */
  @ParameterizedTest
  @ValueSource(strings = {"digits-1", "digits-2", "digits-4"})
  void fewStepsMakeDigits(String name) {
    Predictor model = Predictor.pretrained(name);
    Images sevens = Sampler.ddim(0).with(model).labels(7).seed(1).sample(16);
    int[] counts = new int[3];
    for (float value : sevens.toArray()) {
      counts[value < -0.9 ? 0 : value > 0.8 ? 2 : 1]++;
    }
    int pixels = 16 * 28 * 28;
    assertThat(counts[0]).isBetween(pixels * 7 / 10, pixels * 95 / 100);
    assertThat(counts[2]).isBetween(pixels * 3 / 100, pixels * 15 / 100);
  }

  @Test
  void aNameThatIsNotKnownIsAnsweredWithThoseThatAre() {
    assertThatThrownBy(() -> Predictor.pretrained("digits-3"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("name must be one of digits, digits-4, digits-2, digits-1, got digits-3");
  }

  @Test
  void itIsLoadedOnceHoweverManyAskAndClosingDoesNothing() throws Exception {
    Set<Predictor> found = Collections.newSetFromMap(new IdentityHashMap<>());
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try {
      List<Future<Predictor>> asked =
          threads.invokeAll(Collections.nCopies(8, Predictor::pretrained));
      for (Future<Predictor> one : asked) {
        found.add(one.get());
      }
    } finally {
      threads.shutdown();
    }
    assertThat(found).hasSize(1);
    Predictor.pretrained().close();
    assertThat(Sampler.ddim(0).steps(1).sample(1).count()).isEqualTo(1);
  }

  /** The two round differently, and each is the same model. */
  @Test
  void eachPrecisionIsSharedToo() {
    Predictor exact = Predictor.pretrained("digits", Precision.FLOAT32);
    Predictor rounded = Predictor.pretrained("digits", Precision.BFLOAT16);
    assertThat(Predictor.pretrained("digits", Precision.FLOAT32)).isSameAs(exact);
    assertThat(Predictor.pretrained("digits", Precision.BFLOAT16)).isSameAs(rounded);
    assertThat(Predictor.pretrained()).isIn(exact, rounded);
    float[] x = new float[exact.info().imageSize()];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) Math.sin(i);
    }
    float[] out = exact.predict(x, 500, 7);
    assertThat(rounded.predict(x, 500, 7)).isNotEqualTo(out).containsExactly(out, within(0.1f));
  }

  @Test
  void theNullLabelIsOneCallAway() {
    Predictor model = Predictor.pretrained();
    ModelInfo info = model.info();
    int last = info.schedule().timesteps() - 1;
    Step step =
        NoiseScheduler.ddim(0)
            .steps(info.schedule(), info.predictionType(), new double[] {last})
            .get(0);
    float[] x =
        new DenoiseRequest(List.of(step), 1, 3, 0, List.of(), 1, 1, progress -> true)
            .initialNoise(info.imageSize());
    float[] out = model.predict(x, last, info.classes());
    float[] x0 = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      x0[i] = (float) Math.max(-1, Math.min(1, step.x0FromX() * x[i] + step.x0FromOut() * out[i]));
    }
    assertThat(Sampler.ddim(0).steps(1).labels(Sampler.NULL_LABEL).seed(3).sample(1).toArray())
        .containsExactly(x0, within(1e-3f));
  }

  @Test
  void itIsReadWhereverTheClassLoaderHasIt() throws IOException {
    try (URLClassLoader loader = loader();
        Predictor model = load(loader, "damaged")) {
      assertThat(model.info().height()).isEqualTo(8);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "unet/diffusion_pytorch_model.safetensors | array",
        "unet/config.json | not JSON",
        "scheduler/scheduler_config.json | not JSON",
      })
  void aDamagedOneSaysWhichFileAndWhy(String file, String problem) throws IOException {
    Path path = damaged.resolve(file);
    byte[] bytes = Files.readAllBytes(path);
    Files.write(path, Arrays.copyOf(bytes, bytes.length / 2));
    try (URLClassLoader loader = loader()) {
      assertThatThrownBy(() -> load(loader, "damaged"))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageStartingWith(
              "can't load the model that comes with ddpm-tf: " + ROOT + "damaged/" + file + ": ")
          .hasMessageContaining(problem);
      Files.delete(path);
      assertThatThrownBy(() -> load(loader, "damaged"))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("resource " + ROOT + "damaged/" + file + " is missing");
    }
  }

  private static Predictor load(ClassLoader loader, String name) {
    return TfPredictorProvider.pretrained(
        resource -> loader.getResourceAsStream(resource.substring(1)), name, Precision.FLOAT32);
  }

  private URLClassLoader loader() throws IOException {
    return new URLClassLoader(new URL[] {folder.toUri().toURL()}, null);
  }
}

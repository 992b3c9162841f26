package io.github.ddpm.examples.measures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.Images;
import io.github.ddpm.tf.ModelFiles;
import io.github.ddpm.tf.ModelFiles.Storage;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.ndarray.FloatNdArray;

class DigitClassifierTest {
  @TempDir Path folder;

  @Test
  void itLearnsPatternsAndIsTheSameAfterSaving() throws IOException {
    Dataset bars = bars(640);
    int[] all = IntStream.range(0, 100).toArray();
    Path file = folder.resolve("classifier.safetensors");
    Classified before;
    try (DigitClassifier classifier = DigitClassifier.train(bars, 8, 1, done -> {})) {
      before = classifier.classify(bars.images(all));
      classifier.save(file);
    }
    assertThat(before.accuracy(bars.labels(all))).isGreaterThan(0.9);
    assertThat(Files.size(file)).isLessThan(1_000_000);
    try (DigitClassifier classifier = DigitClassifier.load(file)) {
      Classified after = classifier.classify(bars.images(all));
      assertThat(after.probabilities().data)
          .containsExactly(before.probabilities().data, within(0.01));
      assertThat(after.features().numCols).isEqualTo(DigitClassifier.FEATURES);
    }
  }

  @Test
  void theOneOfTheExamplesSeesPicturesAsAFileShowsThem() throws IOException {
    float[] clean = new float[28 * 28];
    float[] strayed = new float[clean.length];
    for (int i = 0; i < clean.length; i++) {
      clean[i] = i % 28 == 14 ? 1 : -1;
      strayed[i] = clean[i] * 1.5f;
    }
    try (DigitClassifier classifier = DigitClassifier.load()) {
      Classified seen = classifier.classify(Images.of(1, 28, 28, 1, clean));
      assertThat(seen.label(0)).as("a vertical bar").isEqualTo(1);
      assertThat(Arrays.stream(seen.probabilities().data).sum()).isCloseTo(1, within(1e-5));
      assertThat(classifier.classify(Images.of(1, 28, 28, 1, strayed)).features().data)
          .isEqualTo(seen.features().data);
      assertThatThrownBy(() -> classifier.classify(Images.of(1, 4, 4, 1, new float[16])))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("the classifier knows 28x28x1 digits, got Images[1 of 4x4x1]");
    }
  }

  @Test
  void aDamagedFileSaysWhatIsWrong() throws IOException {
    Path file = folder.resolve("classifier.safetensors");
    try (DigitClassifier classifier = DigitClassifier.load()) {
      classifier.save(file);
    }
    Map<String, FloatNdArray> weights = new LinkedHashMap<>(ModelFiles.readArrays(file));
    FloatNdArray bias = weights.remove("conv2.bias");
    Path less = folder.resolve("less.safetensors");
    ModelFiles.writeArrays(less, weights, Storage.FLOAT16);
    assertThatThrownBy(() -> DigitClassifier.load(less))
        .isInstanceOf(IOException.class)
        .hasMessage(less + ": not a digit classifier, array conv2.bias is missing");
    weights.put("conv2.bias", bias);
    weights.put("linear2.bias", bias);
    Path other = folder.resolve("other.safetensors");
    ModelFiles.writeArrays(other, weights, Storage.FLOAT16);
    assertThatThrownBy(() -> DigitClassifier.load(other))
        .isInstanceOf(IOException.class)
        .hasMessage(
            other + ": not a digit classifier, array linear2.bias must have shape [10], got [64]");
    Files.write(file, Arrays.copyOf(Files.readAllBytes(file), 5000));
    assertThatThrownBy(() -> DigitClassifier.load(file))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(file.toString());
    assertThatThrownBy(() -> DigitClassifier.load(folder.resolve("none")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("none");
  }

  /** Class c is a bar at a height of its own. */
  private static Dataset bars(int count) {
    byte[][] images = new byte[count][28 * 28];
    int[] labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = i % 10;
      int top = 28 * (2 + 2 * labels[i] + labels[i] / 2);
      Arrays.fill(images[i], top, top + (1 + labels[i]) * 2, (byte) 255);
    }
    return Dataset.of(28, 28, 1, images, 10, labels);
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.base.Splitter;
import com.google.common.collect.Iterables;
import com.google.common.collect.ObjectArrays;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.KernelDistance;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.SavedModels;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import io.github.ddpm.tf.graph.UNetConfig;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.ejml.data.DMatrixRMaj;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What --features measures, by a network whose only feature is ten times the mean of a picture, so
 * that the Fréchet distance is that of two means and two deviations.
 */
class FeaturesOptionTest {
  private static final int SIZE = 8;
  private static final int PICTURES = 12;
  private static final int HALF = PICTURES / 2;
  private static final float WEIGHT = 10;

  @TempDir static Path shared;

  @TempDir Path folder;

  private static Path pictures;
  private static Path network;
  private static Path model;

  @BeforeAll
  static void makePicturesANetworkAndAModel() throws IOException {
    pictures = Files.createDirectory(shared.resolve("pictures"));
    for (int i = 0; i < PICTURES; i++) {
      // Darker on the left, so that a mirror image is another picture.
      BufferedImage picture = new BufferedImage(SIZE, SIZE, BufferedImage.TYPE_BYTE_GRAY);
      for (int y = 0; y < SIZE; y++) {
        for (int x = 0; x < SIZE; x++) {
          picture.getRaster().setSample(x, y, 0, 15 * i + x * x);
        }
      }
      ImageIO.write(picture, "png", pictures.resolve(i + ".png").toFile());
    }
    network = SavedModels.ofMeans(shared.resolve("network"), -1, new float[] {WEIGHT});
    model = shared.resolve("model");
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(SIZE, SIZE, 1).withBlockOutChannels(8, 8),
            BetaSchedule.linear(20),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.save(model);
    }
  }

  @Test
  void measureComparesWithPicturesOfAFolder() throws IOException {
    Outcome outcome = measure("--model=" + model);
    assertThat(outcome.err()).isEmpty();
    Dataset data = ImageFolder.load(pictures, SIZE, 1);
    int[] chosen = data.batch(0, PICTURES, 0);
    double[] real = features(data.images(Arrays.copyOf(chosen, HALF)));
    double[] others = features(data.images(Arrays.copyOfRange(chosen, HALF, PICTURES)));
    double[] drawn;
    try (Predictor predictor = Predictor.load(model)) {
      drawn = features(Sampler.ddim(0).steps(3).seed(0).with(predictor).sample(HALF));
    }
    double distance = distance(drawn, real);
    double floor = distance(others, real);
    PrecisionRecall shares = PrecisionRecall.of(column(drawn), column(real), 3);
    PrecisionRecall best = PrecisionRecall.of(column(others), column(real), 3);
    List<String> lines = outcome.out().lines().toList();
    assertThat(lines).hasSize(8);
    assertThat(lines.get(0))
        .startsWith("6 images by DDIM with η = 0.0 and 3 steps, seed 0, in ")
        .endsWith(
            ", against as many pictures of %s, by features of %s (signature serving_default, 1 dimensions). The floor is what as many others of these get."
                .formatted(pictures, network));
    assertThat(lines.subList(1, 5))
        .containsExactly(
            "",
            "| | model | floor |",
            "|---|---|---|",
            Commands.format(
                "| Fréchet distance | %s, %.1f times the floor | %s |",
                QualityTable.distance(distance), distance / floor, QualityTable.distance(floor)));
    assertKernel(lines.get(5), 2, KernelDistance.between(column(drawn), column(real)));
    assertKernel(lines.get(5), 3, KernelDistance.between(column(others), column(real)));
    assertThat(lines.subList(6, 8))
        .containsExactly(
            Commands.format("| precision | %.3f | %.3f |", shares.precision(), best.precision()),
            Commands.format("| recall | %.3f | %.3f |", shares.recall(), best.recall()));
  }

  @Test
  void theTableGoesIntoTheCard() throws IOException {
    Path card = Files.writeString(model.resolve("README.md"), "# Mine\n");
    Outcome outcome = measure("--model=" + model, "--count=4", "--card");
    assertThat(outcome.out()).startsWith("4 images by DDIM ");
    assertThat(card).content().isEqualTo("# Mine\n\n## Measures\n\n" + outcome.out());
  }

  @Test
  void fewerPicturesThanDimensionsAreSaid() throws IOException {
    Path wide = SavedModels.ofMeans(folder, 4, new float[] {1, 2, 3, 4, 5, 6});
    assertThat(measureBy(wide, pictures, "--model=" + model).out())
        .contains(
            "what as many others of these get; 6 pictures are too few for 6 dimensions (their"
                + " covariance is singular), so the Fréchet distance is large of real ones too:"
                + " compare it with theirs alone.");
  }

  @Test
  void whatCannotBeMeasuredIsRefused() throws IOException {
    assertError(
        run(new MeasureQuality(), "--features=" + network),
        "--features needs --data, a folder of pictures");
    for (String digits : List.of("--asked=0", "--bound=0", "--guidance=2", "--classifier=x")) {
      assertError(
          measure(digits),
          "--classifier, --asked, --guidance and --bound are for digits, which --features is not");
    }
    assertError(
        measureBy(pictures, pictures, "--model=" + model),
        "can't load " + pictures + " as a SavedModel with the tag serve: ");
    assertError(measure("--model=" + model, "--count=7"), "--count must be in [4, 6], got 7");
    assertError(measure("--model=" + model, "--count=3"), "--count must be in [4, 6], got 3");
    Path few = Files.createDirectory(folder.resolve("few"));
    for (int i = 0; i < 7; i++) {
      Files.copy(pictures.resolve(i + ".png"), few.resolve(i + ".png"));
    }
    assertError(
        measureBy(network, few, "--model=" + model), "--data must have at least 8 pictures, got 7");
  }

  @Test
  void trainingMeasuresOnTheWayByPicturesThatAreNotMirrored() throws IOException {
    Path out = folder.resolve("model");
    Outcome outcome =
        train(
            out,
            "--gray --size=8 --channels=8,8 --batch=4 --epochs=0.4 --precision=float32 --measure-every=2");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    List<List<String>> table =
        Files.readAllLines(out.resolve("loss.csv")).stream()
            .map(line -> Splitter.on(',').splitToList(line))
            .toList();
    assertThat(table).hasSize(3);
    assertThat(table.get(1).get(6)).isEmpty();
    double told = Double.parseDouble(table.get(2).get(6));
    Dataset data = ImageFolder.load(pictures, SIZE, 1);
    int[] chosen = data.batch(0, PICTURES, 1);
    double[] real = features(data.images(Arrays.copyOf(chosen, HALF)));
    double floor =
        distance(features(data.images(Arrays.copyOfRange(chosen, HALF, PICTURES))), real);
    try (Predictor predictor = Predictor.load(out)) {
      double again =
          distance(features(Sampler.ddim(0).steps(20).seed(0).with(predictor).sample(HALF)), real);
      assertThat(told).isCloseTo(again, within(1e-2 * again));
    }
    assertThat(outcome.out())
        .contains(
            "Fréchet distances are of 6 pictures, by features of %s (signature serving_default, 1 dimensions)%n"
                .formatted(network))
        .contains(
            Commands.format(
                "step 2: Fréchet distance %s of 6 pictures; of as many real ones %s%n",
                QualityTable.distance(told), QualityTable.distance(floor)));
    assertThat(TensorBoardTest.read(TensorBoardTest.files(out.resolve("tensorboard")).get(0)))
        .map(TensorBoardTest::scalars)
        .filteredOn(scalars -> scalars.containsKey("frechet_distance"))
        .singleElement()
        .extracting(scalars -> scalars.get("frechet_distance"))
        .isEqualTo((float) told);
  }

  @Test
  void aTrainingThatCannotMeasureIsRefusedBeforeItsPicturesAreRead() {
    Path missing = folder.resolve("missing");
    assertError(
        run(new TrainImages(), "--data=" + missing, "--features=" + network),
        "--features is for --measure-every, which is missing");
    assertError(
        run(
            new TrainImages(),
            "--data=" + missing,
            "--out=" + folder.resolve("out"),
            "--measure-every=1",
            "--features=" + missing),
        "can't load " + missing + " as a SavedModel: no such folder");
  }

  private static Outcome measure(String... options) {
    return measureBy(network, pictures, options);
  }

  private static Outcome measureBy(Path features, Path data, String... options) {
    String[] usual = {"--data=" + data, "--features=" + features, "--steps=3"};
    return run(new MeasureQuality(), ObjectArrays.concat(usual, options, String.class));
  }

  private static Outcome train(Path out, String options) {
    String[] usual = {"--data=" + pictures, "--features=" + network, "--out=" + out};
    return run(new TrainImages(), ObjectArrays.concat(usual, options.split(" "), String.class));
  }

  /** Returns ten times the mean of each picture as an 8-bit file shows it. */
  private static double[] features(Images images) {
    float[] values = images.toArray();
    int size = values.length / images.count();
    return IntStream.range(0, images.count())
        .mapToDouble(
            i ->
                IntStream.range(i * size, (i + 1) * size)
                    .mapToDouble(
                        k -> Math.max(0, Math.min(255, Math.round((values[k] + 1) * 127.5f))))
                    .map(level -> WEIGHT * (level / 127.5 - 1))
                    .average()
                    .orElseThrow())
        .toArray();
  }

  /** Returns (m₁ - m₂)² + (s₁ - s₂)². */
  private static double distance(double[] some, double[] others) {
    double means = mean(some) - mean(others);
    double deviations = deviation(some) - deviation(others);
    return means * means + deviations * deviations;
  }

  private static double mean(double... values) {
    return Arrays.stream(values).average().orElseThrow();
  }

  private static double deviation(double... values) {
    double mean = mean(values);
    return Math.sqrt(
        Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum()
            / (values.length - 1));
  }

  private static DMatrixRMaj column(double... values) {
    return new DMatrixRMaj(values.length, 1, true, values);
  }

  /** The kernel cubes rounding errors, too. */
  private static void assertKernel(String line, int cell, Estimate expected) {
    List<String> cells = Splitter.on('|').trimResults().splitToList(line);
    assertThat(cells.get(1)).isEqualTo("kernel distance");
    List<String> numbers = Splitter.on(" ± ").splitToList(cells.get(cell));
    assertThat(Double.parseDouble(numbers.get(0)))
        .isCloseTo(expected.value(), within(1e-3 + 1e-5 * Math.abs(expected.value())));
    assertThat(Double.parseDouble(Iterables.getLast(numbers)))
        .isCloseTo(expected.standardError(), within(1e-3 + 1e-5 * expected.standardError()));
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withPrecision;
import static org.assertj.core.api.Assertions.within;

import com.google.common.base.Splitter;
import io.github.ddpm.Images;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.examples.CommandsTest.Outcome;
import io.github.ddpm.tf.data.Mnist;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.proto.Event;

/** What a training tells and keeps on its way. */
class MilestonesTest {
  private static final int SIZE = 28;

  @TempDir Path folder;

  private Path data(int size) throws IOException {
    Path data = Files.createDirectories(folder.resolve("data-" + size));
    CommandsTest.writeDigits(data, "train", 20, size);
    return data;
  }

  private static Outcome train(Path data, Path out, String options) {
    return run(new TrainMnist(), ("--data " + data + " --out " + out + " " + options).split(" "));
  }

  private static List<List<String>> table(Path out) throws IOException {
    return Files.readAllLines(out.resolve("loss.csv")).stream()
        .map(line -> Splitter.on(',').splitToList(line))
        .toList();
  }

  @Test
  void theTableAndTensorBoardSayTheSameOfAStep() throws IOException {
    Path out = folder.resolve("model");
    Outcome outcome =
        train(
            data(8),
            out,
            "--epochs 0.6 --batch 4 --channels 8,8 --learning-rate 4e-3 --schedule cosine:30");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.out()).startsWith("v_prediction, cosine:30, 4 images a step, ");
    List<List<String>> table = table(out);
    assertThat(table.get(0))
        .containsExactly(
            "step",
            "loss",
            "minutes",
            "learning_rate",
            "gradient_norm",
            "images_per_second",
            "frechet_distance");
    assertThat(table).hasSize(4);
    for (int step = 1; step <= 3; step++) {
      List<String> row = table.get(step);
      assertThat(row.get(0)).isEqualTo(String.valueOf(step));
      assertThat(Double.parseDouble(row.get(3))).isEqualTo(4e-3 * step / 100);
      assertThat(Double.parseDouble(row.get(4))).isPositive();
      assertThat(Double.parseDouble(row.get(5))).isPositive();
      assertThat(row.get(6)).isEmpty();
    }
    List<Path> files = TensorBoardTest.files(out.resolve("tensorboard"));
    assertThat(files).hasSize(1);
    List<Event> events = TensorBoardTest.read(files.get(0));
    List<Event> ofSteps =
        events.stream().filter(e -> TensorBoardTest.scalars(e).containsKey("loss")).toList();
    assertThat(ofSteps).extracting(Event::getStep).startsWith(1L).endsWith(3L);
    for (Event event : ofSteps) {
      List<String> row = table.get(Math.toIntExact(event.getStep()));
      assertThat(TensorBoardTest.scalars(event))
          .isEqualTo(
              Map.of(
                  "loss", (float) Double.parseDouble(row.get(1)),
                  "learning_rate", (float) Double.parseDouble(row.get(3)),
                  "gradient_norm", (float) Double.parseDouble(row.get(4)),
                  "images_per_second", (float) Double.parseDouble(row.get(5))));
    }
    Event samples = events.get(events.size() - 1);
    assertThat(samples.getStep()).isEqualTo(3);
    assertThat(samples.getSummary().getValue(0).getImage().getEncodedImageString().toByteArray())
        .isEqualTo(Files.readAllBytes(out.resolve("samples/step-000003.png")));
  }

  @Test
  void snapshotsStayAndAreModels() throws IOException {
    Path out = folder.resolve("model");
    // A snapshot that a crash left half done.
    Files.createDirectories(out.resolve("snapshots/.step-000002.tmp/unet"));
    Outcome outcome =
        train(
            data(8),
            out,
            "--epochs 0.8 --batch 4 --channels 8,8 --keep-every 2 --keep 1 --precision float32");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(outcome.err()).isEmpty();
    assertThat(TensorBoardTest.files(out.resolve("snapshots")))
        .extracting(path -> path.getFileName().toString())
        .containsExactly("step-000002", "step-000004");
    List<Images> drawn = new ArrayList<>();
    for (String each : List.of("snapshots/step-000002", "snapshots/step-000004", ".")) {
      try (Predictor model = Predictor.load(out.resolve(each))) {
        drawn.add(Sampler.ddim(0).steps(2).seed(1).with(model).sample(2));
      }
    }
    assertThat(drawn.get(0).toArray()).isNotEqualTo(drawn.get(1).toArray());
    // Of the same step, but for the rounding of float16.
    assertThat(drawn.get(1).toArray())
        .containsExactly(drawn.get(2).toArray(), withPrecision(0.02f));
    assertThat(out.resolve("snapshots/step-000002/training")).doesNotExist();
    assertError(run(new TrainMnist(), "--keep-every=0"), "--keep-every must be at least 1, got 0");
  }

  @Test
  void theDistanceIsMeasuredOnTheWay() throws IOException {
    Path out = folder.resolve("model");
    Path data = data(SIZE);
    Outcome outcome =
        train(
            data,
            out,
            "--epochs 0.4 --batch 4 --channels 8,8 --measure-every 2 --precision float32");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    List<List<String>> table = table(out);
    assertThat(table).hasSize(3);
    assertThat(table.get(1).get(6)).isEmpty();
    double told = Double.parseDouble(table.get(2).get(6));
    double again;
    double floor;
    try (Predictor model = Predictor.load(out);
        TrainingDistance distance = TrainingDistance.open(Optional.empty(), Mnist.train(data))) {
      floor = distance.floor();
      assertThat(distance.count()).isEqualTo(10);
      again = distance.of(Sampler.ddim(0).steps(20).with(model).seed(0).sample(10));
    }
    assertThat(told).isCloseTo(again, within(1e-3 * again)).isGreaterThan(floor);
    assertThat(outcome.out())
        .contains(
            Commands.format(
                "step 2: Fréchet distance %.2f of 10 pictures; of as many real ones %.2f%n",
                told, floor));
    List<Event> events =
        TensorBoardTest.read(TensorBoardTest.files(out.resolve("tensorboard")).get(0));
    assertThat(events)
        .map(TensorBoardTest::scalars)
        .filteredOn(scalars -> scalars.containsKey("frechet_distance"))
        .singleElement()
        .extracting(scalars -> scalars.get("frechet_distance"))
        .isEqualTo((float) told);
  }

  @Test
  void picturesWithoutFeaturesAreNotMeasured() throws IOException {
    assertError(
        run(new TrainImages(), "--data=" + folder, "--measure-every=5"),
        "--measure-every measures digits by the features of a classifier of MNIST: for other"
            + " pictures, name a network with --features, or leave it out");
    assertError(
        train(data(8), folder.resolve("model"), "--epochs 1 --channels 8,8 --measure-every 1"),
        "--measure-every without --features needs 28x28 gray digits, which its classifier knows, got 8x8x1");
    assertError(
        run(new TrainMnist(), "--measure-every=-3"), "--measure-every must be at least 1, got -3");
  }

  @Test
  void thereMustBeATrainingToResume() throws IOException {
    Path empty = Files.createDirectories(folder.resolve("empty"));
    assertError(
        train(data(8), empty, "--resume"),
        empty
            + " has no training in it that --resume could go on with: start one without --resume");
    assertThat(empty).isEmptyDirectory();
    Files.createFile(empty.resolve("model_index.json"));
    assertError(
        train(data(8), empty, "--resume"),
        "start one without --resume, from the model in it with --from " + empty);
  }

  @Test
  void moreMinutesOfAFinishedTrainingAreNotLeft() throws IOException {
    Path out = folder.resolve("model");
    Outcome trained = train(data(8), out, "--epochs 0.2 --batch 4 --channels 8,8");
    assertThat(trained.code()).as(trained.err()).isZero();
    assertError(
        train(data(8), out, "--resume --minutes 5"),
        "all 1 steps are taken, nothing is left to train; for more, start another training with"
            + " --from "
            + out);
    assertThat(TensorBoardTest.files(out.resolve("tensorboard"))).hasSize(1);
  }
}

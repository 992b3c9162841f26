package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.io.BaseEncoding;
import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.graph.UNetConfig;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.zip.GZIPOutputStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The mains on a tiny network and a tiny set in MNIST's format. */
class CommandsTest {
  @TempDir static Path shared;

  @TempDir Path folder;

  record Outcome(int code, String out, String err) {}

  @BeforeAll
  static void makeAModelAndASet() throws IOException {
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 8).withClasses(10),
            BetaSchedule.linear(20),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.save(shared.resolve("model"));
    }
    writeDigits(Files.createDirectories(shared.resolve("data")), "train", 20, 8);
  }

  /** Writes a set in MNIST's format: stripes, and labels from 0 to 9 over and over. */
  static void writeDigits(Path folder, String prefix, int count, int size) throws IOException {
    try (DataOutputStream images = idx(folder.resolve(prefix + "-images-idx3-ubyte.gz"));
        DataOutputStream labels = idx(folder.resolve(prefix + "-labels-idx1-ubyte.gz"))) {
      images.writeInt(2051);
      labels.writeInt(2049);
      images.writeInt(count);
      labels.writeInt(count);
      images.writeInt(size);
      images.writeInt(size);
      for (int i = 0; i < count * size * size; i++) {
        images.writeByte(i % 256);
      }
      for (int i = 0; i < count; i++) {
        labels.writeByte(i % 10);
      }
    }
  }

  /** What --spark sends executors: the last of equal options counts, as the seed is added. */
  @Test
  void anExecutorReadsTheCommandLineAsTheDriverDoes() {
    Predictor model = Predictor.pretrained("digits", Precision.FLOAT32);
    Images noise =
        GenerateImages.sampler(
                model, new int[0], "--model=digits", "--precision=float32", "--seed=1", "--seed=5")
            .noise(1);
    assertThat(noise).isEqualTo(Sampler.ddim(0).seed(5).with(model).noise(1));
  }

  @Test
  void generateDigitsWritesAGrid() throws IOException {
    Path out = folder.resolve("digits.png");
    Outcome outcome =
        run(new GenerateDigits(), "--model", model(), "--count", "9", "--out", out.toString());
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.code()).isZero();
    assertThat(outcome.out()).contains("9 pictures, seed");
    assertThat(ImageIO.read(out.toFile()).getWidth()).isEqualTo(3 * 8 + 2 * 2);
  }

  @Test
  void aSeedGivesTheSamePicturesAgain() throws IOException {
    Path first = folder.resolve("first.npy");
    Path second = folder.resolve("second.npy");
    for (Path out : new Path[] {first, second}) {
      assertThat(
              run(
                      new GenerateDigits(),
                      "--model",
                      model(),
                      "--sampler=ddpm",
                      "--labels=3,1",
                      "--guidance=1.5",
                      "--count=2",
                      "--seed=-7",
                      "--out=" + out)
                  .code())
          .isZero();
    }
    assertThat(first).hasSameBinaryContentAs(second);
  }

  @Test
  void generateImagesSamplesAsTheFolderSays() throws IOException {
    Path out = folder.resolve("images.npy");
    Outcome outcome =
        run(new GenerateImages(), "--model", model(), "--count=2", "--seed=1", "--out=" + out);
    assertThat(outcome.code()).as(outcome.err()).isZero();
    Path own = Files.copy(out, folder.resolve("own.npy"));
    // What is trained here is drawn by DPM-Solver++.
    run(
        new GenerateImages(),
        "--model",
        model(),
        "--sampler=dpm-solver",
        "--count=2",
        "--seed=1",
        "--out=" + out);
    assertThat(out).hasSameBinaryContentAs(own);
    run(
        new GenerateImages(),
        "--model",
        model(),
        "--sampler=ddim",
        "--steps=5",
        "--count=2",
        "--seed=1",
        "--out=" + out);
    assertThat(Files.mismatch(out, own)).isNotNegative();
    Path even = Files.copy(out, folder.resolve("even.npy"));
    run(
        new GenerateImages(),
        "--model",
        model(),
        "--sampler=ddim",
        "--steps=5",
        "--spacing-exponent=0.5",
        "--count=2",
        "--seed=1",
        "--out=" + out);
    assertThat(Files.mismatch(out, even)).isNotNegative();
    assertError(
        run(new GenerateImages(), "--model", model(), "--spacing-exponent=0.5", "--out=" + out),
        "--spacing-exponent spaces --steps, which is missing");
    assertError(
        run(new GenerateImages(), "--model", model(), "--sampler=pndm", "--out=" + out),
        "--sampler must be one of own, ddim, ddpm, euler, heun, dpm-solver, dpm-solver-3, dpm-solver-sde, unipc, unipc-3, deis, lms, plms, dpm-solver-singlestep, got pndm");
    assertError(
        run(new GenerateImages(), "--model", model(), "--format=npy", "--out=" + out),
        "--format needs --spark; else --out says what is written");
  }

  @Test
  void aClusterDrawsIntoTheFolderAsItIsCalled() {
    RecordingCluster.DRAWN.clear();
    assertThat(onACluster("s3a://bucket/digits", "parquet").out())
        .startsWith("s3a://bucket/digits: 2 pictures, seed 1, ");
    assertThat(onACluster("s3a://bucket/digits.parquet", "parquet").code()).isZero();
    assertThat(onACluster("s3a://bucket/digits.npy", "npy").code()).isZero();
    assertThat(RecordingCluster.DRAWN)
        .containsExactly(
            "PARQUET s3a://bucket/digits",
            "PARQUET s3a://bucket/digits.parquet",
            "NPY s3a://bucket/digits.npy");
  }

  /** Executors get numbers, which they can't take for the names of other classes. */
  @Test
  void aClusterIsToldTheNumbersOfClasses() throws IOException {
    Path named = folder.resolve("named");
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 8).withClasses(3),
            BetaSchedule.linear(20),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.setClassNames(List.of("1", "10", "2"));
      trainer.save(named);
    }
    RecordingCluster.LABELS.clear();
    String[] options = {"--spark=local", "--model=" + named, "--out=drawn", "--labels=10,0,2"};
    assertThat(run(new GenerateImages(), options).code()).isZero();
    assertThat(RecordingCluster.LABELS).containsExactly(List.of(1, 0, 2));
    options[3] = "--labels=10,cat";
    assertError(
        run(new GenerateImages(), options),
        "--labels must be of 1, 10, 2, or numbers in [0, 2], got cat");
    assertThat(RecordingCluster.LABELS).hasSize(1);
    try (Predictor model = Predictor.load(named)) {
      int[] labels = {1, 0, 2};
      String[] sent = {"--labels=10,0,2", "--sampler=ddim", "--steps=2", "--seed=7"};
      assertThat(GenerateImages.sampler(model, labels, sent).sample(3))
          .isEqualTo(Sampler.ddim(0).steps(2).seed(7).labels(labels).with(model).sample(3));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "x.npy, parquet, .npy",
    "x.PNG, parquet, .png",
    "x.parquet, npy, .parquet",
    "x.png, npy, .png"
  })
  void aClusterDrawsNothingThatIsCalledOtherwise(String out, String format, String ending) {
    assertError(
        onACluster(out, format),
        "--out must not end in %s for a folder of --format %s, got %s"
            .formatted(ending, format, out));
  }

  private static Outcome onACluster(String out, String format) {
    List<String> options =
        new ArrayList<>(
            List.of("--spark=local", "--model=digits", "--count=2", "--seed=1", "--out=" + out));
    if (!format.equals("parquet")) {
      options.add("--format=" + format);
    }
    return run(new GenerateImages(), options.toArray(new String[0]));
  }

  @Test
  void generateImagesTakesACondition() throws IOException {
    String model = "--model=../src-test-resources/golden/folder-condition";
    Path out = folder.resolve("images.npy");
    String drawn = "--count=2 --steps=3 --seed=1 --out=" + out;
    Random random = new Random(1);
    Path[] files = {folder.resolve("0.png"), folder.resolve("1.png")};
    for (Path file : files) {
      BufferedImage picture = new BufferedImage(12, 8, BufferedImage.TYPE_BYTE_GRAY);
      for (int i = 0; i < 12 * 8; i++) {
        picture.getRaster().setSample(i % 12, i / 12, 0, random.nextInt(256));
      }
      ImageIO.write(picture, "png", file.toFile());
    }
    String both = "--condition=" + files[0] + "," + files[1];
    Outcome outcome = run(new GenerateImages(), (model + " " + both + " " + drawn).split(" "));
    assertThat(outcome.code()).as(outcome.err()).isZero();
    Path array = folder.resolve("expected.npy");
    try (Predictor predictor = Predictor.load(Path.of(model.substring("--model=".length())))) {
      predictor
          .sampler()
          .condition(Images.readPng(files))
          .steps(3)
          .seed(1)
          .sample(2)
          .writeNpy(array);
    }
    assertThat(out).hasSameBinaryContentAs(array);
    assertError(
        run(new GenerateImages(), (model + " " + drawn).split(" ")),
        "the model draws by a condition of 8x12x1, so it needs one");
    assertError(
        run(new GenerateImages(), "--model=" + model(), both, "--out=" + out),
        "the model takes no condition, got one of 8x12x1");
  }

  @Test
  void generateImagesTakesTheNoiseOfANetworkAlone() throws IOException {
    Path out = folder.resolve("images.npy");
    String to = "--out=" + out;
    run(new GenerateImages(), "--model", model(), "--sampler=ddpm", "--count=2", "--seed=1", to);
    Path own = Files.copy(out, folder.resolve("own.npy"));
    Files.delete(out);
    String alone = "--model=" + Path.of(model(), "unet");
    String noise = "--schedule=linear:20:1e-4:0.02";
    Outcome outcome =
        run(new GenerateImages(), alone, noise, "--prediction=v", "--count=2", "--seed=1", to);
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(out).hasSameBinaryContentAs(own);
    assertError(
        run(new GenerateImages(), alone, to),
        "a schedule and a type in place of it, which --schedule and --prediction say here");
    assertError(
        run(new GenerateImages(), alone, noise, to),
        "--schedule and --prediction go together, got --schedule linear:20:1e-4:0.02 alone");
    assertError(
        run(new GenerateImages(), alone, "--prediction=v", to),
        "--schedule and --prediction go together, got --prediction v alone");
    assertError(
        run(new GenerateImages(), alone, noise, "--prediction=flow", to),
        "epsilon, v_prediction or sample, got flow");
    assertError(
        run(new GenerateImages(), alone, "--schedule=plain", "--prediction=v", to),
        "sigmoid or laplace, with timesteps");
    assertError(
        run(new GenerateImages(), "--model=digits", noise, "--prediction=v", to),
        "--model must be a folder, got digits: no such folder");
  }

  @Test
  void trainImagesTrainsResumesAndFineTunes() throws IOException {
    Path pictures = folder.resolve("pictures");
    for (String name : new String[] {"cat/1.png", "cat/2.png", "dog/1.png"}) {
      Path file = pictures.resolve(name);
      Files.createDirectories(file.getParent());
      ImageIO.write(new BufferedImage(20, 12, BufferedImage.TYPE_INT_RGB), "png", file.toFile());
    }
    String data = "--data=" + pictures;
    String out = folder.resolve("model").toString();
    Outcome outcome =
        run(
            new TrainImages(),
            data,
            "--out=" + out,
            "--size=8",
            "--channels=8,8",
            "--epochs=1",
            "--batch=2",
            "--seed=3");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    // Three pictures and their mirror images, two a step.
    assertThat(outcome.out()).contains("step 3/3", "saved");
    assertThat(Path.of(out, "samples/step-000003.png")).isNotEmptyFile();
    try (Predictor model = Predictor.load(Path.of(out))) {
      assertThat(model.info().classes()).isEqualTo(2);
      assertThat(model.info().channels()).isEqualTo(3);
    }
    assertThat(run(new TrainImages(), "--resume", data, "--out=" + out).code()).isZero();
    String tuned = folder.resolve("tuned").toString();
    assertThat(
            run(
                    new TrainImages(),
                    data,
                    "--from=" + out,
                    "--no-flip",
                    "--out=" + tuned,
                    "--epochs=1",
                    "--batch=3")
                .out())
        .contains("step 1/1", "saved");
    assertError(
        run(new TrainImages(), data, "--from=" + out, "--size=8", "--out=" + folder.resolve("x")),
        "--from and --resume take size and colors from the model");
    assertError(
        run(new TrainImages(), data, "--from=" + out, "--alpha", "--out=" + folder.resolve("x")),
        "leave --size, --gray and --alpha out");
    assertError(
        run(
            new TrainImages(),
            data,
            "--from=" + out,
            "--channels=8,8",
            "--out=" + folder.resolve("x")),
        "--from takes channels");
    assertError(
        run(new TrainImages(), data, "--resume", "--out=" + out, "--learning-rate=1"), "--resume");
  }

  @Test
  void trainingGoesOnFromANetworkAlone() throws IOException {
    String from = "--from=" + Path.of(model(), "unet");
    String data = "--data=" + data();
    Path out = folder.resolve("tuned");
    String to = "--out=" + out;
    assertError(
        run(new TrainMnist(), from, data, to),
        "a schedule and a type in place of it, which --schedule and --prediction say here");
    Outcome outcome =
        run(
            new TrainMnist(),
            from,
            data,
            to,
            "--schedule=linear:20:1e-4:0.02",
            "--prediction=v",
            "--batch=4",
            "--epochs=0.4");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    try (Predictor whole = Predictor.load(Path.of(model()));
        Predictor tuned = Predictor.load(out)) {
      assertThat(tuned.info().schedule()).isEqualTo(whole.info().schedule());
      assertThat(tuned.info().predictionType()).isEqualTo(whole.info().predictionType());
    }
  }

  @Test
  void trainImagesKeepsAlphaIfAsked() throws IOException {
    Path pictures = Files.createDirectory(folder.resolve("pictures"));
    for (String name : new String[] {"1.png", "2.png"}) {
      BufferedImage picture = new BufferedImage(8, 8, BufferedImage.TYPE_INT_ARGB);
      ImageIO.write(picture, "png", pictures.resolve(name).toFile());
    }
    Path out = folder.resolve("model");
    Outcome outcome =
        run(
            new TrainImages(),
            "--data=" + pictures,
            "--out=" + out,
            "--alpha",
            "--size=8",
            "--channels=8,8",
            "--epochs=1",
            "--batch=2");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    try (Predictor model = Predictor.load(out)) {
      assertThat(model.info().channels()).isEqualTo(4);
    }
    BufferedImage samples = ImageIO.read(out.resolve("samples/step-000002.png").toFile());
    assertThat(samples.getColorModel().hasAlpha()).isTrue();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--eta NaN | eta must be in [0, 1], got NaN",
        "--eta 1.5 | eta must be in [0, 1], got 1.5",
        "--steps 0 | steps must be at least 1, got 0",
        "--steps 21 | steps must be in [1, 20], the model's training timesteps, got 21",
        "--count -1 | --count must be at least 1, got -1",
        "--labels 10 | labels must be in [0, 9], got 10",
        "--guidance 2 | guidance needs labels",
        "--null-label --labels 3 | --null-label is for pictures without --labels",
        "--sampler pndm | --sampler must be one of ddim, ddpm, euler, heun, dpm-solver, dpm-solver-3, dpm-solver-sde, unipc, unipc-3, deis, lms, plms, dpm-solver-singlestep, got pndm",
        "--sampler ddpm --eta 0.5 | --eta is for --sampler ddim",
        "--sampler dpm-solver --eta 0 | --eta is for --sampler ddim",
        "--sampler dpm-solver-3 --steps 2 | the solver needs at least 3 steps, got 2",
        "--spacing leading --steps 1 | leading spacing needs at least 2 steps, got 1",
        "--spacing karras --steps 21 | steps must be in [1, 20], the model's training timesteps, got 21",
        "--spacing karras | --spacing spaces --steps, which is missing",
        "--spacing karras --spacing-exponent 0.5 --steps 3 | --spacing karras has no exponent",
        "--spacing uneven --steps 3 | Invalid value for option '--spacing'",
        "--steps many | Invalid value for option '--steps'",
        "--unknown | Unknown option: '--unknown'",
      })
  void badOptionsAreOneLineAndTheFileStays(String options, String problem) throws IOException {
    Path out = Files.writeString(folder.resolve("digits.png"), "mine");
    Outcome outcome =
        run(
            new GenerateDigits(),
            ("--model " + model() + " --out " + out + " " + options).split(" "));
    assertThat(outcome.code()).isEqualTo(2);
    assertThat(outcome.err()).startsWith("error: ").contains(problem).hasLineCount(1);
    assertThat(out).hasContent("mine");
  }

  @Test
  void whatIsNotThereIsNamed() {
    String none = folder.resolve("none").toString();
    assertError(run(new GenerateDigits(), "--model", none, "--out", none + ".png"), none);
    assertError(
        run(new GenerateDigits(), "--model", none + "\n\u001b[2J", "--out", none + ".png"),
        none + "  [2J");
    assertError(run(new GenerateDigits(), "--model", model(), "--out", none + "/digits.png"), none);
    assertError(run(new GenerateDigits(), "--out", none + ".gif"), ".png or .npy");
    assertError(run(new TrainMnist(), "--data", none, "--out", none), none);
    assertError(run(new TrainMnist(), "--resume", "--data", data(), "--out", none), none);
    assertError(run(new TrainMnist(), "--minutes", "1", "--epochs", "1"), "either");
    assertError(
        run(new TrainMnist(), "--minutes", "NaN"),
        "--minutes must be above 0 and at most 525600, got NaN");
    assertError(run(new TrainMnist(), "--resume", "--seed", "1"), "--resume");
    assertError(run(new TrainMnist(), "--resume", "--from", none), "--resume");
    assertError(
        run(new TrainMnist(), "--from", none, "--channels", "8,8"), "--from takes channels");
    assertError(
        run(new TrainMnist(), "--from", none, "--schedule", "linear"),
        "--schedule and --prediction go together, got --schedule linear alone");
    assertError(
        run(
            new TrainMnist(),
            "--from=" + none,
            "--schedule=linear",
            "--prediction=v",
            "--layers=2"),
        "which neither --layers nor --guide can go with");
    assertError(run(new TrainMnist(), "--from", none, "--data", data()), none);
    assertError(run(new TrainMnist(), "--resume", "--label-dropout", "0.2"), "--resume");
    assertError(run(new TrainMnist(), "--resume", "--optimizer", "adamw"), "--resume");
    assertError(
        run(new TrainMnist(), "--label-dropout", "0", "--data", data()),
        "--label-dropout must be above 0 and below 1");
    assertError(
        run(new TrainMnist(), "--prediction", "flow", "--data", data()),
        "epsilon, v_prediction or sample, got flow");
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void withoutAModelItIsTheOneInTheLibrary() throws IOException {
    Path out = folder.resolve("digits.png");
    Outcome outcome =
        run(new GenerateDigits(), "--steps=1", "--count=2", "--seed=5", "--out=" + out);
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out()).matches("(?s).*digits.png: 2 pictures, seed 5, \\d+\\.\\d s\\R");
    assertThat(ImageIO.read(out.toFile()).getHeight()).isEqualTo(28);
  }

  @Test
  void trainMnistTrainsSavesAndResumes() throws IOException {
    Path out = folder.resolve("model");
    Outcome outcome =
        run(
            new TrainMnist(),
            "--data",
            data(),
            "--out",
            out.toString(),
            "--epochs=0.5",
            "--batch=4",
            "--channels=8,8",
            "--learning-rate=2e-3",
            "--label-dropout=0.3",
            "--min-snr=5",
            "--seed=3",
            "--export=" + folder.resolve("shipped"));
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.code()).isZero();
    assertThat(outcome.out()).contains("v_prediction", "step 3/3", "saved");
    assertThat(out.resolve("loss.png")).isNotEmptyFile();
    assertThat(out.resolve("loss.csv")).content().hasLineCount(4);
    assertThat(out.resolve("samples/step-000003.png")).isNotEmptyFile();
    assertThat(folder.resolve("shipped/README.md"))
        .content()
        .contains("20 images in MNIST's format", "3 of 3 steps of 4 images", "| seed | 3 |")
        .contains("| predicts | v_prediction, noise by cosine |")
        .contains(
            "--prediction v_prediction --schedule cosine --channels 8,8 --layers 1 --batch 4 --epochs 0.6"
                + " --optimizer muon --learning-rate 0.002 --label-dropout 0.3 --min-snr 5.0");
    assertError(
        run(new TrainMnist(), "--data", data(), "--out", out.toString(), "--epochs=1"),
        "go on with --resume, or choose another --out");
    Outcome again = run(new TrainMnist(), "--resume", "--data", data(), "--out", out.toString());
    assertThat(again.code()).as(again.err()).isZero();
    assertThat(out.resolve("loss.csv")).content().hasLineCount(4);

    Path second = folder.resolve("second");
    Path first = folder.resolve("shipped");
    String from = "--from " + first + " --layers 2 --batch 4 --epochs 0.4 --seed 4";
    Outcome longer =
        run(new TrainMnist(), (from + " --data " + data() + " --out " + second).split(" "));
    assertThat(longer.out()).as(longer.err()).contains("step 2/2");
    Path card = folder.resolve("card");
    Outcome exported =
        run(
            new TrainMnist(),
            ("--resume --data " + data() + " --out " + second + " --export " + card).split(" "));
    assertThat(exported.out()).as(exported.err()).contains("exported").doesNotContain("saved");
    assertThat(card.resolve("README.md"))
        .content()
        .contains("\"--from " + first + " --layers 2 --batch 4 --epochs 0.4 ", "--seed 4\"`")
        .contains(
            "## What it started from\n\n| | |", "--channels 8,8 --layers 1 --batch 4 --epochs 0.6");

    Path third = folder.resolve("third");
    Path shipped = folder.resolve("distilled");
    String guided = "--from " + card + " --guide " + first;
    Outcome distilled =
        run(
            new TrainMnist(),
            (guided
                    + " --batch 4 --epochs 0.4 --seed 6 --data "
                    + data()
                    + " --out "
                    + third
                    + " --export "
                    + shipped)
                .split(" "));
    assertThat(distilled.out()).as(distilled.err()).contains("step 2/2");
    assertThat(shipped.resolve("README.md"))
        .content()
        .contains("\"" + guided + " --guide-weight 1.5 --batch 4 --epochs 0.4 ")
        .contains("the mean of the last 2 steps, against what the guided model predicts |")
        .containsSubsequence(
            "\n## What it started from\n\n| | |",
            "\n### What it started from\n\n| | |",
            "\n## What guided it\n\n| | |");
    assertError(
        run(new TrainMnist(), "--guide", first.toString()),
        "--guide guides the model of --from, whose network stays as it is: give --from, and no --layers");
    assertError(run(new TrainMnist(), "--guide-weight=2"), "--guide-weight needs --guide");
    assertError(
        run(new TrainMnist(), (guided + " --guide-weight 1").split(" ")),
        "--guide-weight must be above 1, got 1.0");
    for (String where : List.of("--out " + card, "--export " + first)) {
      assertError(
          run(new TrainMnist(), (guided + " " + where).split(" ")),
          " is learned from; choose another folder to write to");
    }
  }

  @Test
  void shortTrainingsOfDigitsAreByMuonAndLongOnesByAdamw() throws IOException {
    assertThat(optionsOf("--epochs=2"))
        .contains("\"method\" : \"MUON\"", "\"batchSize\" : 32", "\"labelDropout\" : 0.2");
    assertThat(optionsOf("--epochs=2.5"))
        .doesNotContain("method")
        .contains("\"batchSize\" : 64", "\"labelDropout\" : 0.5");
    assertThat(optionsOf("--epochs=1", "--optimizer=adamw", "--batch=7", "--label-dropout=0.3"))
        .doesNotContain("method")
        .contains("\"batchSize\" : 7", "\"labelDropout\" : 0.3");
    assertThat(optionsOf("--epochs=3", "--optimizer=muon")).contains("\"method\" : \"MUON\"");
  }

  /** Returns the state that a training of digits with these options was saved with. */
  private String optionsOf(String... options) throws IOException {
    Path out = folder.resolve(String.join("", options));
    List<String> all = new ArrayList<>(List.of(options));
    all.addAll(List.of("--data", data(), "--out", out.toString(), "--channels=8,8"));
    Outcome outcome = run(new TrainMnist(), all.toArray(String[]::new));
    assertThat(outcome.code()).as(outcome.err()).isZero();
    return Files.readString(out.resolve("training/state.json"));
  }

  /** The command of a card is that of the same training, so it trains the same weights again. */
  @Test
  void localStepsAreOfTheTrainingAndItsCard() throws IOException {
    Path card = folder.resolve("card");
    Path first = folder.resolve("first");
    String started =
        "--epochs 1 --batch 4 --micro-batch 2 --local-steps 2 --channels 8,8 --label-dropout 0.3 --seed 3"
            + " --precision float32 --data %s".formatted(data());
    Outcome outcome =
        run(new TrainMnist(), (started + " --out " + first + " --export " + card).split(" "));
    assertThat(outcome.out()).as(outcome.err()).contains("step 5/5", "saved");
    assertThat(first.resolve("loss.csv"))
        .content()
        .as("rounds of 2, 2 and 1 steps")
        .hasLineCount(1 + 3);
    String said = Files.readString(card.resolve("README.md"));
    assertThat(said).contains(" --batch 4 --micro-batch 2 --local-steps 2 --epochs 1.0 ");
    Path again = folder.resolve("again");
    String printed = said.replaceAll("(?s).*-Dexec.args=\"([^\"]*)\".*", "$1");
    Outcome same =
        run(new TrainMnist(), (printed + " --data " + data() + " --out " + again).split(" "));
    assertThat(same.out()).as(same.err()).contains("step 5/5");
    assertThat(again.resolve("training/weights.safetensors"))
        .hasSameBinaryContentAs(first.resolve("training/weights.safetensors"));
    String resumed = "--resume --data " + data() + " --out " + first;
    assertThat(run(new TrainMnist(), resumed.split(" ")).code()).isZero();
    assertError(
        run(new TrainMnist(), (resumed + " --local-steps 2").split(" ")),
        "--resume goes on with the options that training was started with");
    assertError(
        run(new TrainMnist(), "--local-steps=2"),
        "--local-steps needs --micro-batch: a replica learns from so many images of a step");
    assertError(
        run(new TrainMnist(), "--local-steps=-1", "--micro-batch=2"),
        "--local-steps must be at least 0, got -1");
  }

  @Test
  void thePrecisionIsThatOfTheModelInTheLibraryToo() throws IOException {
    List<byte[]> written = new ArrayList<>();
    for (String precision : List.of("float32", "bfloat16", "float16")) {
      Path out = folder.resolve(precision + ".npy");
      String options = "--steps=2 --count=2 --seed=5 --precision=" + precision + " --out=" + out;
      assertThat(run(new GenerateDigits(), options.split(" ")).code()).isZero();
      written.add(Files.readAllBytes(out));
    }
    assertThat(written.get(0)).isNotEqualTo(written.get(1));
    assertThat(written.get(2)).isNotEqualTo(written.get(0)).isNotEqualTo(written.get(1));
  }

  @Test
  void theModelInTheLibraryDrawsLabelsUnlessToldOtherwise() throws IOException {
    List<byte[]> written = new ArrayList<>();
    // Of seed 1, ModelInfo draws 0 and 1.
    for (String labels : List.of("--labels=0,1", "--guidance=1", "--null-label")) {
      Path out = folder.resolve(labels + ".npy");
      String options = "--steps=2 --count=2 --seed=1 " + labels + " --out=" + out;
      assertThat(run(new GenerateDigits(), options.split(" ")).code()).isZero();
      written.add(Files.readAllBytes(out));
    }
    assertThat(written.get(1)).isEqualTo(written.get(0)).isNotEqualTo(written.get(2));
  }

  @Test
  void aModelIsAFolderOrANameInTheLibrary() throws IOException {
    Path out = folder.resolve("digits-2.npy");
    Outcome outcome =
        run(new GenerateDigits(), "--model=digits-2", "--count=2", "--seed=1", "--out=" + out);
    assertThat(outcome.code()).as(outcome.err()).isZero();
    assertThat(out).exists();
    for (String name : List.of("digits-3", "/digits-2", "target/modle")) {
      assertError(
          run(new GenerateDigits(), "--model=" + name, "--out=" + out),
          "--model must be a folder, or one in the library: digits, digits-4, digits-2 or digits-1, got "
              + name
              + ": no such folder");
    }
  }

  @Test
  void whatWouldBeIgnoredIsRefused() throws IOException {
    String digits = "--out=" + folder.resolve("digits.png");
    assertError(
        run(new GenerateDigits(), digits, "--spacing-exponent=0.5"),
        "--spacing-exponent spaces --steps");
    assertError(
        run(new GenerateImages(), "--model=" + model(), digits, "--guidance=2"),
        "guidance needs labels");

    Path pictures = Files.createDirectories(folder.resolve("pictures"));
    ImageIO.write(
        new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB),
        "png",
        pictures.resolve("1.png").toFile());
    String out = "--out=" + folder.resolve("model");
    assertError(
        run(
            new TrainImages(),
            "--data=" + pictures,
            "--size=8",
            "--channels=8,8",
            "--label-dropout=0.2",
            out),
        "--label-dropout drops labels, of which there are none: --data needs sub-folders");
    String unlabeled = folder.resolve("unlabeled").toString();
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 8),
            BetaSchedule.linear(20),
            PredictionType.EPSILON,
            TrainingOptions.defaults())) {
      trainer.save(Path.of(unlabeled));
    }
    assertError(
        run(
            new TrainMnist(),
            "--data=" + data(),
            "--from=" + unlabeled,
            "--label-dropout=0.2",
            out),
        "--label-dropout drops labels, of which there are none: --data needs sub-folders, or --from"
            + " a model with classes; got 0.2");
    assertThat(folder.resolve("model")).doesNotExist();
    assertThat(folder.resolve("digits.png")).doesNotExist();
  }

  /** The download fails at once: of the proxy there is only the address. */
  @Test
  void aDownloadIsAnnouncedInALine() throws IOException {
    int port;
    try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
    Map<String, String> properties =
        Map.of(
            "io.github.ddpm.cache",
            folder.toString(),
            "https.proxyHost",
            "localhost",
            "https.proxyPort",
            String.valueOf(port));
    properties.forEach(System::setProperty);
    try {
      Outcome outcome = run(new TrainClassifier(), "--out=" + folder.resolve("c"));
      assertThat(outcome.code()).isEqualTo(2);
      assertThat(outcome.err().lines().findFirst())
          .hasValueSatisfying(
              line ->
                  assertThat(line)
                      .startsWith("downloading https://")
                      .contains("train-images-idx3-ubyte.gz to " + folder));
      assertThat(outcome.err().lines().filter(line -> !line.startsWith("downloading ")))
          .singleElement()
          .asString()
          .startsWith("error: cannot download " + folder);
    } finally {
      properties.keySet().forEach(System::clearProperty);
    }
  }

  /**
   * All start at the same noise, so only Euler's method, which is DDIM, draws what another does.
   */
  @Test
  void everySamplerDrawsItsOwnPictures() throws IOException {
    Map<String, List<String>> samplers = new HashMap<>();
    for (String sampler : new Samplers.Names()) {
      samplers
          .computeIfAbsent(drawn("--sampler=" + sampler), key -> new ArrayList<>())
          .add(sampler);
    }
    assertThat(samplers).hasSize(Samplers.ALL.size() - 1);
    assertThat(samplers.values()).contains(List.of("ddim", "euler"));
  }

  @Test
  void everySpacingDrawsItsOwnPictures() throws IOException {
    Set<String> pictures = new HashSet<>();
    for (String spacing : List.of("leading", "linspace", "karras", "exponential")) {
      pictures.add(drawn("--spacing=" + spacing));
    }
    pictures.add(drawn("--spacing=trailing"));
    assertThat(pictures).hasSize(5).contains(drawn("--spacing-exponent=1"));
  }

  private String drawn(String option) throws IOException {
    Path out = folder.resolve("drawn.npy");
    String options = "--model=" + model() + " --steps=5 --count=1 --seed=5 --out=" + out;
    Outcome outcome = run(new GenerateDigits(), (options + " " + option).split(" "));
    assertThat(outcome.code()).as(outcome.err()).isZero();
    return BaseEncoding.base64().encode(Files.readAllBytes(out));
  }

  @Test
  void noiseLevelsAreNotSpacedWhereOneIsInfinite() throws IOException {
    Path model = folder.resolve("zero");
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(8, 8, 1).withBlockOutChannels(8, 8),
            BetaSchedule.linear(20).zeroTerminalSnr(),
            PredictionType.V_PREDICTION,
            TrainingOptions.defaults())) {
      trainer.save(model);
    }
    String options = "--model=" + model + " --steps=3 --out=" + folder.resolve("zero.png");
    assertError(
        run(new GenerateImages(), (options + " --sampler=ddim --spacing=karras").split(" ")),
        "the schedule has zero SNR there; use a spacing of timesteps");
    assertError(
        run(new GenerateImages(), (options + " --sampler=heun").split(" ")),
        "heun needs signal at every timestep");
  }

  @Test
  void helpListsTheOptions() {
    assertThat(run(new GenerateDigits(), "--help").out())
        .contains("--guidance", "--seed", "dpm-solver-sde", "trailing, leading, linspace");
    assertThat(run(new GenerateImages(), "--help").out())
        .contains("--sampler", "own, ddim, ddpm, euler");
    assertThat(run(new TrainImages(), "--help").out()).contains("--from", "--resume");
    assertThat(run(new TrainMnist(), "--help").out()).contains("--prediction", "--resume");
  }

  static void assertError(Outcome outcome, String problem) {
    assertThat(outcome.code()).isEqualTo(2);
    assertThat(outcome.err()).startsWith("error: ").contains(problem).hasLineCount(1);
  }

  private static String model() {
    return shared.resolve("model").toString();
  }

  private static String data() {
    return shared.resolve("data").toString();
  }

  static Outcome run(Object command, String... args) {
    PrintStream oldOut = System.out;
    PrintStream oldErr = System.err;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
    try {
      int code = Commands.run(command, args);
      return new Outcome(
          code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(oldOut);
      System.setErr(oldErr);
    }
  }

  private static DataOutputStream idx(Path file) throws IOException {
    OutputStream raw = Files.newOutputStream(file);
    return new DataOutputStream(new GZIPOutputStream(raw));
  }
}

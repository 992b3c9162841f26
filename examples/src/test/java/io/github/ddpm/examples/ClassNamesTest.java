package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.Predictor;
import io.github.ddpm.examples.CommandsTest.Outcome;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From a folder of cats and dogs to one asked for by name. */
class ClassNamesTest {
  @TempDir Path folder;

  @Test
  void namesGoFromTheFoldersToTheModelAndItsPictures() throws IOException {
    write("data/cat/1.png");
    write("data/cat/2.png");
    write("data/dog/1.png");
    Files.writeString(folder.resolve("data/dog/2.heic"), "");
    Outcome trained =
        train(
            "--data=" + path("data"),
            "--out=" + path("model"),
            "--size=8",
            "--channels=8,8",
            "--cache=" + path("cache"));
    assertThat(trained.code()).as(trained.err()).isZero();
    assertThat(folder.resolve("cache")).isDirectoryContaining("glob:**/pictures-8x8x3-*.bytes");
    assertThat(trained.out())
        .startsWith(
            "3 pictures, 1 other file skipped (1 HEIC)%n2 classes: 0 = cat (2), 1 = dog (1)%n"
                .formatted());
    try (Predictor model = Predictor.load(folder.resolve("model"))) {
      assertThat(model.info().classNames()).containsExactly("cat", "dog");
    }

    String model = "--model=" + path("model");
    String picture = "--out=" + path("a.png");
    Outcome drawn =
        run(new GenerateImages(), model, picture, "--labels=dog,cat,1", "--count=3", "--steps=2");
    assertThat(drawn.code()).as(drawn.err()).isZero();
    assertThat(drawn.out()).contains("drawing dog, cat, dog%n".formatted());
    assertThat(run(new GenerateImages(), model, picture, "--count=1", "--steps=2").out())
        .contains("any of the classes cat, dog; --labels draws some of them");
    assertError(
        run(new GenerateImages(), model, picture, "--labels=cat,bird"),
        "--labels must be of cat, dog, or numbers in [0, 1], got bird");
    assertError(
        run(new GenerateImages(), model, picture, "--labels=2"),
        "--labels must be of cat, dog, or numbers in [0, 1], got 2");
    assertError(
        run(new GenerateDigits(), picture, "--labels=seven"),
        "--labels must be whole numbers, as the model's classes have no names, got seven");
    assertThat(
            run(
                    new EditImages(),
                    "between",
                    model,
                    picture,
                    "--labels=dog",
                    "--frames=2",
                    "--steps=2")
                .code())
        .isZero();
  }

  @Test
  void otherClassesAreLearnedOnlyIfThatIsAskedFor() throws IOException {
    for (String each : new String[] {"data/cat", "data/dog", "other/ant", "other/dog"}) {
      write(each + "/1.png");
    }
    assertThat(
            train("--data=" + path("data"), "--out=" + path("model"), "--size=8", "--channels=8,8")
                .code())
        .isZero();
    String other = "--data=" + path("other");
    String both = "the model's classes are cat, dog, those of --data ant, dog; --new-classes";
    assertError(run(new TrainImages(), "--resume", other, "--out=" + path("model")), both);
    assertError(train(other, "--from=" + path("model"), "--out=" + path("tuned")), both);
    assertThat(folder.resolve("tuned")).doesNotExist();
    Outcome tuned =
        train(other, "--from=" + path("model"), "--out=" + path("tuned"), "--new-classes");
    assertThat(tuned.code()).as(tuned.err()).isZero();
    try (Predictor model = Predictor.load(folder.resolve("tuned"))) {
      assertThat(model.info().classNames()).containsExactly("ant", "dog");
    }
    assertThat(run(new TrainImages(), "--resume", other, "--out=" + path("tuned")).code()).isZero();
    assertError(
        train(other, "--out=" + path("new"), "--new-classes"),
        "--new-classes goes with --from or --resume");
  }

  @Test
  void classesThatLookLikeSplitsAreWarnedOf() throws IOException {
    write("data/test/1.png");
    write("data/train/1.png");
    Outcome outcome =
        train("--data=" + path("data"), "--out=" + path("model"), "--size=8", "--channels=8,8");
    assertThat(outcome.code()).isZero();
    assertThat(outcome.err())
        .contains("warning: test and train in " + path("data") + " would be learned as classes");
  }

  @Test
  void aSizeThatCannotBeIsRefusedBeforePicturesAreRead() throws IOException {
    Files.createDirectory(folder.resolve("data"));
    Files.writeString(folder.resolve("data/broken.png"), "no picture");
    assertError(
        train("--data=" + path("data"), "--out=" + path("model"), "--size=18"),
        "height and width must be divisible by 4, because 3 levels halve them 2 times, got 18x18");
    assertError(
        train("--data=" + path("data"), "--out=" + path("model"), "--size=0"),
        "size must be in [1, 4096], got 0");
  }

  @Test
  void picturesAreNotWrittenWhereTheyAreReadFrom() throws IOException {
    write("data/1.png");
    Files.createSymbolicLink(folder.resolve("link"), folder.resolve("data"));
    for (String[] each :
        new String[][] {
          {"data", "data"},
          {"data", "data/model"},
          {"data", "link/deep/model"},
          {"link", "data/model"},
          {"data", "data/../data/model"},
        }) {
      assertError(
          train("--data=" + path(each[0]), "--out=" + path(each[1]), "--size=8", "--channels=8,8"),
          "--out must not be --data or below it, where its pictures would be learned from, got "
              + path(each[1])
              + " and "
              + path(each[0]));
    }
    assertThat(folder.resolve("data/model")).doesNotExist();
    write("out/pictures/1.png");
    assertThat(
            train(
                    "--data=" + path("out/pictures"),
                    "--out=" + path("out"),
                    "--size=8",
                    "--channels=8,8")
                .code())
        .isZero();
  }

  private static Outcome train(String... more) {
    String[] all = Arrays.copyOf(more, more.length + 2);
    all[more.length] = "--epochs=1";
    all[more.length + 1] = "--batch=2";
    return run(new TrainImages(), all);
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }

  private void write(String name) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    ImageIO.write(new BufferedImage(20, 12, BufferedImage.TYPE_INT_RGB), "png", file.toFile());
  }
}

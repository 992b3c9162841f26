package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.Images;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class EditImagesTest {
  private static final int SIDE = 28;

  @TempDir private Path folder;
  private Path digit;
  private Path other;
  private Path out;

  @BeforeEach
  void draw() throws IOException {
    digit = bars("digit.png", 4);
    other = bars("other.png", 9);
    out = folder.resolve("out.png");
  }

  /** A white stroke on black, which is all that a digit is. */
  private Path bars(String name, int column) throws IOException {
    float[] values = new float[SIDE * SIDE];
    Arrays.fill(values, -1);
    for (int row = 5; row < 23; row++) {
      Arrays.fill(values, row * SIDE + column, row * SIDE + column + 3, 1);
    }
    Path file = folder.resolve(name);
    Images.of(1, SIDE, SIDE, 1, values).writePng(0, file);
    return file;
  }

  @Test
  void variationsComeAfterTheirOriginal() throws IOException {
    assertThat(run("vary", "--from", digit + "," + other, "--strength", "0.5", "--count", "2"))
        .contains("out.png: 6 pictures");
    BufferedImage grid = ImageIO.read(out.toFile());
    assertThat(grid.getWidth()).isEqualTo(3 * SIDE + 4);
    assertThat(cell(grid, 0, 0)).isEqualTo(Images.readPng(digit));
    assertThat(cell(grid, 0, 1)).isEqualTo(Images.readPng(other));
    assertThat(cell(grid, 1, 0)).isNotEqualTo(cell(grid, 2, 0));
    run("vary", "--from", digit.toString(), "--strength", "0", "--count", "1");
    assertThat(cell(ImageIO.read(out.toFile()), 1, 0)).isEqualTo(Images.readPng(digit));
  }

  @Test
  void aPictureComesBackFromItsNoise() throws IOException {
    String said = run("invert", "--from", digit.toString(), "--steps", "20");
    double difference = Double.parseDouble(said.replaceAll("(?s).*difference ([\\d.]+), .*", "$1"));
    BufferedImage grid = ImageIO.read(out.toFile());
    assertThat(difference).isLessThan(0.1);
    assertThat(Pictures.difference(cell(grid, 0, 0), cell(grid, 0, 2)))
        .isCloseTo(difference, within(0.01));
    assertThat(Pictures.difference(cell(grid, 0, 0), cell(grid, 0, 1))).isGreaterThan(0.3);
  }

  @Test
  void theWayFromOnePictureToAnotherBeginsAndEndsThere() throws IOException {
    run("between", "--from", digit + "," + other, "--frames", "3", "--steps", "20");
    BufferedImage strip = ImageIO.read(out.toFile());
    assertThat(strip.getWidth()).isEqualTo(3 * SIDE + 4);
    assertThat(Pictures.difference(cell(strip, 0, 0), Images.readPng(digit))).isLessThan(0.1);
    assertThat(Pictures.difference(cell(strip, 2, 0), Images.readPng(other))).isLessThan(0.1);
    out = folder.resolve("out.gif");
    run("between", "--frames", "4", "--steps", "2");
    assertThat(frames()).hasSize(4);
  }

  /** Black and opaque, or white and transparent, at the top; white and opaque below. */
  @ParameterizedTest
  @CsvSource({"1, -1, 1", "2, -1, 1", "2, 1, -1", "4, 1, -1"})
  void whatTheMaskShowsBlackOrTransparentStays(int channels, float color, float alpha)
      throws IOException {
    float[] lower = new float[SIDE * SIDE * channels];
    Arrays.fill(lower, color);
    for (int i = channels - 1; i < lower.length && channels > 1; i += channels) {
      lower[i] = alpha;
    }
    Arrays.fill(lower, lower.length / 2, lower.length, 1);
    Path mask = folder.resolve("mask.png");
    Images.of(1, SIDE, SIDE, channels, lower).writePng(0, mask);
    run(
        "inpaint",
        "--from",
        digit.toString(),
        "--mask",
        mask.toString(),
        "--steps",
        "10",
        "--jump",
        "2",
        "--resamplings",
        "2",
        "--count",
        "1");
    BufferedImage grid = ImageIO.read(out.toFile());
    int half = SIDE * SIDE / 2;
    float[] original = Images.readPng(digit).toArray();
    float[] shown = cell(grid, 0, 0).toArray();
    float[] painted = cell(grid, 1, 0).toArray();
    assertThat(Arrays.copyOf(painted, half)).containsExactly(Arrays.copyOf(original, half));
    assertThat(Arrays.copyOf(shown, half)).containsExactly(Arrays.copyOf(original, half));
    assertThat(shown[2 * half - 1]).as("gray where it is drawn").isCloseTo(0, within(0.01f));
  }

  @Test
  void denoisingIsAnAnimationOfAllSteps() throws IOException {
    out = folder.resolve("out.gif");
    run("denoise", "--count", "4", "--steps", "6");
    assertThat(frames()).hasSize(6);
  }

  @Test
  void badInputIsOneLine() throws IOException {
    assertThat(refused("vary", "--from", digit.toString(), "--strength", "2"))
        .isEqualTo("error: strength must be in [0, 1], got 2.0\n");
    assertThat(refused("between", "--from", digit.toString()))
        .isEqualTo("error: --from must be 2 files, got 1\n");
    assertThat(refused("denoise")).startsWith("error: --out must end in .gif, got ");
    assertThat(refused("inpaint", "--from", digit.toString(), "--mask", "none.png"))
        .startsWith("error: ")
        .contains("none.png");
    assertThat(Files.exists(out)).isFalse();
  }

  private String run(String... args) {
    return captured(0, args);
  }

  private String refused(String... args) {
    return captured(2, args);
  }

  /** Returns what a command writes, to stderr if it fails. */
  private String captured(int code, String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--out", out.toString(), "--seed", "1", "--precision", "float32"));
    PrintStream stdout = System.out;
    PrintStream stderr = System.err;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (PrintStream stream = new PrintStream(bytes, true, StandardCharsets.UTF_8)) {
      if (code == 0) {
        System.setOut(stream);
      } else {
        System.setErr(stream);
      }
      assertThat(Commands.run(new EditImages(), all.toArray(String[]::new))).isEqualTo(code);
    } finally {
      System.setOut(stdout);
      System.setErr(stderr);
    }
    return bytes.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
  }

  private List<BufferedImage> frames() throws IOException {
    ImageReader reader = ImageIO.getImageReadersByFormatName("gif").next();
    try (ImageInputStream in = ImageIO.createImageInputStream(out.toFile())) {
      reader.setInput(in);
      List<BufferedImage> frames = new ArrayList<>();
      for (int i = 0; i < reader.getNumImages(true); i++) {
        frames.add(reader.read(i));
      }
      return frames;
    } finally {
      reader.dispose();
    }
  }

  /** Returns a picture of a grid. */
  private static Images cell(BufferedImage grid, int column, int row) {
    float[] values = new float[SIDE * SIDE];
    for (int i = 0; i < values.length; i++) {
      int x = column * (SIDE + 2) + i % SIDE;
      int y = row * (SIDE + 2) + i / SIDE;
      values[i] = grid.getRaster().getSample(x, y, 0) / 127.5f - 1;
    }
    return Images.of(1, SIDE, SIDE, 1, values);
  }
}

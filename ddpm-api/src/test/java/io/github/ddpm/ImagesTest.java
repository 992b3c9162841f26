package io.github.ddpm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.awt.Dimension;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImagesTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void everyByteSurvivesPng(int channels) throws IOException {
    int[] bytes = new int[2 * 256 * channels];
    float[] values = new float[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = i * 37 % 256;
      values[i] = bytes[i] / 127.5f - 1;
    }
    Images images = Images.of(2, 16, 16, channels, values);
    for (int k = 0; k < 2; k++) {
      Path file = folder.resolve("picture.png");
      images.writePng(k, file);
      BufferedImage read = ImageIO.read(file.toFile());
      assertThat(read.getRaster().getNumBands()).isEqualTo(channels);
      assertThat(pixels(read))
          .containsExactly(Arrays.copyOfRange(bytes, k * 256 * channels, (k + 1) * 256 * channels));
    }
  }

  @Test
  void valuesOutsideAreBlackOrWhite() {
    Images images = Images.of(1, 1, 4, 1, -5, -1, 1, 1e30f);
    assertThat(pixels(images.toBufferedImage(0))).containsExactly(0, 0, 255, 255);
    assertThat(images.toArray()).containsExactly(-5, -1, 1, 1e30f);
  }

  @Test
  void gridIsFilledRowByRow() {
    Images images = Images.of(5, 1, 2, 1, filled(5, 2));
    BufferedImage grid = images.toGrid(3);
    assertThat(grid.getWidth()).isEqualTo(3 * 2 + 2 * 2);
    assertThat(grid.getHeight()).isEqualTo(2 * 1 + 2);
    assertThat(pixels(grid))
        .containsExactly(
            50, 50, 0, 0, 51, 51, 0, 0, 52, 52, //
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
            53, 53, 0, 0, 54, 54, 0, 0, 0, 0);
    assertThat(images.toGrid(9).getWidth()).isEqualTo(5 * 2 + 4 * 2);
    assertThat(images.toGrid(1).getHeight()).isEqualTo(5 * 1 + 4 * 2);
    BufferedImage row = images.toGrid(Integer.MAX_VALUE);
    assertThat(row.getHeight()).isEqualTo(1);
    assertThat(pixels(row)).containsExactly(pixels(images.toGrid(5)));
  }

  /** AWT makes no picture of more. */
  @Test
  void gridOfTooManyPixelsIsRefused() {
    assertThat(Images.gridSize(2, 1, 14, 71_582_788)).isEqualTo(new Dimension(71_582_788, 30));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.gridSize(2, 1, 14, 71_582_789))
        .withMessage(
            "a grid must have fewer than 2^31 - 1 pixels, got 30x71582789 with 1 columns of 2"
                + " pictures");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.gridSize(2_000_000_000, 1_500_000_000, 1, 1))
        .withMessageContaining("got 4x4499999998 with 1500000000 columns of 2000000000 pictures");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.gridSize(1, 1, Integer.MAX_VALUE, Integer.MAX_VALUE));
  }

  /** Image k has the gray level 50 + k. */
  private static float[] filled(int count, int size) {
    float[] values = new float[count * size];
    for (int i = 0; i < values.length; i++) {
      values[i] = (50 + i / size) / 127.5f - 1;
    }
    return values;
  }

  @Test
  void writtenGridIsNearlySquare() throws IOException {
    Path file = folder.resolve("grid.png");
    Images.of(5, 1, 2, 1, filled(5, 2)).writeGrid(file);
    BufferedImage read = ImageIO.read(file.toFile());
    assertThat(read.getWidth()).isEqualTo(3 * 2 + 2 * 2);
    assertThat(read.getHeight()).isEqualTo(2 * 1 + 2);
  }

  /** More values than are written at a time, and not a multiple of them. */
  @Test
  void npyHasAllValues() throws IOException {
    Images images = Images.of(3, 90, 91, 1, filled(3, 90 * 91));
    Path file = folder.resolve("images.npy");
    images.writeNpy(file);
    ByteBuffer written =
        ByteBuffer.wrap(Files.readAllBytes(file)).position(128).order(ByteOrder.LITTLE_ENDIAN);
    assertThat(written.slice().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer())
        .isEqualTo(images.values());
  }

  /** The layout of NumPy's format description, version 1.0, written out by hand. */
  @Test
  void npyIsExact() throws IOException {
    Path file = folder.resolve("images.npy");
    Images.of(2, 1, 3, 1, -1, -0.5f, 0, 0.25f, 0.5f, 1).writeNpy(file);
    String dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3, 1), }";
    byte[] head =
        (dictionary + " ".repeat(117 - dictionary.length()) + "\n")
            .getBytes(StandardCharsets.US_ASCII);
    ByteBuffer expected = ByteBuffer.allocate(128 + 6 * 4).order(ByteOrder.LITTLE_ENDIAN);
    expected.put(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0}).put(head);
    for (float value : new float[] {-1, -0.5f, 0, 0.25f, 0.5f, 1}) {
      expected.putFloat(value);
    }
    assertThat(Files.readAllBytes(file)).containsExactly(expected.array());
  }

  @Test
  void noImagesAreAnEmptyNpyButNoGrid() throws IOException {
    Images none = Images.of(0, 28, 28, 1);
    Path file = folder.resolve("none.npy");
    none.writeNpy(file);
    assertThat(file).hasSize(128);
    Images.of(0, 30_000, 30_000, 3).writeNpy(file);
    assertThat(file).hasSize(128);
    assertThatIllegalStateException()
        .isThrownBy(() -> none.writeGrid(folder.resolve("none.png")))
        .withMessage("a grid needs at least 1 picture, got 0");
    assertThat(files()).containsExactly("none.npy");
  }

  @Test
  void arraysAreCopied() {
    float[] values = {0, 1};
    Images images = Images.of(2, 1, 1, 1, values);
    values[0] = 9;
    images.toArray()[1] = 9;
    assertThat(images).isEqualTo(Images.of(2, 1, 1, 1, 0, 1));
    assertThat(images.slice(1, 2)).isEqualTo(Images.of(1, 1, 1, 1, 1));
  }

  @Test
  void valuesAreReadOnlyAndEachBufferHasItsOwnPosition() {
    Images images = Images.of(2, 1, 2, 1, 0, 0.25f, 0.5f, 1);
    FloatBuffer values = images.values();
    assertThat(values.isReadOnly()).isTrue();
    assertThat(values.get()).isZero();
    assertThat(images.values()).isEqualTo(FloatBuffer.wrap(images.toArray()));
    assertThat(images.slice(1, 2).values()).isEqualTo(FloatBuffer.wrap(new float[] {0.5f, 1}));
  }

  @Test
  void badValuesAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.of(2, 1, 2, 1, 0, 0, 0, Float.NaN))
        .withMessage("image 1 has a value that is not finite: NaN");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.of(1, 1, 1, 1, Float.POSITIVE_INFINITY))
        .withMessage("image 0 has a value that is not finite: Infinity");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.of(2, 1, 2, 1, 0, 0, 0))
        .withMessage("2x1x2x1 images have 4 values, got 3");
    // 2^64 values, which is 0 to a long.
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.of(1 << 16, 1 << 16, 1 << 16, 1 << 16))
        .withMessageContaining("got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.of(1, 0, 2, 1))
        .withMessage("images need a count of at least 0 and sizes of at least 1, got 1x0x2x1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Images.of(1, 1, 1, 1, 0).toGrid(0))
        .withMessage("columns must be at least 1, got 0");
    assertThatExceptionOfType(IndexOutOfBoundsException.class)
        .isThrownBy(() -> Images.of(1, 1, 1, 1, 0).toBufferedImage(1));
  }

  /** The levels of each channel, alpha last, as any reader of PNG sees them. */
  @ParameterizedTest
  @ValueSource(ints = {2, 4})
  void picturesMayHaveAlpha(int channels) throws IOException {
    float[] values = new float[2 * 3 * channels];
    int[] levels = new int[values.length];
    for (int i = 0; i < values.length; i++) {
      levels[i] = 10 * i;
      values[i] = levels[i] / 127.5f - 1;
    }
    Path file = folder.resolve("alpha.png");
    Images pictures = Images.of(1, 2, 3, channels, values);
    pictures.writePng(0, file);
    BufferedImage read = ImageIO.read(file.toFile());
    assertThat(read.getColorModel().hasAlpha()).isTrue();
    assertThat(read.getRaster().getPixels(0, 0, 3, 2, (int[]) null)).containsExactly(levels);
    // What is between pictures is transparent.
    BufferedImage grid = Images.of(2, 1, 3, channels, values).toGrid(2);
    assertThat(grid.getWidth()).isEqualTo(8);
    assertThat(grid.getRGB(3, 0)).isZero();
  }

  @Test
  void failureLeavesTheExistingFileAlone() throws IOException {
    Path file = Files.writeString(folder.resolve("kept.png"), "before");
    assertThatIllegalStateException()
        .isThrownBy(() -> Images.of(1, 1, 1, 5, new float[5]).writePng(0, file))
        .withMessage("a picture needs 1 to 4 channels, got 5");
    assertThat(file).hasContent("before");
    assertThat(files()).containsExactly("kept.png");
  }

  @Test
  void successReplacesTheExistingFileAndLeavesNothingBeside() throws IOException {
    Path file = Files.writeString(folder.resolve("picture.png"), "before");
    Images images = Images.of(1, 1, 1, 1, 0);
    images.writePng(0, file);
    assertThat(ImageIO.read(file.toFile()).getWidth()).isEqualTo(1);
    assertThat(files()).containsExactly("picture.png");
  }

  @Test
  void fileThatCannotBeWrittenIsNamed() throws IOException {
    Images images = Images.of(1, 1, 1, 1, 0);
    Path missing = folder.resolve("missing/picture.png");
    assertThatIOException()
        .isThrownBy(() -> images.writePng(0, missing))
        .withMessageStartingWith("can't write " + missing + ": ");
    Path full = Files.createDirectories(folder.resolve("full/folder")).getParent();
    assertThatIOException()
        .isThrownBy(() -> images.writeNpy(full))
        .withMessageStartingWith("can't write " + full + ": ");
    assertThat(full.resolve("folder")).isDirectory();
    assertThat(files()).containsExactly("full");
  }

  /** Others may read a picture as far as they may read any new file. */
  @Test
  void permissionsAreThoseOfANewFile() throws IOException {
    if (!Files.getFileStore(folder).supportsFileAttributeView("posix")) {
      return;
    }
    Path usual = Files.createFile(folder.resolve("usual"));
    Path file = folder.resolve("picture.png");
    Images.of(1, 1, 1, 1, 0).writePng(0, file);
    assertThat(Files.getPosixFilePermissions(file)).isEqualTo(Files.getPosixFilePermissions(usual));
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static int[] pixels(BufferedImage picture) {
    return picture
        .getRaster()
        .getPixels(0, 0, picture.getWidth(), picture.getHeight(), (int[]) null);
  }
}

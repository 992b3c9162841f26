package io.github.ddpm.tf.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.google.common.primitives.Ints;
import io.github.ddpm.Images;
import java.awt.Transparency;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.IntBinaryOperator;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageFolderTest {
  @TempDir Path folder;

  @Test
  void subFoldersAreClasses() throws IOException {
    write("b/1.png", gray(2, 2, 10));
    write("b/deep/2.PNG", gray(3, 2, 20));
    write("a/3.png", gray(2, 3, 30));
    write("a-b/4.png", gray(5, 5, 40));
    write(".hidden/5.png", gray(5, 5, 50));
    Files.createDirectories(folder.resolve("none"));
    Dataset dataset = ImageFolder.load(folder, 2, 1);
    assertThat(dataset.size()).isEqualTo(4);
    assertThat(dataset.classes()).isEqualTo(3);
    assertThat(dataset.labels(0, 1, 2, 3)).containsExactly(1, 0, 2, 2);
    assertThat(firstBytes(dataset)).containsExactly(40, 30, 10, 20);
  }

  @Test
  void picturesBesideEachOtherHaveNoLabels() throws IOException {
    write("10.png", gray(2, 2, 10));
    write("9.png", gray(2, 2, 9));
    write("B.png", gray(2, 2, 11));
    write("a.png", gray(2, 2, 12));
    write(".a.png", gray(2, 2, 13));
    Files.writeString(folder.resolve("notes.txt"), "no picture");
    Dataset dataset = ImageFolder.load(folder, 2, 1);
    assertThat(dataset.classes()).isZero();
    assertThat(firstBytes(dataset)).containsExactly(10, 9, 11, 12);
  }

  @Test
  void refusesFoldersItCannotMakeSenseOf() throws IOException {
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(folder.resolve("gone"), 8, 1))
        .withMessage(folder.resolve("gone") + " must be a folder of pictures");
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(folder, 8, 1))
        .withMessage(folder + " must hold pictures: files that end with .png, .jpg or .jpeg");
    write("a.png", gray(2, 2, 0));
    write("cats/b.png", gray(2, 2, 0));
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(folder, 8, 1))
        .withMessageContaining("it holds both, such as a.png and the sub-folder cats");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ImageFolder.load(folder, 0, 1))
        .withMessage("size must be in [1, 4096], got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ImageFolder.load(folder, 8, 0))
        .withMessage("channels must be in [1, 4], got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> ImageFolder.load(folder, 8, 5))
        .withMessage("channels must be in [1, 4], got 5");
  }

  @Test
  void keepsPicturesOfTheRightSizeAsTheyAre() throws IOException {
    BufferedImage noise = rgb(5, 5, (x, y) -> 0x123457 * (1 + x + 5 * y) & 0xffffff);
    write("a.png", noise);
    int[] expected =
        Arrays.stream(noise.getRGB(0, 0, 5, 5, null, 0, 5))
            .flatMap(p -> Arrays.stream(new int[] {p >> 16 & 0xff, p >> 8 & 0xff, p & 0xff}))
            .toArray();
    assertThat(load(5, 3)).containsExactly(expected);
  }

  @Test
  void cutsOutTheMiddle() throws IOException {
    write("a.png", rgb(9, 3, (x, y) -> x * 0x010101));
    assertThat(load(3, 1)).containsExactly(3, 4, 5, 3, 4, 5, 3, 4, 5);
    write("a.png", rgb(3, 8, (x, y) -> y * 0x010101));
    assertThat(load(3, 1)).containsExactly(2, 2, 2, 3, 3, 3, 4, 4, 4);
  }

  /** Weights 3/4, 3/4 and 1/4, by the triangle that Pillow uses. */
  @Test
  void averagesWhereItShrinks() throws IOException {
    int[] row = {0, 100, 200, 40};
    write("a.png", rgb(4, 4, (x, y) -> row[x] * 0x010101));
    int first = (int) Math.round((0.75 * 0 + 0.75 * 100 + 0.25 * 200) / 1.75);
    int second = (int) Math.round((0.25 * 100 + 0.75 * 200 + 0.75 * 40) / 1.75);
    assertThat(load(2, 1)).containsExactly(first, second, first, second);
    write("a.png", rgb(4, 4, (x, y) -> row[y] * 0x010101));
    assertThat(load(2, 1)).containsExactly(first, first, second, second);
    // Stripes too fine for the new size become gray instead of moiré.
    write("a.png", rgb(700, 700, (x, y) -> x % 2 * 0xffffff));
    assertThat(Ints.asList(load(200, 1))).allMatch(value -> value > 110 && value < 145);
  }

  @Test
  void interpolatesWhereItEnlarges() throws IOException {
    write("a.png", rgb(2, 2, (x, y) -> x * 100 * 0x010101));
    assertThat(load(4, 1)).startsWith(0, 25, 75, 100).endsWith(0, 25, 75, 100);
  }

  @Test
  void turnsColorIntoLuma() throws IOException {
    write("a.png", rgb(1, 1, (x, y) -> 0xff0000));
    assertThat(load(1, 1)).containsExactly(76);
    write("a.png", rgb(1, 1, (x, y) -> 0x00ff00));
    assertThat(load(1, 1)).containsExactly(150);
    write("a.png", rgb(1, 1, (x, y) -> 0x0000ff));
    assertThat(load(1, 1)).containsExactly(29);
  }

  @Test
  void keepsGrayAsBrightAsItIs() throws IOException {
    write("a.png", gray(2, 2, 100));
    assertThat(load(2, 3)).containsOnly(100);
    BufferedImage sixteenBits = new BufferedImage(2, 2, BufferedImage.TYPE_USHORT_GRAY);
    fill(sixteenBits.getRaster(), 100 * 257);
    write("a.png", sixteenBits);
    assertThat(load(2, 1)).containsOnly(100);
    write("a.png", grayWithAlpha(100, 255));
    assertThat(load(2, 1)).containsOnly(100);
    write("a.jpg", gray(8, 8, 100));
    Files.delete(folder.resolve("a.png"));
    assertThat(load(8, 1)).containsOnly(100);
  }

  @Test
  void laysTransparencyOnWhite() throws IOException {
    write("a.png", grayWithAlpha(0, 0));
    assertThat(load(2, 1)).containsOnly(255);
    write("a.png", grayWithAlpha(55, 51));
    assertThat(load(2, 1)).containsOnly(215);
    BufferedImage color = new BufferedImage(1, 1, BufferedImage.TYPE_INT_ARGB);
    color.setRGB(0, 0, 0x33_ff_37_00);
    write("a.png", color);
    assertThat(load(1, 3)).containsExactly(255, 215, 204);
  }

  /** Every level at every alpha, as they are written: white where nothing of them shows. */
  @ParameterizedTest
  @ValueSource(ints = {2, 4})
  void keepsAlphaWhereItIsAskedFor(int channels) throws IOException {
    int[] expected = new int[256 * 256 * channels];
    float[] values = new float[expected.length];
    for (int at = 0; at < expected.length; at++) {
      int alpha = at / channels / 256;
      int level = at / channels % 256 * (1 + at % channels) % 256;
      boolean isAlpha = at % channels == channels - 1;
      values[at] = (isAlpha ? alpha : level) / 127.5f - 1;
      expected[at] = isAlpha ? alpha : alpha == 0 ? 255 : level;
    }
    Images.of(1, 256, 256, channels, values).writePng(0, folder.resolve("a.png"));
    assertThat(load(256, channels)).containsExactly(expected);
  }

  @Test
  void colorsCountByTheirOpacityWhereItShrinks() throws IOException {
    BufferedImage image = new BufferedImage(2, 2, BufferedImage.TYPE_INT_ARGB);
    image.setRGB(0, 0, 0xff_c8_64_00);
    image.setRGB(1, 0, 0x00_00_00_ff);
    image.setRGB(0, 1, 0x33_00_64_c8);
    image.setRGB(1, 1, 0x00_ff_ff_ff);
    write("a.png", image);
    // (255·200 + 51·0) / 306 and so on; of four pixels a quarter each, (255 + 51) / 4.
    assertThat(load(1, 4)).containsExactly(167, 100, 33, 77);
    int gray = Math.round((299 * 167 + 587 * 100 + 114 * 33) / 1000f);
    assertThat(load(1, 2)).containsExactly(gray, 77);
  }

  @Test
  void whatSaysNothingOfAlphaIsOpaque() throws IOException {
    write("a.png", rgb(7, 5, (x, y) -> 0x123457 * (1 + x + 5 * y) & 0xffffff));
    int[] color = load(3, 3);
    int[] opaque = load(3, 4);
    for (int i = 0; i < 9; i++) {
      assertThat(Arrays.copyOfRange(opaque, 4 * i, 4 * i + 4))
          .containsExactly(color[3 * i], color[3 * i + 1], color[3 * i + 2], 255);
    }
    write("a.png", grayWithAlpha(100, 51));
    assertThat(load(1, 4)).containsExactly(100, 100, 100, 51);
    write("a.png", gray(2, 2, 100));
    assertThat(load(1, 2)).containsExactly(100, 255);
    Files.delete(folder.resolve("a.png"));
    write("a.jpg", gray(8, 8, 100));
    assertThat(load(1, 2)).containsExactly(100, 255);
  }

  @Test
  void refusesBrokenPictures() throws IOException {
    BufferedImage noise = rgb(50, 50, (x, y) -> 0x123457 * (1 + x + 5 * y) & 0xffffff);
    for (String format : new String[] {"png", "jpg"}) {
      byte[] whole = encode(noise, format);
      for (int length : new int[] {0, 10, whole.length / 2, whole.length - 20}) {
        assertRefused("a." + format, Arrays.copyOf(whole, length), "");
      }
    }
    assertRefused("a.png", "no picture".getBytes(UTF_8), "it is neither PNG nor JPEG");
    byte[] huge = encode(noise, "png");
    huge[17] = huge[21] = 1; // 65,586 pixels each way, says the header
    assertRefused("a.png", huge, "it must have at most 134217728 pixels, got 4301523396");
  }

  @Test
  void refusesCmyk() throws IOException {
    ByteArrayOutputStream jpeg = new ByteArrayOutputStream();
    ImageWriter writer = ImageIO.getImageWritersByFormatName("jpg").next();
    try (ImageOutputStream out = ImageIO.createImageOutputStream(jpeg)) {
      writer.setOutput(out);
      Raster cmyk = Raster.createInterleavedRaster(DataBuffer.TYPE_BYTE, 8, 8, 4, null);
      writer.write(new IIOImage(cmyk, null, null));
    } finally {
      writer.dispose();
    }
    Path file = Files.write(folder.resolve("a.jpg"), jpeg.toByteArray());
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(folder, 8, 3))
        .withMessageStartingWith(file + " cannot be read as a picture: ")
        .withMessageMatching(".*(must be gray or RGB|Unsupported Image Type).*"); // by JDK
  }

  private void assertRefused(String name, byte[] bytes, String reason) throws IOException {
    Path file = Files.write(folder.resolve(name), bytes);
    assertThatIOException()
        .isThrownBy(() -> ImageFolder.load(folder, 8, 3))
        .withMessageStartingWith(file + " cannot be read as a picture: ")
        .withMessageContaining(reason);
    Files.delete(file);
  }

  /** The bytes of the only picture there is. */
  private int[] load(int size, int channels) throws IOException {
    return MnistTest.bytes(ImageFolder.load(folder, size, channels), 0);
  }

  private static int[] firstBytes(Dataset dataset) {
    int[] bytes = new int[dataset.size()];
    Arrays.setAll(bytes, i -> MnistTest.bytes(dataset, i)[0]);
    return bytes;
  }

  private void write(String name, BufferedImage image) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    Files.write(file, encode(image, name.endsWith("jpg") ? "jpg" : "png"));
  }

  private static byte[] encode(BufferedImage image, String format) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    assertThat(ImageIO.write(image, format, bytes)).isTrue();
    return bytes.toByteArray();
  }

  private static BufferedImage rgb(int width, int height, IntBinaryOperator color) {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        image.setRGB(x, y, color.applyAsInt(x, y));
      }
    }
    return image;
  }

  private static BufferedImage gray(int width, int height, int value) {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
    fill(image.getRaster(), value);
    return image;
  }

  private static BufferedImage grayWithAlpha(int value, int alpha) {
    ComponentColorModel model =
        new ComponentColorModel(
            ColorSpace.getInstance(ColorSpace.CS_GRAY),
            true,
            false,
            Transparency.TRANSLUCENT,
            DataBuffer.TYPE_BYTE);
    WritableRaster raster = model.createCompatibleWritableRaster(2, 2);
    fill(raster, value, alpha);
    return new BufferedImage(model, raster, false, null);
  }

  private static void fill(WritableRaster raster, int... samples) {
    for (int y = 0; y < raster.getHeight(); y++) {
      for (int x = 0; x < raster.getWidth(); x++) {
        raster.setPixel(x, y, samples);
      }
    }
  }
}

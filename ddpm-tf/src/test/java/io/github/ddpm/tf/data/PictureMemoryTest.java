package io.github.ddpm.tf.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.tf.SmallJvm;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.IntBinaryOperator;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Photos are read row by row, so that their pixels take no memory. */
@Timeout(300)
class PictureMemoryTest {
  @TempDir Path folder;

  /** 48 megapixels of color, which are 144 MB, and four of 12, in a process that has 256 MB. */
  @Test
  void photosOfAnySizeFitIntoASmallHeap() throws Exception {
    write("large/a.jpg", photo(8000, 6000), false);
    for (int i = 0; i < 4; i++) {
      write("several/" + i + ".jpg", photo(4000, 3000), false);
    }
    write("tiny/a.jpg", photo(400, 300), false);
    List<String> lines =
        SmallJvm.run(
            Main.class,
            folder,
            // As many threads as there are photos, on any machine.
            "-Djava.util.concurrent.ForkJoinPool.common.parallelism=3");
    assertThat(lines).hasSize(3);
    int[] tiny = numbers(lines.get(0));
    for (String line : lines) {
      int[] corners = numbers(line);
      for (int i = 0; i < corners.length; i++) {
        // Scaled from 300 pixels or from 6000, the picture is the same.
        assertThat(corners[i]).isCloseTo(tiny[i], within(3));
      }
    }
    assertThat(tiny[0]).isLessThan(tiny[9]);
  }

  private static int[] numbers(String line) {
    return List.of(line.split(" ")).stream().mapToInt(Integer::parseInt).toArray();
  }

  /** Prints the corners of the first picture of each folder. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) throws IOException {
      for (String name : List.of("tiny", "several", "large")) {
        Dataset pictures = ImageFolder.load(Path.of(args[0], name), 64, 3);
        int[] bytes = MnistTest.bytes(pictures, pictures.size() - 1);
        StringBuilder corners = new StringBuilder();
        for (int pixel : new int[] {0, 63, 64 * 63, 64 * 64 - 1}) {
          for (int channel = 0; channel < 3; channel++) {
            corners.append(bytes[3 * pixel + channel]).append(' ');
          }
        }
        System.out.println(corners.toString().trim());
      }
    }
  }

  /** Interlaced and progressive files have the rows of others, but not in their order. */
  @ParameterizedTest
  @ValueSource(strings = {"a.png", "a.jpg"})
  void theOrderOfTheRowsInTheFileDoesNotMatter(String name) throws IOException {
    List<Integer> types =
        name.endsWith("jpg")
            ? List.of(BufferedImage.TYPE_3BYTE_BGR, BufferedImage.TYPE_BYTE_GRAY)
            : List.of(
                BufferedImage.TYPE_3BYTE_BGR,
                BufferedImage.TYPE_BYTE_GRAY,
                BufferedImage.TYPE_BYTE_INDEXED,
                BufferedImage.TYPE_BYTE_BINARY,
                BufferedImage.TYPE_USHORT_GRAY,
                BufferedImage.TYPE_4BYTE_ABGR);
    for (int type : types) {
      BufferedImage image = new BufferedImage(61, 47, type);
      fill(image, (x, y) -> 0x9e3779b9 * (1 + x + 61 * y));
      for (int size : new int[] {1, 13, 47, 100}) {
        for (int channels = 1; channels <= 4; channels++) {
          write(name, image, false);
          int[] expected = load(size, channels);
          write(name, image, true);
          assertThat(load(size, channels))
              .as("%s at %sx%s", type, size, channels)
              .isEqualTo(expected);
        }
      }
    }
  }

  private int[] load(int size, int channels) throws IOException {
    return MnistTest.bytes(ImageFolder.load(folder, size, channels), 0);
  }

  private static BufferedImage photo(int width, int height) {
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_3BYTE_BGR);
    fill(
        image,
        (x, y) -> (x * 250 / width * 0x10000) + (y * 250 / height * 0x100) + 40 + (x * 40 / width));
    return image;
  }

  private static void fill(BufferedImage image, IntBinaryOperator color) {
    for (int y = 0; y < image.getHeight(); y++) {
      for (int x = 0; x < image.getWidth(); x++) {
        image.setRGB(x, y, color.applyAsInt(x, y));
      }
    }
  }

  private void write(String name, BufferedImage image, boolean progressive) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    Files.deleteIfExists(file);
    ImageWriter writer =
        ImageIO.getImageWritersByFormatName(name.endsWith("jpg") ? "jpeg" : "png").next();
    try (ImageOutputStream out = ImageIO.createImageOutputStream(file.toFile())) {
      writer.setOutput(out);
      ImageWriteParam param = writer.getDefaultWriteParam();
      param.setProgressiveMode(
          progressive ? ImageWriteParam.MODE_DEFAULT : ImageWriteParam.MODE_DISABLED);
      writer.write(null, new IIOImage(image, null, null), param);
    } finally {
      writer.dispose();
    }
  }
}

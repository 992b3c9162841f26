package io.github.ddpm.tf.data;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.Bytes;
import com.google.common.primitives.Ints;
import io.github.ddpm.tf.Fixtures;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Pictures come out as they were held, whatever else their files say. */
@Timeout(60)
class ExifTest {
  /** The number of tags, then one tag: its number, type, count and value. */
  private static final byte[] ORIENTATION_6 = {0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0};

  private static final int SHORT = 3;
  private static final int LONG = 4;

  /** Where the start of an image and its JFIF segment end. */
  private static final int JFIF_END = 20;

  /** Where a PNG's signature and header end. */
  private static final int IHDR_END = 33;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {"jfif_then_exif.jpg", "exif_then_jfif_samsung.jpg", "two_jfif.jpg", "exif6.png"})
  void filesOfOtherProgramsAreTurned(String name) throws IOException {
    Files.copy(Fixtures.path("exif/" + name), folder.resolve(name));
    int[] pixels = load(48, 3);
    int[] expected = {11, 244, 129};
    for (int channel = 0; channel < 3; channel++) {
      assertThat(pixels[(2 * 48 + 2) * 3 + channel]).isCloseTo(expected[channel], within(3));
    }
  }

  /** Of a picture whose quarters are A B over C D. */
  @ParameterizedTest
  @CsvSource({
    "1,ABCD", "2,BADC", "3,DCBA", "4,CDAB", "5,ACBD", "6,CADB", "7,DBCA", "8,BDAC", "9,ABCD"
  })
  void turnsPhotosUpright(int orientation, String quarters) throws IOException {
    byte[] tiff = tiff(orientation);
    byte[] jpeg = encode(quarters(), "jpg");
    byte[] start = Arrays.copyOf(jpeg, 2);
    byte[] jfif = Arrays.copyOfRange(jpeg, 2, JFIF_END);
    byte[] rest = Arrays.copyOfRange(jpeg, JFIF_END, jpeg.length);
    byte[] exif = segment(Bytes.concat("Exif\0\0".getBytes(ISO_8859_1), tiff));
    byte[] other = segment("http://ns.adobe.com/xap/1.0/\0<x/>".getBytes(ISO_8859_1));
    byte[] fill = {(byte) 0xff};
    for (byte[] segments :
        List.of(
            Bytes.concat(jfif, exif),
            Bytes.concat(exif, jfif),
            Bytes.concat(jfif, jfif, exif),
            Bytes.concat(other, fill, exif, other),
            exif)) {
      Files.write(folder.resolve("a.jpeg"), Bytes.concat(start, segments, rest));
      assertQuarters(quarters);
    }
    Files.delete(folder.resolve("a.jpeg"));
    byte[] png = encode(quarters(), "png");
    for (int at : new int[] {IHDR_END, png.length - 12}) { // 12 are the end
      Files.write(folder.resolve("a.png"), withExif(png, at, tiff));
      assertQuarters(quarters);
    }
  }

  /** Of every level at every alpha. */
  @Test
  void turningChangesNoTranslucentColor() throws IOException {
    BufferedImage image = new BufferedImage(256, 256, BufferedImage.TYPE_INT_ARGB);
    for (int i = 0; i < 256 * 256; i++) {
      int alpha = 255 - i / 256;
      image.setRGB(i % 256, i / 256, (alpha << 24) | (i % 256 * 0x010203 & 0xffffff));
    }
    byte[] png = encode(image, "png");
    Files.write(folder.resolve("a.png"), png);
    int[] stored = load(256, 4);
    Files.write(folder.resolve("a.png"), withExif(png, IHDR_END, tiff(6)));
    int[] expected = new int[stored.length];
    for (int y = 0; y < 256; y++) {
      for (int x = 0; x < 256; x++) {
        // A quarter clockwise: what was at the left is at the top.
        System.arraycopy(stored, 4 * ((255 - x) * 256 + y), expected, 4 * (y * 256 + x), 4);
      }
    }
    assertThat(load(256, 4)).isEqualTo(expected); // containsExactly would take minutes
  }

  /** Neither is the picture refused, nor do its pixels change but for how they are turned. */
  @ParameterizedTest
  @ValueSource(strings = {"exif_then_jfif_samsung.jpg", "exif6.png"})
  void damageRefusesNoPicture(String name) throws IOException {
    byte[] whole = Files.readAllBytes(Fixtures.path("exif/" + name));
    int tiff = name.endsWith("png") ? IHDR_END + 8 : 12;
    Set<List<Integer>> found = new HashSet<>();
    Random random = new Random(5);
    for (int i = 0; i < 1500; i++) {
      byte[] bytes = whole.clone();
      for (int k = random.nextInt(3); k >= 0; k--) {
        bytes[tiff + random.nextInt(26)] = (byte) (random.nextInt(256) >> random.nextInt(8));
      }
      Files.write(folder.resolve(name), bytes);
      found.add(IntStream.of(load(48, 1)).boxed().toList());
    }
    assertThat(found).as("the ways to hold a picture").hasSizeBetween(3, 8);
  }

  @Test
  void whatIsCutShortIsNone() throws IOException {
    byte[] png = encode(quarters(), "png");
    byte[] whole = tiff(6);
    for (int length = 0; length < whole.length - 4; length++) { // 4 are the next directory
      Files.write(folder.resolve("a.png"), withExif(png, IHDR_END, Arrays.copyOf(whole, length)));
      assertQuarters("ABCD");
    }
  }

  /** Tags that say they are large, which others would read again and again. */
  @ParameterizedTest
  @ValueSource(ints = {SHORT, LONG})
  void hostileTagsTakeNoTime(int type) throws IOException {
    int tags = 65535;
    ByteBuffer tiff = ByteBuffer.allocate(1 << 26).put(new byte[] {'M', 'M', 0, 42, 0, 0, 0, 8});
    tiff.putShort((short) tags);
    for (int i = 0; i < tags; i++) {
      tiff.putShort((short) 0x112).putShort((short) type).putInt(12_000_000).putInt(0);
    }
    byte[] png = encode(quarters(), "png");
    Files.write(folder.resolve("a.png"), withExif(png, IHDR_END, tiff.array()));
    assertQuarters("ABCD");
    // As many tags as JPEG has room for, all as large as that.
    int fit = 5400;
    byte[] exif = Arrays.copyOf(Bytes.concat("Exif\0\0".getBytes(ISO_8859_1), tiff.array()), 65533);
    ByteBuffer few = ByteBuffer.wrap(exif);
    few.putShort(14, (short) fit);
    for (int i = 0; i < fit; i++) {
      few.putInt(16 + 12 * i + 4, 16000);
    }
    byte[] jpeg = encode(quarters(), "jpg");
    Files.delete(folder.resolve("a.png"));
    Files.write(
        folder.resolve("a.jpg"),
        Bytes.concat(
            Arrays.copyOf(jpeg, 2), segment(exif), Arrays.copyOfRange(jpeg, 2, jpeg.length)));
    assertQuarters("ABCD");
  }

  private static BufferedImage quarters() {
    BufferedImage image = new BufferedImage(16, 16, BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < 256; i++) {
      int x = i % 16;
      int y = i / 16;
      image.setRGB(x, y, (40 + 50 * (x / 8) + 100 * (y / 8)) * 0x010101);
    }
    return image;
  }

  private void assertQuarters(String quarters) throws IOException {
    int[] pixels = load(16, 1);
    StringBuilder found = new StringBuilder();
    for (int corner : new int[] {0, 15, 16 * 15, 16 * 16 - 1}) {
      found.append((char) ('A' + Math.round((pixels[corner] - 40) / 50.0)));
    }
    assertThat(found).hasToString(quarters);
    assertThat(load(16, 2))
        .containsExactly(Arrays.stream(pixels).flatMap(gray -> IntStream.of(gray, 255)).toArray());
  }

  /** The bytes of the only picture there is. */
  private int[] load(int size, int channels) throws IOException {
    return MnistTest.bytes(ImageFolder.load(folder, size, channels), 0);
  }

  /** A big-endian TIFF file with one directory, and no next one. */
  private static byte[] tiff(int orientation) {
    byte[] header = {'M', 'M', 0, 42, 0, 0, 0, 8};
    byte[] tags = ORIENTATION_6.clone();
    tags[11] = (byte) orientation;
    return Bytes.concat(header, tags, new byte[4]);
  }

  private static byte[] segment(byte[] data) {
    int length = data.length + 2;
    return Bytes.concat(
        new byte[] {(byte) 0xff, (byte) 0xe1, (byte) (length >> 8), (byte) length}, data);
  }

  private static byte[] withExif(byte[] png, int at, byte[] data) {
    byte[] chunk = Bytes.concat("eXIf".getBytes(ISO_8859_1), data);
    CRC32 checksum = new CRC32();
    checksum.update(chunk);
    return Bytes.concat(
        Arrays.copyOf(png, at),
        Ints.toByteArray(data.length),
        chunk,
        Ints.toByteArray((int) checksum.getValue()),
        Arrays.copyOfRange(png, at, png.length));
  }

  private static byte[] encode(BufferedImage image, String format) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    assertThat(ImageIO.write(image, format, bytes)).isTrue();
    return bytes.toByteArray();
  }
}

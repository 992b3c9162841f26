package io.github.ddpm;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** PNG files made here chunk by chunk, as ISO/IEC 15948 has them. */
class ReadPngTest {
  private static final int GRAY = 0;
  private static final int RGB = 2;
  private static final int PALETTE = 3;
  private static final int GRAY_ALPHA = 4;
  private static final int RGB_ALPHA = 6;

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void whatIsWrittenIsRead(int channels) throws IOException {
    float[] values = new float[2 * 256 * channels];
    for (int i = 0; i < values.length; i++) {
      values[i] = i * 37 % 256 / 127.5f - 1;
    }
    Images images = Images.of(2, 32, 8, channels, values);
    Path first = folder.resolve("0.png");
    Path second = folder.resolve("1.png");
    images.writePng(0, first);
    images.writePng(1, second);
    assertThat(Images.readPng(first, second)).isEqualTo(images);
    assertThat(Images.readPng(second, first, second).slice(0, 1)).isEqualTo(images.slice(1, 2));

    Path again = folder.resolve("again.png");
    Images.readPng(first).writePng(0, again);
    assertThat(again).hasSameBinaryContentAs(first);
  }

  @Test
  void grayOfFewBitsIsRead() throws IOException {
    // Each line begins with 0, which is no filter.
    assertThat(Images.readPng(png(4, 1, 1, GRAY, bytes(0, 0b10100000))))
        .isEqualTo(Images.of(1, 1, 4, 1, 1, -1, 1, -1));
    assertThat(Images.readPng(png(4, 1, 2, GRAY, bytes(0, 0b00011011))))
        .isEqualTo(Images.of(1, 1, 4, 1, -1, 2 / 3f - 1, 4 / 3f - 1, 1));
    assertThat(Images.readPng(png(4, 1, 4, GRAY, bytes(0, 0x0F, 0x30))))
        .isEqualTo(Images.of(1, 1, 4, 1, -1, 1, 6 / 15f - 1, -1));
  }

  @Test
  void sixteenBitsAreRead() throws IOException {
    byte[] gray = bytes(0, 0, 0, 0, 1, 0x80, 0, 0xFF, 0xFF);
    assertThat(Images.readPng(png(4, 1, 16, GRAY, gray)))
        .isEqualTo(Images.of(1, 1, 4, 1, -1, 1 / 32767.5f - 1, 32768 / 32767.5f - 1, 1));
    byte[] rgb = bytes(0, 0, 1, 2, 3, 0xFF, 0xFF);
    assertThat(Images.readPng(png(1, 1, 16, RGB, rgb)))
        .isEqualTo(Images.of(1, 1, 1, 3, 1 / 32767.5f - 1, 515 / 32767.5f - 1, 1));
  }

  @ParameterizedTest
  @ValueSource(ints = {GRAY, RGB})
  void gammaAndProfileChangeNothing(int colors) throws IOException {
    byte[] pixels = new byte[1 + 6];
    float[] expected = new float[6];
    for (int i = 0; i < 6; i++) {
      pixels[1 + i] = (byte) (i * 50);
      expected[i] = i * 50 / 127.5f - 1;
    }
    byte[] profile = join("a profile\0\0".getBytes(ISO_8859_1), deflated(new byte[128]));
    Path file =
        write(
            chunk("IHDR", header(colors == GRAY ? 6 : 2, 1, 8, colors)),
            chunk("gAMA", ByteBuffer.allocate(4).putInt(100_000).array()),
            chunk("iCCP", profile),
            chunk("IDAT", deflated(pixels)),
            chunk("IEND"));
    assertThat(Images.readPng(file).toArray()).containsExactly(expected);
  }

  /** The passes of Adam7 that a picture of 2x2 has: 1, 6 and 7. */
  @Test
  void interlacedOnesAreRead() throws IOException {
    byte[] header = header(2, 2, 8, GRAY);
    header[12] = 1;
    Path file =
        write(
            chunk("IHDR", header),
            chunk("IDAT", deflated(bytes(0, 0, 0, 51, 0, 102, 255))),
            chunk("IEND"));
    assertThat(Images.readPng(file))
        .isEqualTo(Images.of(1, 2, 2, 1, -1, 51 / 127.5f - 1, 102 / 127.5f - 1, 1));
  }

  /** Every level at every alpha, also where nothing of it shows. */
  @ParameterizedTest
  @ValueSource(ints = {2, 4})
  void alphaChangesNoLevel(int channels) throws IOException {
    float[] values = new float[256 * 256 * channels];
    int at = 0;
    for (int alpha = 0; alpha < 256; alpha++) {
      for (int level = 0; level < 256; level++) {
        for (int color = 1; color < channels; color++) {
          values[at++] = level * color % 256 / 127.5f - 1;
        }
        values[at++] = alpha / 127.5f - 1;
      }
    }
    Images images = Images.of(1, 256, 256, channels, values);
    Path file = folder.resolve("alpha.png");
    images.writePng(0, file);
    assertThat(Images.readPng(file)).isEqualTo(images);
  }

  @Test
  void alphaIsTheLastChannel() throws IOException {
    assertThat(Images.readPng(png(2, 1, 8, GRAY_ALPHA, bytes(0, 51, 0, 102, 255))))
        .isEqualTo(Images.of(1, 1, 2, 2, 51 / 127.5f - 1, -1, 102 / 127.5f - 1, 1));
    assertThat(Images.readPng(png(1, 1, 8, RGB_ALPHA, bytes(0, 51, 102, 255, 0))))
        .isEqualTo(Images.of(1, 1, 1, 4, 51 / 127.5f - 1, 102 / 127.5f - 1, 1, -1));
    assertThat(Images.readPng(png(1, 1, 16, GRAY_ALPHA, bytes(0, 0x80, 0, 0, 1))))
        .isEqualTo(Images.of(1, 1, 1, 2, 32768 / 32767.5f - 1, 1 / 32767.5f - 1));
    assertThat(Images.readPng(png(1, 1, 16, RGB_ALPHA, bytes(0, 0, 1, 2, 3, 0xFF, 0xFF, 0, 0))))
        .isEqualTo(Images.of(1, 1, 1, 4, 1 / 32767.5f - 1, 515 / 32767.5f - 1, 1, -1));
  }

  @Test
  void paletteAndTransparentColorsAreRefused() throws IOException {
    refused(
        write(
            chunk("IHDR", header(1, 1, 8, PALETTE)),
            chunk("PLTE", bytes(1, 2, 3)),
            chunk("IDAT", deflated(bytes(0, 0))),
            chunk("IEND")),
        "it must be gray or RGB, but it has a palette");
    refused(
        write(
            chunk("IHDR", header(1, 1, 8, GRAY)),
            chunk("tRNS", bytes(0, 0)),
            chunk("IDAT", deflated(bytes(0, 0))),
            chunk("IEND")),
        "it must be opaque or have an alpha channel, but one of its colors is transparent");
  }

  @Test
  void filesAreOfTheSizeOfTheFirst() throws IOException {
    Path first = png(2, 1, 8, GRAY, bytes(0, 1, 2));
    Path wide = png(3, 1, 8, GRAY, bytes(0, 1, 2, 3));
    Path color = png(2, 1, 8, RGB, bytes(0, 1, 2, 3, 4, 5, 6));
    assertThatIOException()
        .isThrownBy(() -> Images.readPng(first, first, wide))
        .withMessage("can't read " + wide + ": it must be 1x2x1, as " + first + " is, got 1x3x1");
    assertThatIOException()
        .isThrownBy(() -> Images.readPng(first, color))
        .withMessage("can't read " + color + ": it must be 1x2x1, as " + first + " is, got 1x2x3");
    Path alpha = png(2, 1, 8, GRAY_ALPHA, bytes(0, 1, 2, 3, 4));
    assertThatIOException()
        .isThrownBy(() -> Images.readPng(first, alpha))
        .withMessage("can't read " + alpha + ": it must be 1x2x1, as " + first + " is, got 1x2x2");
    // The bits may differ.
    Path deep = png(2, 1, 16, GRAY, bytes(0, 0, 0, 0xFF, 0xFF));
    assertThat(Images.readPng(first, deep).slice(1, 2)).isEqualTo(Images.of(1, 1, 2, 1, -1, 1));
    assertThatIllegalArgumentException()
        .isThrownBy(Images::readPng)
        .withMessage("readPng needs at least 1 file, got none");
  }

  @Test
  void fileThatCannotBeReadIsNamed() {
    Path missing = folder.resolve("missing.png");
    assertThatIOException()
        .isThrownBy(() -> Images.readPng(missing))
        .withMessageStartingWith("can't read " + missing + ": ")
        .withCauseInstanceOf(NoSuchFileException.class);
  }

  /** Wherever a file ends too early or a bit is wrong, it is refused. */
  @Test
  void damagedFilesAreRefused() throws IOException {
    byte[] good = Files.readAllBytes(png(3, 2, 8, GRAY, bytes(0, 1, 2, 3, 0, 4, 5, 6)));
    Path file = folder.resolve("damaged.png");
    for (int i = 0; i < good.length; i++) {
      Files.write(file, Arrays.copyOf(good, i));
      refused(file, i < 8 ? "it is not a PNG file" : "it is cut short");
      byte[] flipped = good.clone();
      flipped[i] ^= 4;
      Files.write(file, flipped);
      assertThatIOException()
          .as("byte %s", i)
          .isThrownBy(() -> Images.readPng(file))
          .withMessageStartingWith("can't read " + file + ": it is ");
    }
  }

  /** With the right checksums, yet not what the header says. */
  @Test
  void filesThatContradictThemselvesAreRefused() throws IOException {
    contradicts(png(2, 2, 8, GRAY, bytes(0, 1, 2)), "EOFException");
    contradicts(png(2, 1, 8, GRAY, bytes(9, 1, 2)), "filter");
    contradicts(png(2, 1, 3, GRAY, bytes(0, 1, 2)), "");
    contradicts(png(0, 1, 8, GRAY, bytes(0)), "");
    contradicts(png(-1, 1, 8, GRAY, bytes(0)), "");
    contradicts(
        write(chunk("IHDR", header(1, 1, 8, GRAY)), chunk("IDAT", bytes(1, 2)), chunk("IEND")), "");
    contradicts(write(chunk("IHDR", header(1, 1, 8, GRAY)), chunk("IEND")), "");
    refused(png(1, 1, 8, 5, bytes(0, 1)), "it is damaged: it has colors of type 5");
    refused(write(chunk("IEND")), "it is damaged: its header is missing");
    refused(
        png(50_000, 50_000, 8, GRAY, bytes(0)),
        "it must have at most 2^31 - 1 values, got 50000x50000 pixels");
    refused(
        png(25_000, 25_000, 8, RGB_ALPHA, bytes(0)),
        "it must have at most 2^31 - 1 values, got 25000x25000 pixels");
  }

  private static void refused(Path file, String problem) {
    assertThatIOException()
        .isThrownBy(() -> Images.readPng(file))
        .withMessage("can't read " + file + ": " + problem);
  }

  private static void contradicts(Path file, String problem) {
    assertThatIOException()
        .isThrownBy(() -> Images.readPng(file))
        .withMessageStartingWith("can't read " + file + ": ")
        .withMessageContaining(problem);
  }

  private Path png(int width, int height, int bits, int colors, byte[] lines) throws IOException {
    return write(
        chunk("IHDR", header(width, height, bits, colors)),
        chunk("IDAT", deflated(lines)),
        chunk("IEND"));
  }

  private Path write(byte[]... chunks) throws IOException {
    byte[] signature = bytes(0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n');
    return Files.write(
        Files.createTempFile(folder, "picture", ".png"), join(signature, join(chunks)));
  }

  private static byte[] header(int width, int height, int bits, int colors) {
    return ByteBuffer.allocate(13)
        .putInt(width)
        .putInt(height)
        .put((byte) bits)
        .put((byte) colors)
        .array();
  }

  private static byte[] chunk(String type, byte... data) {
    byte[] typeAndData = join(type.getBytes(ISO_8859_1), data);
    CRC32 checksum = new CRC32();
    checksum.update(typeAndData);
    return ByteBuffer.allocate(12 + data.length)
        .putInt(data.length)
        .put(typeAndData)
        .putInt((int) checksum.getValue())
        .array();
  }

  private static byte[] deflated(byte[] data) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (DeflaterOutputStream deflater = new DeflaterOutputStream(out)) {
      deflater.write(data);
    }
    return out.toByteArray();
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  private static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }
}

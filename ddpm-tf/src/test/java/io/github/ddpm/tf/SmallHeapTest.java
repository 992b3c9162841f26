package io.github.ddpm.tf;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.spi.Heap;
import io.github.ddpm.tf.data.ImageFolder;
import io.github.ddpm.tf.data.Mnist;
import io.github.ddpm.tf.files.Json;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPOutputStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Small files that would fill a large memory, in a process that has a small one. */
@Timeout(120)
class SmallHeapTest {
  private static final int MEGABYTES_128 = 1 << 27;
  private static final int GRAY = 0;
  private static final int PALETTE = 3;
  private static final int COLOR_AND_ALPHA = 6;

  @TempDir Path folder;

  @Test
  void whatDoesNotFitIsRefusedBeforeItIsMade() throws Exception {
    digits(folder.resolve("digits"), 1 << 24);
    png(folder.resolve("png/a.png"), 11585, GRAY, new byte[0]);
    png(folder.resolve("interlaced/a.png"), 11585, COLOR_AND_ALPHA, new byte[0]);
    png(folder.resolve("text/a.png"), 4, PALETTE, text(300_000_000));
    picture(folder.resolve("jpeg/a.jpg"), 6000, "jpeg");
    for (int i = 0; i < 24; i++) {
      picture(folder.resolve("many/" + i + ".png"), 1, "png");
    }
    arrays(folder.resolve("arrays"), 300_000_000);
    model("side", "unet/config.json", "sample_size", "8192");
    model("tree", "unet/config.json", "_more", "[" + "{},".repeat(1_200_000) + "0]");
    picture(folder.resolve("fits/a.png"), 1000, "png");

    List<String> lines = run();
    assertThat(lines.subList(0, lines.size() - 1))
        .hasSize(7)
        .allMatch(line -> line.matches("java.io.IOException: .*needs \\d+ MB of memory, but .*"))
        .allMatch(line -> line.contains(folder.toString()));
    assertThat(lines).last().isEqualTo("those that fit: 1, 1, 1, 24, 1 and 20");
  }

  /** Tries each of the files. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) throws IOException {
      Path folder = Path.of(args[0]);
      tell(() -> Mnist.train(folder.resolve("digits")));
      tell(() -> Images.readPng(folder.resolve("png/a.png")));
      tell(() -> ImageFolder.load(folder.resolve("interlaced"), 28, 4));
      tell(() -> ImageFolder.load(folder.resolve("text"), 28, 1));
      tell(() -> ModelFiles.readArrays(folder.resolve("arrays")));
      tell(() -> Predictor.load(folder.resolve("side"), Precision.FLOAT32));
      tell(() -> Predictor.load(folder.resolve("tree"), Precision.FLOAT32));
      System.out.println(
          "those that fit: "
              + ImageFolder.load(folder.resolve("fits"), 8, 3).size()
              + ", "
              + ImageFolder.load(folder.resolve("png"), 28, 1).size()
              + ", "
              + ImageFolder.load(folder.resolve("jpeg"), 28, 3).size()
              + ", "
              // 300 MB, in a file.
              + ImageFolder.load(folder.resolve("many"), 2048, 3).size()
              + ", "
              + Images.readPng(folder.resolve("fits/a.png")).count()
              + " and "
              + IntStream.range(0, 20).filter(i -> fits()).count());
    }

    /** Half of the heap fits, though what it was asked for before is still there as garbage. */
    private static boolean fits() {
      return Heap.fits(MEGABYTES_128) && new byte[MEGABYTES_128].length > 0;
    }

    private static void tell(Callable<?> loading) {
      try {
        System.out.println("loaded " + loading.call());
      } catch (Throwable e) { // It may be the OutOfMemoryError that must not be.
        System.out.println(e);
      }
    }
  }

  /** What a process with 256 MB says. */
  private List<String> run() throws IOException, InterruptedException {
    return SmallJvm.run(Main.class, folder, "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
  }

  /** MNIST's files with that many pictures of one pixel. */
  private static void digits(Path to, int count) throws IOException {
    Files.createDirectories(to);
    try (DataOutputStream images = gzip(to.resolve("train-images-idx3-ubyte.gz"));
        DataOutputStream labels = gzip(to.resolve("train-labels-idx1-ubyte.gz"))) {
      for (int value : new int[] {2051, count, 1, 1}) {
        images.writeInt(value);
      }
      labels.writeInt(2049);
      labels.writeInt(count);
      zeros(images, count);
      zeros(labels, count);
    }
    assertThat(Files.size(to.resolve("train-images-idx3-ubyte.gz"))).isLessThan(40_000);
  }

  private static DataOutputStream gzip(Path file) throws IOException {
    return new DataOutputStream(new GZIPOutputStream(Files.newOutputStream(file), 1 << 16));
  }

  /** Writes a black square, whose rows are out of order if it has alpha. */
  private static void png(Path file, int side, int colors, byte[] text) throws IOException {
    Files.createDirectories(file.getParent());
    ByteArrayOutputStream pixels = new ByteArrayOutputStream();
    try (DeflaterOutputStream out = new DeflaterOutputStream(pixels)) {
      zeros(out, side * (side + 1));
    }
    byte[] header =
        ByteBuffer.allocate(13).putInt(side).putInt(side).put((byte) 8).put((byte) colors).array();
    header[12] = (byte) (colors == COLOR_AND_ALPHA ? 1 : 0);
    try (DataOutputStream out = new DataOutputStream(Files.newOutputStream(file))) {
      out.writeLong(0x89504E470D0A1A0AL);
      chunk(out, "IHDR", header);
      if (colors == PALETTE) {
        chunk(out, "PLTE", new byte[3]);
        chunk(out, "zTXt", text);
      }
      chunk(out, "IDAT", pixels.toByteArray());
      chunk(out, "IEND", new byte[0]);
    }
    assertThat(Files.size(file)).isLessThan(400_000);
  }

  private static void chunk(DataOutputStream out, String type, byte[] content) throws IOException {
    CRC32 checksum = new CRC32();
    checksum.update(type.getBytes(ISO_8859_1));
    checksum.update(content);
    out.writeInt(content.length);
    out.writeBytes(type);
    out.write(content);
    out.writeInt((int) checksum.getValue());
  }

  /** The content of a chunk of compressed text. */
  private static byte[] text(int length) throws IOException {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    text.write(new byte[] {'a', 0, 0});
    try (DeflaterOutputStream out = new DeflaterOutputStream(text)) {
      zeros(out, length);
    }
    return text.toByteArray();
  }

  private static void zeros(OutputStream out, int count) throws IOException {
    byte[] zeros = new byte[1 << 16];
    for (int left = count; left > 0; left -= zeros.length) {
      out.write(zeros, 0, Math.min(left, zeros.length));
    }
  }

  private static void picture(Path file, int side, String format) throws IOException {
    Files.createDirectories(file.getParent());
    BufferedImage black = new BufferedImage(side, side, BufferedImage.TYPE_BYTE_GRAY);
    assertThat(ImageIO.write(black, format, file.toFile())).isTrue();
  }

  /** Writes a file that takes no room on disk, as long as its file system has holes. */
  private static void arrays(Path path, int length) throws IOException {
    String header =
        "{\"a\":{\"dtype\":\"F16\",\"shape\":[%d],\"data_offsets\":[0,%d]}}"
            .formatted(length / 2, length);
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.writeLong(Long.reverseBytes(header.length()));
      file.writeBytes(header);
      file.setLength(file.getFilePointer() + length);
    }
  }

  private void model(String to, String file, String key, String value) throws IOException {
    Path path = folder.resolve(to).resolve(file);
    Fixtures.copyModel("golden/unet-attention", folder.resolve(to));
    String json = Json.read(path).toString();
    // As text, because as a tree it is what must not be.
    Files.writeString(
        path,
        json.replaceAll("\"%s\":[^,]+,".formatted(key), "")
            .replaceFirst("\\{", "{\"" + key + "\":" + value + ","));
  }
}

package io.github.ddpm.tf.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.apache.lucene.tests.mockfile.FilterFileChannel;
import org.apache.lucene.tests.mockfile.FilterFileSystemProvider;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Pictures in a file are those in memory. */
class PictureCacheTest {
  private static final int COUNT = 7;

  @TempDir Path folder;

  @BeforeEach
  void writePictures() throws IOException {
    for (int i = 0; i < COUNT; i++) {
      write("data/" + (i % 2 == 0 ? "cat/" : "dog/") + i + ".png", i);
    }
  }

  @Test
  void picturesAreThoseInMemory() throws IOException {
    Dataset expected = found().load(6, 3);
    PictureCache.Content content = new PictureCache.Content("", COUNT, 6, 3);
    Dataset temporary =
        PictureCache.temporary(
            content,
            store -> {
              for (int i = 0; i < COUNT; i++) {
                store.put(i, bytes(expected, i));
              }
            },
            2,
            expected.labels(IntStream.range(0, COUNT).toArray()));
    Dataset cached = found().load(6, 3, cache());
    assertThat(cached.classNames()).containsExactly("cat", "dog");
    for (Dataset each : List.of(temporary, cached, found().load(6, 3, cache()))) {
      int[] batch = each.batch(3, 5 * COUNT, 42);
      assertThat(batch).isEqualTo(expected.batch(3, 5 * COUNT, 42));
      assertThat(each.floats(batch)).isEqualTo(expected.floats(batch));
      assertThat(each.labels(batch)).isEqualTo(expected.labels(batch));
      assertThat(each.mirrored().images(COUNT, 2 * COUNT - 1))
          .isEqualTo(expected.mirrored().images(COUNT, 2 * COUNT - 1));
    }
  }

  @Test
  void picturesAreDecodedAgainOnlyIfTheyChange() throws IOException {
    found().load(6, 3, cache());
    assertThat(first()).isEqualTo(0);
    // Whoever reads the file and not the pictures sees this.
    change(200);
    assertThat(first()).isEqualTo(200);
    Path picture = folder.resolve("data/cat/0.png");
    Files.setLastModifiedTime(picture, FileTime.fromMillis(1_000_000));
    assertThat(first()).as("time").isEqualTo(0);
    change(200);
    Files.move(picture, picture.resolveSibling("00.png"));
    assertThat(first()).as("name").isEqualTo(0);
    change(200);
    Files.write(file(), new byte[] {0}, StandardOpenOption.APPEND);
    assertThat(first()).as("length of the cache").isEqualTo(0);
    change(200);
    Files.write(file(), new byte[10]);
    assertThat(first()).as("a cache cut short").isEqualTo(0);
    write("data/dog/9.png", 9);
    assertThat(found().load(6, 3, cache()).size()).isEqualTo(COUNT + 1);
    assertThat(found().load(6, 1, cache()).channels()).isEqualTo(1);
    try (Stream<Path> files = Files.list(cache())) {
      assertThat(files).as("one for each size, and nothing beside them").hasSize(2);
    }
  }

  @Test
  void aFullDiskIsSaidAndLeavesNothing() throws IOException {
    Path full = new FullDisk().path(Files.createDirectories(cache()));
    assertThatIOException()
        .isThrownBy(() -> found().load(6, 3, full))
        .withMessageMatching(
            "can't write the decoded pictures, of 1 MB, to .*pictures-6x6x3-.*\\.bytes: No space left on device;"
                + " another folder, or -Djava.io.tmpdir, may have room");
    assertThat(cache()).isEmptyDirectory();
    PictureCache.Content content = new PictureCache.Content("", Integer.MAX_VALUE, 4096, 4);
    assertThatIOException()
        .isThrownBy(() -> PictureCache.temporary(content, store -> {}, 0))
        .withMessageMatching(
            "can't write the decoded pictures, of 144115188\\d+ MB, to .*: \\d+ MB are left there; another folder,"
                + " or -Djava.io.tmpdir, may have room");
  }

  @Test
  void brokenPicturesAreSaidAndLeaveNothing() throws IOException {
    Files.writeString(folder.resolve("data/dog/9.png"), "no picture");
    assertThatIOException()
        .isThrownBy(() -> found().load(6, 3, cache()))
        .withMessageEndingWith("9.png cannot be read as a picture: it is neither PNG nor JPEG");
    assertThat(cache()).isEmptyDirectory();
  }

  /** A file system that takes no bytes any more. */
  private static final class FullDisk extends FilterFileSystemProvider {
    FullDisk() {
      super("full://", FileSystems.getDefault());
    }

    Path path(Path path) {
      return wrapPath(path);
    }

    @Override
    public FileChannel newFileChannel(
        Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
        throws IOException {
      return new FilterFileChannel(super.newFileChannel(path, options, attributes)) {
        @Override
        public int write(ByteBuffer bytes, long position) throws IOException {
          throw new IOException("No space left on device");
        }
      };
    }
  }

  private ImageFolder found() throws IOException {
    return ImageFolder.find(folder.resolve("data"));
  }

  private Path cache() {
    return folder.resolve("cache/deep");
  }

  private Path file() throws IOException {
    try (Stream<Path> files = Files.list(cache())) {
      return files.findFirst().orElseThrow();
    }
  }

  /** Returns the first byte of the first picture. */
  private int first() throws IOException {
    return bytes(found().load(6, 3, cache()), 0)[0] & 0xff;
  }

  /** Changes it in the cache. */
  private void change(int value) throws IOException {
    byte[] bytes = Files.readAllBytes(file());
    bytes[bytes.length - COUNT * 6 * 6 * 3] = (byte) value;
    Path other = folder.resolve("other");
    Files.write(other, bytes);
    // In another place, as this one is mapped.
    Files.move(other, file(), StandardCopyOption.REPLACE_EXISTING);
  }

  private static byte[] bytes(Dataset dataset, int index) {
    int[] values = MnistTest.bytes(dataset, index);
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  private void write(String name, int level) throws IOException {
    BufferedImage image = new BufferedImage(9, 6, BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < 9 * 6; i++) {
      image.setRGB(i % 9, i / 9, level * 0x010101 + (level == 0 ? 0 : i));
    }
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    assertThat(ImageIO.write(image, "png", file.toFile())).isTrue();
  }
}

package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibraryFileTest {
  private static final String NAME = "libddpm.so";
  private static final byte[] LIBRARY = new byte[300_000];

  static {
    new Random(3).nextBytes(LIBRARY);
  }

  @TempDir Path cache;

  @Test
  void aWholeFileIsLeftAlone() throws IOException {
    Path file = LibraryFile.of(LIBRARY, NAME, cache);
    assertThat(file).hasBinaryContent(LIBRARY).hasFileName(NAME);
    Files.setLastModifiedTime(file, FileTime.fromMillis(1000));
    assertThat(LibraryFile.of(LIBRARY, NAME, cache)).isEqualTo(file);
    assertThat(Files.getLastModifiedTime(file)).isEqualTo(FileTime.fromMillis(1000));
  }

  @Test
  void whatIsNotWholeIsReplacedAndStaysWhatItWasForWhoeverHasIt() throws IOException {
    Path file = LibraryFile.of(LIBRARY, NAME, cache);
    byte[] damaged = LIBRARY.clone();
    damaged[200_000]++;
    for (byte[] bytes : new byte[][] {Arrays.copyOf(LIBRARY, 150_000), {}, damaged}) {
      Files.write(file, bytes);
      try (FileChannel mapped = FileChannel.open(file)) {
        assertThat(LibraryFile.of(LIBRARY, NAME, cache)).hasBinaryContent(LIBRARY);
        ByteBuffer old = ByteBuffer.allocate(bytes.length);
        assertThat(mapped.size()).isEqualTo(bytes.length);
        while (old.hasRemaining() && mapped.read(old) >= 0) {}
        assertThat(old.array()).isEqualTo(bytes);
      }
    }
    assertThat(files()).containsExactly(NAME);
  }

  @Test
  void eachVersionHasItsOwn() throws IOException {
    Path file = LibraryFile.of(LIBRARY, NAME, cache);
    byte[] other = LIBRARY.clone();
    other[0]++;
    assertThat(LibraryFile.of(other, NAME, cache)).isNotEqualTo(file).hasBinaryContent(other);
    assertThat(file).hasBinaryContent(LIBRARY);
  }

  @Test
  void manyAtOnceEachSeeItWhole() throws IOException {
    IntStream.range(0, 64)
        .parallel()
        .forEach(
            i -> {
              try {
                assertThat(LibraryFile.of(LIBRARY, NAME, cache)).hasBinaryContent(LIBRARY);
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
    assertThat(files()).containsExactly(NAME);
  }

  @Test
  void whereNothingCanBeWrittenNothingIsLeft() throws IOException {
    Path none = Files.createFile(cache.resolve("file"));
    assertThatThrownBy(() -> LibraryFile.of(LIBRARY, NAME, none)).isInstanceOf(IOException.class);
    assertThat(none).isEmptyFile();
  }

  private Stream<String> files() throws IOException {
    try (Stream<Path> paths = Files.walk(cache)) {
      return paths
          .filter(Files::isRegularFile)
          .map(path -> path.getFileName().toString())
          .toList()
          .stream();
    }
  }
}

package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.google.common.primitives.Bytes;
import io.github.ddpm.tf.files.StoredZip.Entry;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class StoredZipTest {
  private static final byte[] FOUR = "four".getBytes(UTF_8);

  @TempDir Path folder;

  @Test
  void anArchiveOfTheJdkIsRead() throws IOException {
    Path file = folder.resolve("x.zip");
    try (OutputStream out = Files.newOutputStream(file);
        ZipOutputStream zip = new ZipOutputStream(out)) {
      for (String text : new String[] {"", "something", "é"}) {
        byte[] bytes = text.getBytes(UTF_8);
        ZipEntry entry = new ZipEntry("x/" + text);
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(bytes.length);
        CRC32 checksum = new CRC32();
        checksum.update(bytes);
        entry.setCrc(checksum.getValue());
        if (!text.isEmpty()) {
          zip.putNextEntry(entry);
          zip.write(bytes);
        }
      }
    }
    try (OpenFile open = OpenFile.of(file)) {
      assertThat(StoredZip.list(open)).hasSize(2);
      for (Entry entry : StoredZip.list(open).values()) {
        ByteBuffer bytes = open.read(entry.begin(), ByteBuffer.allocate((int) entry.size()));
        assertThat("x/" + UTF_8.decode(bytes)).isEqualTo(entry.name());
      }
    }
  }

  @Test
  void theFieldsOfZip64AreRead() throws IOException {
    ZipBytes zip = new ZipBytes().entry("x/a", FOUR).wideEntry("x/b", FOUR, 4);
    long begin = 2 * (30 + 3 + 4);
    Map<String, Entry> narrow = list(zip.toBytes());
    assertThat(narrow.get("x/b")).isEqualTo(new Entry("x/b", 37, 70, 74));
    assertThat(list(zip.toWideBytes(0xffff, 2, begin))).isEqualTo(narrow);
    assertThat(list(zip.toWideBytes(2, 2, begin))).isEqualTo(narrow);
    refused(zip.toWideBytes(7, 2, begin), "zip64 must repeat 7, got 2");
    refused(zip.toWideBytes(3, 3, begin), "the zip archive must have 3 entries, got 2");
    refused(zip.toWideBytes(0xffff, -1, begin), "must have 18446744073709551615 entries, got 2");
    refused(zip.toWideBytes(2, 2, begin - 1), "the zip directory must end at ");
    refused(zip.toWideBytes(2, 2, Long.MIN_VALUE), " bytes at 9223372036854775808");
    byte[] elsewhere = zip.toWideBytes(2, 2, begin);
    elsewhere[elsewhere.length - 22 - 20 + 8]++;
    refused(elsewhere, "the end of the zip64 archive must be at ");
    refused(
        new ZipBytes().wideEntry("x/b", FOUR, -1).toBytes(),
        "must be within the archive's 37 bytes, got 18446744073709551615 at 33");
    refused(
        new ZipBytes().wideEntry("x/b", FOUR, 1L << 62).toBytes(), "got 4611686018427387904 at 33");
    refused(
        new ZipBytes().entry("x/b", FOUR, 0, 0, -1).toBytes(), "entry x/b lacks a number of zip64");
  }

  static Stream<Arguments> hostile() {
    ZipBytes good = new ZipBytes().entry("x/a", FOUR).entry("x/b", FOUR);
    byte[] bytes = good.toBytes();
    byte[] commented = bytes.clone();
    commented[bytes.length - 2] = 1;
    byte[] moved = bytes.clone();
    moved[2 * 37 + 42] = 1;
    byte[] renamed = bytes.clone();
    renamed[32] = 'c';
    byte[] unmarked = bytes.clone();
    unmarked[2 * 37]++;
    byte[] longName = bytes.clone();
    longName[bytes.length - 22 - 49 + 29] = 1;
    byte[] locallyPacked = bytes.clone();
    locallyPacked[8] = 8;
    byte[] otherSizes = bytes.clone();
    otherSizes[2 * 37 + 20] = 3;
    return Stream.of(
        arguments(new ZipBytes().entry("x/a", FOUR, 1, 0, 4).toBytes(), "entry x/a is encrypted"),
        arguments(
            new ZipBytes().entry("x/a", FOUR, 0x2000, 0, 4).toBytes(), "entry x/a is encrypted"),
        arguments(
            new ZipBytes().entry("x/a", FOUR, 0, 8, 4).toBytes(),
            "entry x/a must be stored, not compressed, got method 8"),
        arguments(locallyPacked, "entry x/a must be stored, not compressed, got method 8"),
        arguments(otherSizes, "entry x/a must be stored in as many bytes as it has, 4, got 3"),
        arguments(
            new ZipBytes().entry("x/a", FOUR).entry("x/a", FOUR).toBytes(),
            "entry x/a is there twice"),
        arguments(
            new ZipBytes().entry("x/a", FOUR, 0, 0, 5).entry("x/b", FOUR).toBytes(),
            "entry x/b overlaps entry x/a"),
        arguments(
            new ZipBytes().entry("x/a", FOUR, 0, 0, 5).toBytes(),
            "entry x/a must be within the archive's 37 bytes, got 5 at 33"),
        arguments(
            new ZipBytes().entry("x/a", FOUR).again("x/b", 4, 0).toBytes(),
            "entry x/b is not where the zip directory has it, at 0"),
        arguments(
            new ZipBytes().entry("x/a", FOUR).again("x/b", 4, 5).toBytes(),
            "entry x/b must be within the archive's 37 bytes, got its start at 5"),
        arguments(moved, "entry x/a is not where the zip directory has it, at 1"),
        arguments(renamed, "entry x/a is not where the zip directory has it, at 0"),
        arguments(unmarked, "the zip directory is damaged after 0 entries"),
        arguments(longName, "the zip directory ends in the middle of an entry"),
        arguments(good.toBytes(1), "the zip archive must have 1 entries, got 2"),
        arguments(commented, "the zip archive must be whole, and without a comment"),
        arguments(
            Bytes.concat(new byte[1], bytes),
            "the zip directory must end at 173, got 98 bytes at 74"),
        arguments(
            Bytes.concat(bytes, new byte[1]),
            "the end of the zip archive is missing: was the file cut short?"),
        arguments(new byte[21], "the end of the zip archive is missing: was the file cut short?"));
  }

  @ParameterizedTest
  @MethodSource("hostile")
  void anArchiveThatLiesIsRefused(byte[] zip, String problem) throws IOException {
    refused(zip, problem);
  }

  @ParameterizedTest
  @ValueSource(strings = {"../x", "x/../../y", "/etc/passwd", "x//y", "x/", "", ".", "x\\..\\y"})
  void aPathThatLeavesTheArchiveIsRefused(String name) throws IOException {
    refused(
        new ZipBytes().entry(name, FOUR).toBytes(),
        "entry " + name + " must have a path inside of the archive");
  }

  @Test
  void aLargeDirectoryIsRefused() throws IOException {
    ZipBytes zip = new ZipBytes();
    for (int i = 0; i < 62; i++) {
      zip.again("x".repeat(65_000) + i, 0, 0);
    }
    refused(zip.toBytes(), "the zip directory must have at most 4000000 bytes, got 40");
  }

  private void refused(byte[] zip, String problem) {
    assertThatThrownBy(() -> list(zip))
        .isExactlyInstanceOf(IOException.class)
        .hasMessageStartingWith(folder.resolve("x.zip") + ": ")
        .hasMessageContaining(problem);
  }

  private Map<String, Entry> list(byte... zip) throws IOException {
    try (OpenFile open = OpenFile.of(Files.write(folder.resolve("x.zip"), zip))) {
      return StoredZip.list(open);
    }
  }
}

package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.base.Splitter;
import com.google.common.hash.HashCode;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The SHA-256 of each file of a save, as {@code sha256sum -c SHA256SUMS} reads it. */
final class Checksums {
  static final String FILE = "SHA256SUMS";

  /** A hundred times what a save has. */
  private static final int MAX_BYTES = 100_000;

  private static final int CHUNK_BYTES = 1 << 20;

  /** A name in the folder or in one below it, never elsewhere. */
  private static final Pattern LINE =
      Pattern.compile("([0-9a-f]{64}) [ *]((?:\\w[\\w.-]{0,99}/)?\\w[\\w.-]{0,99})");

  private Checksums() {}

  /** Writes the lines of some files. */
  static byte[] lines(Map<String, HashCode> sums) {
    StringBuilder lines = new StringBuilder();
    sums.forEach((name, sum) -> lines.append(sum).append("  ").append(name).append('\n'));
    return lines.toString().getBytes(UTF_8);
  }

  /**
   * Returns what such a file holds; empty if it isn't there.
   *
   * @throws IOException if it can't be read
   */
  static Optional<String> text(Path list) throws IOException {
    try (OpenFile file = OpenFile.of(list)) {
      if (Files.isDirectory(list) || file.size() > MAX_BYTES) {
        throw new DamagedException(list + ": must be a file of at most " + MAX_BYTES + " bytes");
      }
      byte[] bytes = file.read(0, ByteBuffer.allocate((int) file.size())).array();
      return Optional.of(new String(bytes, UTF_8));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }

  /**
   * Reads the lines.
   *
   * @param list for messages
   * @return the sums by the files' names, in which folders end with a slash
   * @throws DamagedException if they are not lines of such a file
   */
  static Map<String, HashCode> read(Path list, String lines) throws DamagedException {
    Map<String, HashCode> sums = new LinkedHashMap<>();
    for (String line : Splitter.on('\n').split(lines)) {
      Matcher parts = LINE.matcher(line);
      if (parts.matches()) {
        sums.put(parts.group(2), HashCode.fromString(parts.group(1)));
      } else if (!line.isEmpty()) {
        throw new DamagedException(list + ": not lines of SHA-256 and a name");
      }
    }
    if (sums.isEmpty()) {
      throw new DamagedException(list + ": names no file");
    }
    return sums;
  }

  /** Returns the checksum of a file. */
  static HashCode of(OpenFile file) throws IOException {
    Hasher hasher = Hashing.sha256().newHasher();
    ByteBuffer chunk = ByteBuffer.allocate((int) Math.min(CHUNK_BYTES, file.size()));
    for (long at = 0; at < file.size(); at += chunk.limit()) {
      chunk.clear().limit((int) Math.min(chunk.capacity(), file.size() - at));
      hasher.putBytes(file.read(at, chunk));
      chunk.rewind();
    }
    return hasher.hash();
  }
}

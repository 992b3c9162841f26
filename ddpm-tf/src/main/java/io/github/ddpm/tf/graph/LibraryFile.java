package io.github.ddpm.tf.graph;

import static java.nio.file.StandardOpenOption.CREATE_NEW;
import static java.nio.file.StandardOpenOption.WRITE;

import com.google.common.hash.Hashing;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.UUID;

/**
 * A native library as a file. The system maps it into memory, where a byte that is missing ends the
 * process by a signal, so it is loaded only if it is whole, and never written to where others may
 * have it mapped.
 */
final class LibraryFile {
  private LibraryFile() {}

  /**
   * Returns the file of a library, written if it isn't there whole, as after a process was killed
   * or a disk was full. Any number of processes may do so at once.
   *
   * @param cache a folder for libraries of any version, made if need be
   * @throws IOException if it can't be written
   */
  static Path of(byte[] library, String name, Path cache) throws IOException {
    String version = Hashing.sha256().hashBytes(library).toString().substring(0, 16);
    Path file = cache.resolve("ddpm-tf-" + version).resolve(name);
    if (!isWhole(file, library)) {
      Files.createDirectories(file.getParent());
      Path written = file.resolveSibling(name + "." + UUID.randomUUID());
      try {
        try (FileChannel channel = FileChannel.open(written, CREATE_NEW, WRITE)) {
          ByteBuffer rest = ByteBuffer.wrap(library);
          while (rest.hasRemaining()) {
            channel.write(rest);
          }
          // Else a power cut might keep the name and lose what is in it.
          channel.force(true);
        }
        Files.move(written, file, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(written);
      }
    }
    return file;
  }

  private static boolean isWhole(Path file, byte[] library) throws IOException {
    try {
      return Files.size(file) == library.length && Arrays.equals(Files.readAllBytes(file), library);
    } catch (NoSuchFileException e) {
      return false;
    }
  }
}

package io.github.ddpm.tf.net;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What has arrived of a file.
 *
 * @param tag holds what the server calls the file that it is of, if it does
 */
record PartFile(Path file, Path tag) {
  static PartFile of(Path whole) {
    String name = whole.getFileName() + ".part";
    return new PartFile(whole.resolveSibling(name), whole.resolveSibling(name + ".etag"));
  }

  long size() throws IOException {
    return Files.exists(file) ? Files.size(file) : 0;
  }

  Optional<String> etag() throws IOException {
    return Files.exists(tag) ? Optional.of(Files.readString(tag)) : Optional.empty();
  }

  /** Starts anew with a file that the server calls so; null if it has no name for it. */
  void begin(String etag) throws IOException {
    delete();
    if (etag != null && etag.startsWith("\"")) { // A weak one does not promise equal bytes.
      Files.writeString(tag, etag);
    }
  }

  void delete() throws IOException {
    Files.deleteIfExists(file);
    Files.deleteIfExists(tag);
  }
}

package io.github.ddpm.tf.net;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;

import io.github.ddpm.tf.files.Listing;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.WeightFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A model in the cache of Python's huggingface_hub, whose layout this is, so that what one of the
 * two has downloaded the other finds: {@code blobs/} has files by their checksums, {@code
 * snapshots/COMMIT/} links to them by their names, and {@code refs/main} says which commit that
 * branch had when it was last asked for. Unfinished files have names that Python doesn't look for.
 *
 * @param folder of the model
 */
record HubCache(Path folder) {
  /** Opens the part of a cache that has a model. */
  static HubCache of(Path cache, String name) {
    return new HubCache(cache.resolve("models--" + name.replace("/", "--")));
  }

  /** Returns where the files of a commit are, whether or not they are. */
  Path snapshot(String commit) {
    return folder.resolve("snapshots").resolve(commit);
  }

  /** Returns where a file is kept by its checksum. */
  Path blob(HubListing.HubFile file) {
    return folder.resolve("blobs").resolve(file.sum());
  }

  /** Returns the commit that a branch or tag had. */
  Optional<String> commit(String revision) throws IOException {
    try {
      return Optional.of(Files.readString(folder.resolve("refs").resolve(revision)).strip())
          .filter(HubListing::isCommit);
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }

  /** Keeps in mind which commit a branch or tag has. */
  void setCommit(String revision, String commit) throws IOException {
    if (HubListing.isCommit(revision) || commit(revision).equals(Optional.of(commit))) {
      return;
    }
    Path ref = folder.resolve("refs").resolve(revision);
    Files.createDirectories(ref.getParent());
    // Not beside it, where Python would take it for a branch.
    Path temporary = Files.createTempFile(folder, "ref", ".tmp");
    try {
      Files.write(temporary, commit.getBytes(UTF_8));
      Files.move(temporary, ref, ATOMIC_MOVE, REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /** Tells whether a commit has a file, of the right size. */
  boolean has(String commit, String name, HubListing.HubFile file) throws IOException {
    return hasSize(snapshot(commit).resolve(name), file) || hasSize(blob(file), file);
  }

  private static boolean hasSize(Path path, HubListing.HubFile file) throws IOException {
    return Files.isRegularFile(path) && Files.size(path) == file.size();
  }

  /** Returns where a file can be read by now. */
  Path path(String commit, String name, HubListing.HubFile file) throws IOException {
    Path shown = snapshot(commit).resolve(name);
    return hasSize(shown, file) ? shown : blob(file);
  }

  /** Gives a file that is there the name that it has in a commit. */
  void show(String commit, String name, HubListing.HubFile file) throws IOException {
    Path shown = snapshot(commit).resolve(name);
    if (hasSize(shown, file)) {
      return;
    }
    Files.createDirectories(shown.getParent());
    Files.deleteIfExists(shown);
    Path blob = blob(file);
    try {
      Files.createSymbolicLink(shown, shown.getParent().relativize(blob));
    } catch (UnsupportedOperationException | FileSystemException e) {
      // Some file systems have no links, and Windows wants a privilege; or somebody was faster.
      if (!hasSize(shown, file)) {
        Path temporary = Files.createTempFile(folder, "copy", ".tmp");
        try {
          Files.copy(blob, temporary, REPLACE_EXISTING);
          Files.move(temporary, shown, ATOMIC_MOVE, REPLACE_EXISTING);
        } finally {
          Files.deleteIfExists(temporary);
        }
      }
    }
  }

  /**
   * Checks that everything of a commit is there that a model is read from. Python may have
   * downloaded a part of it, and is then told apart by what is missing: it begins with the index of
   * the pipeline, which names a scheduler.
   *
   * @throws IOException if something is missing, or it is no model; the message says what
   */
  void checkWhole(String commit) throws IOException {
    Path snapshot = snapshot(commit);
    List<String> names;
    try (Stream<Path> files = Files.walk(snapshot, FileVisitOption.FOLLOW_LINKS)) {
      names =
          files
              .filter(Files::isRegularFile)
              .map(file -> snapshot.relativize(file).toString().replace('\\', '/'))
              .toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    List<String> model = ModelFolder.choose(Listing.of(snapshot, names));
    String weights = model.get(model.size() - 1);
    if (WeightFiles.isIndex(weights)) {
      Path index = snapshot.resolve(weights);
      for (String part : WeightFiles.listedIn(index, weights)) {
        if (!Files.isRegularFile(index.resolveSibling(part))) {
          throw new IOException(index.resolveSibling(part) + ": this file is missing");
        }
      }
    }
    if (names.contains("model_index.json")
        && names.stream().noneMatch(name -> name.endsWith("scheduler_config.json"))) {
      throw new IOException(snapshot + ": scheduler_config.json is missing");
    }
  }
}

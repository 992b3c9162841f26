package io.github.ddpm.tf.files;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/** The names of the files of a model: of those in a folder, or of those that a hub has. */
public interface Listing {
  /** Returns where a file is, for messages. */
  Path path(String name);

  /**
   * Tells whether there is a file.
   *
   * @param name with the names of its folders
   */
  boolean has(String name);

  /** Tells whether there is a folder. */
  boolean hasFolder(String name);

  /**
   * Returns the names of the files in a folder, sorted.
   *
   * @param folder with a slash at its end; empty for the files that are in none
   */
  List<String> names(String folder) throws IOException;

  /**
   * Lists files that are known by their names alone.
   *
   * @param root that messages put before a name
   */
  static Listing of(Path root, Collection<String> names) {
    Set<String> all = Set.copyOf(names);
    return new Listing() {
      @Override
      public Path path(String name) {
        return root.resolve(name);
      }

      @Override
      public boolean has(String name) {
        return all.contains(name);
      }

      @Override
      public boolean hasFolder(String name) {
        return all.stream().anyMatch(file -> file.startsWith(name + "/"));
      }

      @Override
      public List<String> names(String folder) {
        return all.stream()
            .filter(name -> name.startsWith(folder) && name.lastIndexOf('/') == folder.length() - 1)
            .sorted()
            .toList();
      }
    };
  }
}

package io.github.ddpm.tf.files;

import com.google.common.hash.HashCode;
import com.google.common.io.Closer;
import java.io.Closeable;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * The files of a model's folder at one moment, all of them of one save, whatever is saved
 * meanwhile: each is opened once, and read by its channel. It is not thread-safe; whoever opens one
 * closes it.
 */
public final class Snapshot implements Listing, Closeable {
  private static final System.Logger LOG = System.getLogger(Snapshot.class.getName());

  /** Loading a model checks its files unless this system property is {@code false}. */
  private static final String CHECK = "io.github.ddpm.tf.checksums";

  /** Far more saves than are made while a reader looks for one. */
  private static final int MAX_ATTEMPTS = 1000;

  private final Path root;

  /** The files by their names; empty if nobody wrote them down, and what is there counts. */
  private final Optional<Map<String, HashCode>> sums;

  private final Closer closer = Closer.create();
  private final Map<String, OpenFile> open = new HashMap<>();

  private Snapshot(Path root, Optional<Map<String, HashCode>> sums) {
    this.root = root;
    this.sums = sums;
  }

  /** Opens the newest whole save of a model, but for its training. */
  static Snapshot ofModel(Path folder) throws IOException {
    return open(
        folder,
        name -> !name.startsWith(Saves.TRAINING + "/"),
        !"false".equals(System.getProperty(CHECK)));
  }

  /**
   * Opens the newest whole save of a training, and says in one line which newer ones are damaged.
   *
   * @throws IOException if none is whole; the message names the files and what is wrong with them
   */
  public static Snapshot ofTraining(Path folder) throws IOException {
    return open(folder, name -> true, true);
  }

  private static Snapshot open(Path folder, Predicate<String> wanted, boolean check)
      throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new NoSuchFileException(
          folder.toString(), null, "a model is a folder, and this is none");
    }
    for (int attempt = 1; ; attempt++) {
      State state = State.of(folder);
      List<String> damages = new ArrayList<>();
      Optional<Snapshot> found = whole(folder, state, wanted, check, damages);
      // What goes missing, or is mixed, while a newer save comes is no damage.
      boolean still = attempt == MAX_ATTEMPTS || State.of(folder).equals(state);
      if (found.isPresent() && (check || still)) {
        found.get().warn(folder, state, damages);
        return found.get();
      }
      if (found.isPresent()) {
        found.get().close();
      } else if (still) {
        throw new IOException(String.join("; ", damages) + "; " + advice(folder, state));
      }
    }
  }

  /**
   * Looks for a save that is whole, the newest first, and after them at what is beside them.
   *
   * @param damages is added what is wrong with those that are not
   */
  private static Optional<Snapshot> whole(
      Path folder, State state, Predicate<String> wanted, boolean check, List<String> damages)
      throws IOException {
    for (Path save : state.saves()) {
      try {
        return Optional.of(saved(save, wanted, check));
      } catch (DamagedException e) {
        // What goes while it is read was replaced.
        if (Files.exists(save)) {
          damages.add(e.getMessage());
        }
      }
    }
    if (state.list().isEmpty()) {
      return damages.isEmpty()
          ? Optional.of(new Snapshot(folder, Optional.empty()))
          : Optional.empty();
    }
    try {
      return Optional.of(saved(folder, wanted, check));
    } catch (DamagedException e) {
      damages.add(e.getMessage());
      return Optional.empty();
    }
  }

  private static String advice(Path folder, State state) {
    return "to load files that were changed on purpose, delete "
        + (state.saves().isEmpty() ? "" : folder.resolve(Saves.FOLDER) + " and ")
        + folder.resolve(Checksums.FILE);
  }

  /** Says what is damaged, or not read because it came from elsewhere. */
  private void warn(Path folder, State state, List<String> damages) throws IOException {
    if (!damages.isEmpty()) {
      LOG.log(
          Level.WARNING,
          "{0}; {1} is read instead; {2}",
          String.join("; ", damages),
          root,
          advice(folder, state));
    } else if (!state.saves().isEmpty()) {
      warnOfOthers(folder, state);
    }
  }

  /**
   * What a save changes.
   *
   * @param saves the newest first
   * @param list what {@link Checksums#FILE} beside them holds; empty if there is none
   */
  private record State(List<Path> saves, Optional<String> list) {
    static State of(Path folder) throws IOException {
      return new State(Saves.newestFirst(folder), Checksums.text(folder.resolve(Checksums.FILE)));
    }
  }

  /**
   * Checks all files of a save.
   *
   * @throws DamagedException if one is damaged; the message names it
   */
  static void check(Path save) throws IOException {
    saved(save, name -> true, true).close();
  }

  private static Snapshot saved(Path root, Predicate<String> wanted, boolean check)
      throws IOException {
    Path list = root.resolve(Checksums.FILE);
    Map<String, HashCode> sums =
        Checksums.read(
            list,
            Checksums.text(list)
                .orElseThrow(() -> new DamagedException(list + ": this file is missing")));
    Snapshot snapshot = new Snapshot(root, Optional.of(sums));
    boolean whole = false;
    try {
      for (String name : sums.keySet()) {
        if (wanted.test(name)) {
          OpenFile file = snapshot.file(name);
          if (check && !Checksums.of(file).equals(sums.get(name))) {
            throw new DamagedException(
                file.path() + ": damaged, its SHA-256 is not that of " + Checksums.FILE);
          }
        }
      }
      whole = true;
      return snapshot;
    } catch (NoSuchFileException e) {
      throw new DamagedException(e.getFile() + ": this file is missing");
    } finally {
      if (!whole) {
        snapshot.close();
      }
    }
  }

  /** Says so if what lies beside the saves came from elsewhere, and is not read. */
  private void warnOfOthers(Path folder, State state) throws IOException {
    Optional<String> other =
        open.keySet().stream().filter(name -> isOfNone(folder, name, state.saves())).findFirst();
    // Asked again, because a save may have replaced the file in between.
    if (other.isPresent()
        && isOfNone(folder, other.get(), state.saves())
        && State.of(folder).equals(state)) {
      LOG.log(
          Level.WARNING,
          "{0} is not what was saved: {1} is read instead; to read the former, delete {2} and {3}",
          folder.resolve(other.get()),
          path(other.get()),
          folder.resolve(Saves.FOLDER),
          folder.resolve(Checksums.FILE));
    }
  }

  private boolean isOfNone(Path folder, String name, List<Path> saves) {
    Path shown = folder.resolve(name);
    try {
      for (Path save : saves) {
        Path file = save.resolve(name);
        if (Files.exists(file) && Files.isSameFile(file, shown)) {
          return false;
        }
      }
      HashCode sum;
      try (OpenFile file = OpenFile.of(shown)) {
        sum = Checksums.of(file);
      }
      if (sum.equals(sums.orElseThrow().get(name))) {
        return false;
      }
      // A model that is saved alone keeps no save before: it may just be replaced.
      Path list = folder.resolve(Checksums.FILE);
      return saves.size() > 1
          || !sum.equals(Checksums.read(list, Checksums.text(list).orElse("")).get(name));
    } catch (IOException e) {
      // It is gone, or about to be replaced.
      return false;
    }
  }

  /** Tells whether files that nobody wrote down may have been replaced by a save by now. */
  boolean isOutdated() throws IOException {
    return sums.isEmpty()
        && (Files.exists(root.resolve(Checksums.FILE)) || !Saves.newestFirst(root).isEmpty());
  }

  @Override
  public Path path(String name) {
    return root.resolve(name);
  }

  @Override
  public boolean has(String name) {
    return sums.map(listed -> listed.containsKey(name))
        .orElseGet(() -> Files.exists(root.resolve(name)));
  }

  @Override
  public boolean hasFolder(String name) {
    return sums.map(
            listed -> listed.keySet().stream().anyMatch(file -> file.startsWith(name + "/")))
        .orElseGet(() -> Files.isDirectory(root.resolve(name)));
  }

  @Override
  public List<String> names(String folder) throws IOException {
    if (sums.isPresent()) {
      return sums.get().keySet().stream()
          .filter(name -> name.lastIndexOf('/') == folder.length() - 1 && name.startsWith(folder))
          .sorted()
          .toList();
    }
    try (Stream<Path> files = Files.list(root.resolve(folder))) {
      return files.map(file -> folder + file.getFileName()).sorted().toList();
    }
  }

  /**
   * Returns a file, which is open as long as this is.
   *
   * @throws NoSuchFileException if there is none
   */
  OpenFile file(String name) throws IOException {
    OpenFile file = open.get(name);
    if (file == null) {
      if (!has(name)) {
        throw new NoSuchFileException(path(name).toString());
      }
      file = closer.register(OpenFile.of(path(name)));
      open.put(name, file);
    }
    return file;
  }

  @Override
  public void close() throws IOException {
    closer.close();
  }
}

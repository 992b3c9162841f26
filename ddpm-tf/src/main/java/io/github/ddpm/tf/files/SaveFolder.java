package io.github.ddpm.tf.files;

import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardOpenOption.CREATE_NEW;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import com.google.common.hash.HashCode;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileStore;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A folder that models are saved to, for as long as it is ours. Nothing that happens while a save
 * is made, to the process or to the machine, costs the one before.
 *
 * <pre>
 * model_index.json, unet/, scheduler/, training/, SHA256SUMS   the newest save, as diffusers reads it
 * saves/17/                                                    the same files: the save
 * saves/16/                                                    the one before
 * saves/.lock                                                  whose folder this is
 * </pre>
 *
 * <p>A save is written to a place of its own in {@code saves/} with all checksums, synced, and made
 * the newest by one rename. Then each file beside {@code saves/} is replaced by a link to the new
 * one, by a rename too, so none is missing at any moment; a copy stands in where the file system
 * has no links. Last, older saves than are kept go, and what dead processes left behind.
 *
 * <p>Why not otherwise: an exchange of folders under fixed names takes two renames, with a moment
 * between them in which there is none; symbolic links, which take one, need privileges on Windows
 * and are lost by much that copies and uploads folders; and a pointer to the newest save would be
 * one more file to sync and to damage, where the names of the saves say it.
 */
public final class SaveFolder implements AutoCloseable {
  /** The name of what else a model's folder may have than diffusers reads. */
  public static final String TRAINING = Saves.TRAINING;

  /** What a file system may need beside the bytes of the files. */
  private static final long SPARE_BYTES = 1 << 20;

  private static final String LOCK = ".lock";

  private static final System.Logger LOG = System.getLogger(SaveFolder.class.getName());

  private final Path folder;
  private FolderLock lock;

  /** Saves that were written or checked here. */
  private final Set<Path> whole = new HashSet<>();

  private SaveFolder(Path folder, FolderLock lock) {
    this.folder = folder;
    this.lock = lock;
  }

  /**
   * Takes a folder, which is made if need be, until this is closed.
   *
   * @throws IOException if it can't be written to, or somebody else has it; the message names the
   *     process
   */
  public static SaveFolder take(Path folder) throws IOException {
    Path saves = folder.resolve(Saves.FOLDER);
    createDurably(saves.toAbsolutePath());
    SaveFolder taken = new SaveFolder(folder, FolderLock.take(folder, saves.resolve(LOCK)));
    boolean done = false;
    try {
      taken.showNewest();
      done = true;
      return taken;
    } finally {
      if (!done) {
        taken.close();
      }
    }
  }

  /** Ends what a crash may have left undone: the newest save is what diffusers is to read. */
  private void showNewest() throws IOException {
    for (Path save : Saves.newestFirst(folder)) {
      Optional<String> list = Checksums.text(save.resolve(Checksums.FILE));
      if (list.equals(Checksums.text(folder.resolve(Checksums.FILE)))) {
        return;
      }
      if (list.isPresent() && isWhole(save)) {
        showIfPossible(save, Checksums.read(save, list.get()).keySet());
        return;
      }
    }
  }

  /**
   * Tells whether a training that is resumed can be saved where it was: not if the folder can't be
   * written to, or another training of this process has it.
   */
  public static boolean mayBeTaken(Path folder) throws IOException {
    return (Files.isDirectory(folder.resolve(Saves.FOLDER))
            || Files.isDirectory(folder.resolve(TRAINING)))
        && Files.isWritable(folder)
        && !FolderLock.isOurs(folder);
  }

  /** Tells whether this is that folder, by whatever name. */
  public boolean is(Path other) throws IOException {
    return folder.equals(other)
        || (Files.exists(folder) && Files.exists(other) && Files.isSameFile(folder, other));
  }

  /** What writes a file, or a folder with its files, that isn't there yet. */
  public interface Content {
    void write(Path part) throws IOException;
  }

  /**
   * Makes a save and lets it be the newest.
   *
   * @param parts what writes each file or folder, by name; a training that was saved before stays
   *     if there is none among them
   * @param bytes how much they are, about
   * @param keep how many saves are kept beside what diffusers reads; 0 for a model alone, which
   *     leaves those of a training
   * @throws IOException if it can't be written; then the save before is still the newest
   */
  public void save(Map<String, Content> parts, long bytes, int keep) throws IOException {
    Path saves = folder.resolve(Saves.FOLDER);
    if (!lock.isHeld()) {
      // It was moved away since it was taken, and perhaps another put in its place.
      lock.close();
      createDurably(saves.toAbsolutePath());
      lock = FolderLock.take(folder, saves.resolve(LOCK));
    }
    removeLeftovers(saves);
    checkSpace(bytes);
    List<Path> before = Saves.newestFirst(folder);
    Path staging = Files.createDirectory(saves.resolve("." + UUID.randomUUID()));
    Path save = saves.resolve(String.valueOf(number(before, keep)));
    Map<String, HashCode> sums;
    try {
      for (Map.Entry<String, Content> part : parts.entrySet()) {
        part.getValue().write(staging.resolve(part.getKey()));
      }
      if (!parts.containsKey(TRAINING)
          && Files.isDirectory((before.isEmpty() ? folder : before.get(0)).resolve(TRAINING))) {
        carryOver(staging);
      }
      sums = seal(staging);
      Files.move(staging, save, ATOMIC_MOVE);
    } catch (IOException | RuntimeException e) {
      deleteIfPossible(staging);
      throw e;
    }
    sync(saves);
    whole.add(save);
    boolean shown = showIfPossible(save, sums.keySet());
    boolean isTraining = !before.isEmpty() && Files.isDirectory(before.get(0).resolve(TRAINING));
    if (keep > 0 || !isTraining) {
      prune(shown ? keep : Math.max(1, keep));
    }
  }

  /** Returns a number that a reader won't take for that of another save. */
  private long number(List<Path> before, int keep) throws IOException {
    // A save that isn't kept would have the same number each time.
    return keep == 0 && before.isEmpty()
        ? ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now())
        : Saves.next(folder);
  }

  private void checkSpace(long bytes) throws IOException {
    FileStore store;
    try {
      store = Files.getFileStore(folder);
    } catch (IOException e) {
      // In some sandboxes nobody knows where a folder is.
      return;
    }
    long usable = store.getUsableSpace();
    // Some network file systems say 0 of 0.
    if (store.getTotalSpace() > 0 && usable < bytes + SPARE_BYTES) {
      throw new IOException(
          String.format(
              Locale.ROOT,
              "%s: a save takes %.1f MB, and %.1f MB are free",
              folder,
              bytes / 1e6,
              usable / 1e6));
    }
  }

  /** Adds the training that was saved before, if it is whole. */
  private void carryOver(Path staging) throws IOException {
    try (Snapshot before = Snapshot.ofTraining(folder)) {
      Files.createDirectory(staging.resolve(TRAINING));
      for (String name : before.names(TRAINING + "/")) {
        link(before.path(name), staging.resolve(name));
      }
    }
  }

  /** Syncs all that was written, and writes the checksums of the files beside them. */
  private static Map<String, HashCode> seal(Path staging) throws IOException {
    Map<String, HashCode> sums = new LinkedHashMap<>();
    for (Path path : walk(staging)) {
      if (Files.isRegularFile(path)) {
        try (OpenFile file = OpenFile.of(path)) {
          sums.put(relative(staging, path), Checksums.of(file));
        }
      }
    }
    Path list = staging.resolve(Checksums.FILE);
    Files.write(list, Checksums.lines(sums), CREATE_NEW, WRITE);
    for (Path path : walk(staging)) {
      sync(path);
    }
    return sums;
  }

  /** Lets the files of a save be those that diffusers reads. The save is made, whether or not. */
  private boolean showIfPossible(Path save, Set<String> names) {
    try {
      show(save, names);
      return true;
    } catch (IOException e) {
      LOG.log(
          Level.WARNING,
          "{0} is saved, but diffusers still reads older files beside it: {1}",
          save,
          e.toString());
      return false;
    }
  }

  private void show(Path save, Set<String> saved) throws IOException {
    Path link = save.resolveSibling("." + UUID.randomUUID());
    Set<Path> folders = new HashSet<>();
    List<String> names = new ArrayList<>(saved);
    names.add(Checksums.FILE);
    for (String name : names) {
      Path shown = folder.resolve(name);
      if (shown.getParent() != null && !shown.getParent().equals(folder)) {
        folders.add(Files.createDirectories(shown.getParent()));
      }
      // A rename between two names of one file does nothing, and leaves both.
      if (!Files.exists(shown) || !Files.isSameFile(save.resolve(name), shown)) {
        link(save.resolve(name), link);
        Files.move(link, shown, ATOMIC_MOVE);
      }
    }
    for (Path each : folders) {
      // Shards, or weights under a name that diffusers would prefer.
      try (Stream<Path> files = Files.list(each)) {
        for (Path file : files.toList()) {
          if (!saved.contains(relative(folder, file)) && !Files.isDirectory(file)) {
            Files.delete(file);
          }
        }
      }
      sync(each);
    }
    sync(folder);
  }

  /** Removes older saves than the newest whole ones that are kept. */
  private void prune(int keep) throws IOException {
    int kept = 0;
    for (Path save : Saves.newestFirst(folder)) {
      if (kept < keep && isWhole(save)) {
        kept++;
      } else {
        try {
          // Renamed first: what is half gone must not be taken for a save that is damaged.
          Files.move(save, save.resolveSibling("." + UUID.randomUUID()), ATOMIC_MOVE);
        } catch (FileSystemException e) {
          // On Windows somebody reads it; it goes with a later save.
          LOG.log(Level.DEBUG, "left behind", e);
        }
      }
    }
    removeLeftovers(folder.resolve(Saves.FOLDER));
  }

  private boolean isWhole(Path save) {
    if (whole.contains(save)) {
      return true;
    }
    try {
      Snapshot.check(save);
      return whole.add(save);
    } catch (DamagedException e) {
      return false;
    } catch (IOException e) {
      // It can't be read now, and may be whole.
      return true;
    }
  }

  /** Removes what others left behind; while the folder is ours there is nobody else. */
  private static void removeLeftovers(Path saves) throws IOException {
    try (Stream<Path> entries = Files.list(saves)) {
      for (Path entry : entries.toList()) {
        if (name(entry).matches("\\.[0-9a-f-]{36}")) {
          deleteIfPossible(entry);
        }
      }
    }
  }

  /** Gives the folder free. Where no save is kept, nothing but the model remains. */
  @Override
  public void close() {
    try {
      if (Saves.newestFirst(folder).isEmpty()) {
        Path saves = folder.resolve(Saves.FOLDER);
        Files.deleteIfExists(saves.resolve(LOCK));
        Files.delete(saves);
      }
    } catch (IOException e) {
      // All that was saved is on the device; or somebody else has files there.
      LOG.log(Level.DEBUG, "left behind", e);
    } finally {
      lock.close();
    }
  }

  /** Makes a folder whose name stays after a power cut, and those that it is in. */
  private static void createDurably(Path made) throws IOException {
    if (!Files.isDirectory(made)) {
      Path parent = made.getParent();
      if (parent != null) {
        createDurably(parent);
      }
      try {
        Files.createDirectory(made);
      } catch (FileAlreadyExistsException e) {
        if (!Files.isDirectory(made)) {
          throw new IOException(made + ": not a folder", e);
        }
      }
      if (parent != null) {
        sync(parent);
      }
    }
  }

  /** Waits until the device has a file, or the names in a folder. */
  private static void sync(Path path) throws IOException {
    boolean isFolder = Files.isDirectory(path);
    if (isFolder && !path.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      // Windows opens no folders, and needs none to be synced.
      return;
    }
    try (FileChannel channel = FileChannel.open(path, isFolder ? READ : WRITE)) {
      channel.force(true);
    } catch (IOException e) {
      if (!isFolder) {
        throw e;
      }
      // Some network file systems can't, and must still be of use.
      LOG.log(Level.DEBUG, "the names in a folder are not synced", e);
    }
  }

  /** Gives a file one more name, or makes a copy where there are no links. */
  private static void link(Path file, Path name) throws IOException {
    try {
      Files.createLink(name, file);
    } catch (UnsupportedOperationException | FileSystemException e) {
      Files.copy(file, name);
      sync(name);
    }
  }

  private static List<Path> walk(Path root) throws IOException {
    try (Stream<Path> paths = Files.walk(root)) {
      return paths.sorted().toList();
    }
  }

  /** Deletes a file, or a folder with all that is in it. What can't be goes with the next save. */
  private static void deleteIfPossible(Path path) {
    try {
      MoreFiles.deleteRecursively(path, RecursiveDeleteOption.ALLOW_INSECURE);
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "left behind", e);
    }
  }

  private static String relative(Path root, Path file) {
    return root.relativize(file).toString().replace('\\', '/');
  }

  private static String name(Path path) {
    return path.getFileName().toString();
  }
}

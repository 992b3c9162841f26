package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.HashSet;
import java.util.Set;

/**
 * A folder's lock: one process has it, and in that process one holder. The system gives it free
 * when the process is gone, however it ended.
 */
final class FolderLock implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(FolderLock.class.getName());

  /** Where the lock is: beyond the process's number, which others must be able to read. */
  private static final long POSITION = 1 << 20;

  /**
   * The folders that this process has. It must be known without opening the file, because to close
   * it again would give the lock free.
   */
  private static final Set<Object> HELD = new HashSet<>();

  private final Object folderKey;
  private final Path file;
  private final Object fileKey;
  private final FileChannel channel;

  private FolderLock(Object folderKey, Path file, FileChannel channel) throws IOException {
    this.folderKey = folderKey;
    this.file = file;
    this.fileKey = key(file);
    this.channel = channel;
  }

  /**
   * Takes a folder.
   *
   * @param file that is locked, made if need be
   * @throws IOException if somebody else has it, or the file can't be written
   */
  static FolderLock take(Path folder, Path file) throws IOException {
    Object key = key(folder);
    synchronized (HELD) {
      if (!HELD.add(key)) {
        throw new IOException(
            folder + ": another training of this process saves here until it is closed");
      }
    }
    FileChannel channel = null;
    boolean taken = false;
    try {
      channel = FileChannel.open(file, CREATE, READ, WRITE);
      if (!isFree(channel, folder)) {
        throw new IOException(
            "%s: process %s trains or saves here; wait for it, or choose another folder"
                .formatted(folder, owner(channel)));
      }
      channel.truncate(0);
      channel.write(US_ASCII.encode(String.valueOf(ProcessHandle.current().pid())), 0);
      FolderLock lock = new FolderLock(key, file, channel);
      taken = true;
      return lock;
    } finally {
      if (!taken) {
        free(key, channel);
      }
    }
  }

  /** Tells whether this process has a folder. */
  static boolean isOurs(Path folder) throws IOException {
    synchronized (HELD) {
      return HELD.contains(key(folder));
    }
  }

  /** Returns what tells a file or folder from all others, by whatever name. */
  private static Object key(Path path) throws IOException {
    Object key = Files.readAttributes(path, BasicFileAttributes.class).fileKey();
    return key == null ? path.toRealPath() : key;
  }

  /** Tells whether the file that is locked is still there. */
  boolean isHeld() {
    try {
      return key(file).equals(fileKey);
    } catch (IOException e) {
      return false;
    }
  }

  /** Locks the file, if nobody else has. */
  private static boolean isFree(FileChannel channel, Path folder) {
    try {
      return channel.tryLock(POSITION, 1, false) != null;
    } catch (IOException e) {
      // Some network file systems have no locks. Training there must still be possible.
      LOG.log(
          Level.WARNING,
          "{0}: can''t be locked, so nothing keeps a second training out: {1}",
          folder,
          e.getMessage());
      return true;
    }
  }

  /** Returns the number of the process that has the lock. */
  private static String owner(FileChannel channel) throws IOException {
    ByteBuffer number = ByteBuffer.allocate(20);
    channel.read(number, 0);
    String owner = US_ASCII.decode(number.flip()).toString();
    return owner.matches("\\d+") ? owner : "of another user or machine";
  }

  private static void free(Object key, FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      // The system gives the lock free at the latest.
      LOG.log(Level.DEBUG, "not closed", e);
    } finally {
      synchronized (HELD) {
        HELD.remove(key);
      }
    }
  }

  @Override
  public void close() {
    free(folderKey, channel);
  }
}

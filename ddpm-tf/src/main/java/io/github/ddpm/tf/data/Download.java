package io.github.ddpm.tf.data;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardOpenOption.APPEND;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import com.google.common.hash.Hashing;
import com.google.common.hash.HashingInputStream;
import com.google.common.io.ByteStreams;
import io.github.ddpm.spi.Excerpt;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Fetches gzip files from the first mirror that has them, whole or not at all. What arrived before
 * a connection broke is kept beside the file as {@code .part}, and the next attempt, in this
 * process or another, asks for the rest. Whether a file is whole is told by its checksum alone,
 * never by a length that the server states.
 *
 * @param mirrors folders, tried in turn; each ends with a slash
 * @param rounds how often to go through the mirrors
 * @param timeout how long to wait for a connection, and for each next piece
 * @param pause time between rounds
 * @param limit time for a file in all, because a server that sends a few bytes now and then would
 *     take forever, and time to wait for another process that fetches
 */
record Download(List<URI> mirrors, int rounds, Duration timeout, Duration pause, Duration limit) {
  private static final System.Logger LOG = System.getLogger(Download.class.getName());

  /** Neither a file nor its uncompressed bytes may be more: MNIST's largest has 47 MB. */
  private static final long MAX_BYTES = 1 << 26;

  /** Stands for the checksum of a file whose end is missing. */
  private static final String CUT = "none: cut short";

  /** The byte of the lock's file that is locked; before it is the number of who has it. */
  private static final long LOCKED = Long.MAX_VALUE - 1;

  /** How long to wait before asking for the lock again. */
  private static final Duration POLL = Duration.ofMillis(100);

  private static final int RANGE_NOT_SATISFIABLE = 416;

  /**
   * Makes sure that the folder, which is created if need be, holds the file.
   *
   * @param name of the gzip file
   * @param sha256 of its uncompressed bytes, since the compressed ones differ between mirrors
   * @throws IOException if no mirror has the file, it cannot be written, or it takes longer than
   *     the limit; what was in the folder under that name is still there
   */
  void fetch(String name, String sha256, Path folder) throws IOException {
    Path file = folder.resolve(name);
    try {
      if (sha256(file).equals(sha256)) {
        return;
      }
      // One thread at a time, and one process at a time: the system drops a dead process's lock.
      synchronized (Download.class) {
        Files.createDirectories(folder);
        Path lock = folder.resolve(".lock");
        try (FileChannel channel = FileChannel.open(lock, CREATE, READ, WRITE)) {
          lock(channel, lock);
          if (!sha256(file).equals(sha256)) {
            receiveFromAny(name, sha256, file);
          }
        }
      }
    } catch (FileSystemException e) {
      throw new IOException("cannot keep downloads in " + folder + ": " + e, e);
    }
  }

  private void lock(FileChannel channel, Path file) throws IOException {
    long deadline = deadline();
    while (!isLocked(channel)) {
      if (isOver(deadline)) {
        ByteBuffer number = ByteBuffer.allocate(20);
        channel.read(number, 0);
        throw new IOException(
            "process "
                + Excerpt.of(US_ASCII.decode(number.flip()))
                + " has held the lock "
                + file
                + " for longer than "
                + limit);
      }
      sleep(POLL);
    }
    channel.truncate(0);
    channel.write(US_ASCII.encode(String.valueOf(ProcessHandle.current().pid())), 0);
  }

  private static boolean isLocked(FileChannel channel) throws IOException {
    try {
      return channel.tryLock(LOCKED, 1, false) != null;
    } catch (OverlappingFileLockException e) {
      return false; // Another class loader of this process has it.
    }
  }

  private long deadline() {
    return System.nanoTime() + limit.toNanos();
  }

  private static boolean isOver(long deadline) {
    return System.nanoTime() - deadline >= 0;
  }

  private void receiveFromAny(String name, String sha256, Path file) throws IOException {
    Path part = file.resolveSibling(name + ".part");
    Path tag = file.resolveSibling(name + ".part.etag");
    Set<String> problems = new LinkedHashSet<>();
    long deadline = deadline();
    for (int round = 0; round < rounds && !isOver(deadline); round++) {
      if (round > 0) {
        sleep(pause);
      }
      for (URI mirror : mirrors) {
        if (isOver(deadline)) {
          break;
        }
        URI source = mirror.resolve(name);
        LOG.log(System.Logger.Level.INFO, "downloading {0} to {1}", source, file);
        String problem = "the connection ended too early";
        try {
          receive(source, part, tag, deadline);
        } catch (IOException e) {
          problem = e.toString();
        }
        String sum = sha256(part);
        if (sum.equals(sha256)) {
          Files.move(part, file, ATOMIC_MOVE);
          Files.deleteIfExists(tag);
          return;
        }
        if (!sum.equals(CUT)) {
          problem = "SHA-256 of the uncompressed bytes must be " + sha256 + ", got " + sum;
          Files.delete(part);
        }
        problems.add(source + ": " + problem);
      }
    }
    throw new IOException("cannot download " + file + "; " + String.join("; ", problems));
  }

  /** Appends what is missing, if the server still has the same file; else starts anew. */
  private void receive(URI source, Path part, Path tag, long deadline) throws IOException {
    // Not java.net.http: before JDK 26 its timeouts end with the headers (JDK-8208693), so a server
    // that falls silent inside a body would hold us forever.
    HttpURLConnection connection = (HttpURLConnection) source.toURL().openConnection();
    connection.setConnectTimeout((int) timeout.toMillis());
    connection.setReadTimeout((int) timeout.toMillis());
    long have = Files.exists(part) && Files.exists(tag) ? Files.size(part) : 0;
    if (have > 0) {
      connection.setRequestProperty("Range", "bytes=" + have + "-");
      connection.setRequestProperty("If-Range", Files.readString(tag));
    }
    try {
      int status = connection.getResponseCode();
      if (status == HttpURLConnection.HTTP_OK) {
        have = 0;
        Files.deleteIfExists(part);
        Files.deleteIfExists(tag);
        String etag = connection.getHeaderField("ETag");
        if (etag != null && etag.startsWith("\"")) { // A weak one does not promise equal bytes.
          Files.writeString(tag, etag);
        }
      } else if (!isRest(connection, have)) {
        if (status == HttpURLConnection.HTTP_PARTIAL || status == RANGE_NOT_SATISFIABLE) {
          Files.deleteIfExists(part);
        }
        throw new IOException("HTTP status " + status);
      }
      try (InputStream in = ByteStreams.limit(connection.getInputStream(), MAX_BYTES - have);
          OutputStream out = Files.newOutputStream(part, CREATE, APPEND)) {
        byte[] bytes = new byte[1 << 14];
        for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
          out.write(bytes, 0, count);
          if (isOver(deadline)) {
            throw new IOException("it takes longer than " + limit);
          }
        }
      }
    } finally {
      connection.disconnect();
    }
  }

  private static boolean isRest(HttpURLConnection connection, long have) throws IOException {
    String range = connection.getHeaderField("Content-Range");
    return connection.getResponseCode() == HttpURLConnection.HTTP_PARTIAL
        && range != null
        && range.startsWith("bytes " + have + "-");
  }

  /** Returns the checksum of the uncompressed bytes, or words that say why there is none. */
  private static String sha256(Path file) throws IOException {
    try (InputStream raw = Files.newInputStream(file);
        InputStream bytes = ByteStreams.limit(new GZIPInputStream(raw, 1 << 16), MAX_BYTES);
        HashingInputStream in = new HashingInputStream(Hashing.sha256(), bytes)) {
      ByteStreams.exhaust(in);
      return in.hash().toString();
    } catch (NoSuchFileException | EOFException e) {
      return CUT;
    } catch (ZipException e) {
      return "none: " + Excerpt.of(e.getMessage());
    }
  }

  private static void sleep(Duration pause) throws IOException {
    try {
      Thread.sleep(pause.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted between two attempts to download");
    }
  }
}

package io.github.ddpm.tf.net;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardOpenOption.APPEND;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;

import com.google.common.io.ByteStreams;
import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.lang.System.Logger.Level;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongConsumer;

/**
 * Fetches files from the first mirror that has them, whole or not at all. What arrived before a
 * connection broke is kept beside the file as {@code .part}, and the next attempt, in this process
 * or another, asks for the rest. Whether a file is whole is told by its checksum, never by a length
 * that the server states.
 *
 * @param mirrors folders, tried in turn; each ends with a slash
 * @param rounds how often to go through the mirrors
 * @param http what asks them
 * @param pause time before the second round; it doubles with each that follows
 * @param limit time for a file in all, because a server that sends a few bytes now and then would
 *     take forever, and time to wait for another process that fetches
 */
public record Download(List<URI> mirrors, int rounds, Http http, Duration pause, Duration limit) {
  static final int RANGE_NOT_SATISFIABLE = 416;

  private static final System.Logger LOG = System.getLogger(Download.class.getName());

  /** One thread of this process at a time. */
  private static final ReentrantLock FETCHING = new ReentrantLock();

  /** The byte of the lock's file that is locked; before it is the number of who has it. */
  private static final long LOCKED = Long.MAX_VALUE - 1;

  /** How long to wait before asking for the lock again. */
  private static final Duration POLL = Duration.ofMillis(100);

  /** Fetches what anybody may have; the timeout is for a connection, and for each next piece. */
  public Download(List<URI> mirrors, int rounds, Duration timeout, Duration pause, Duration limit) {
    this(mirrors, rounds, new Http(timeout, Optional.empty()), pause, limit);
  }

  /**
   * Makes sure that the folder, which is created if need be, holds the file.
   *
   * @param name of the gzip file
   * @param sha256 of its uncompressed bytes, since the compressed ones differ between mirrors
   * @throws IOException if no mirror has the file, it cannot be written, or it takes longer than
   *     the limit; what was in the folder under that name is still there
   */
  public void fetch(String name, String sha256, Path folder) throws IOException {
    fetch(name, Content.gzip(sha256), folder.resolve(name), Level.INFO, bytes -> {});
  }

  /**
   * Makes sure that a file is there.
   *
   * @param name that the mirrors have it under
   * @param content what it must hold
   * @param file whose folder is created if need be
   * @param level of the log's line that says what is downloaded
   * @param received is told, now and then, how many bytes there are so far; what it throws ends the
   *     download
   * @throws IOException as the other method; its cause is a {@link StatusException} if that was the
   *     last answer
   */
  void fetch(String name, Content content, Path file, Level level, LongConsumer received)
      throws IOException {
    Path folder = file.getParent();
    try {
      if (content.problem(file).isEmpty()) {
        return;
      }
      lockThreads(folder);
      try {
        Files.createDirectories(folder);
        Path lock = folder.resolve(".lock");
        // The system drops a dead process's lock.
        try (FileChannel channel = FileChannel.open(lock, CREATE, READ, WRITE)) {
          lock(channel, lock);
          if (content.problem(file).isPresent()) {
            receiveFromAny(name, content, file, level, received);
          }
        }
      } finally {
        FETCHING.unlock();
      }
    } catch (FileSystemException e) {
      throw new IOException("cannot keep downloads in " + folder + ": " + e, e);
    }
  }

  private void lockThreads(Path folder) throws IOException {
    try {
      if (!FETCHING.tryLock(limit.toNanos(), TimeUnit.NANOSECONDS)) {
        throw new IOException(
            "another thread has been downloading for longer than " + limit + ": " + folder);
      }
    } catch (InterruptedException e) {
      throw interrupted(e);
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

  private void receiveFromAny(
      String name, Content content, Path file, Level level, LongConsumer received)
      throws IOException {
    PartFile part = PartFile.of(file);
    Set<String> problems = new LinkedHashSet<>();
    Problem last = null;
    long deadline = deadline();
    for (int round = 0; round < rounds && !isOver(deadline); round++) {
      if (round > 0) {
        sleep(pause.multipliedBy(1L << (round - 1)));
      }
      boolean hope = false;
      for (URI mirror : mirrors) {
        if (isOver(deadline)) {
          break;
        }
        URI source = mirror.resolve(name);
        LOG.log(level, "downloading {0} to {1}", source, file);
        Optional<Problem> problem = attempt(source, content, part, received, deadline);
        if (problem.isEmpty()) {
          Files.move(part.file(), file, ATOMIC_MOVE);
          Files.deleteIfExists(part.tag());
          return;
        }
        last = problem.get();
        hope |= !last.isLasting();
        problems.add(source + ": " + last.text());
      }
      if (!hope) {
        break;
      }
    }
    throw new IOException(
        "cannot download " + file + "; " + String.join("; ", problems),
        last == null ? null : last.cause());
  }

  /** Returns what kept the part from becoming whole. */
  private Optional<Problem> attempt(
      URI source, Content content, PartFile part, LongConsumer received, long deadline)
      throws IOException {
    // A process may have ended between the last byte and the move.
    Optional<String> wrong = content.problem(part.file());
    if (wrong.isEmpty()) {
      return Optional.empty();
    }
    if (!wrong.get().equals(Content.CUT)) {
      part.delete();
    }
    long had = part.size();
    IOException failure = null;
    try {
      Optional<String> refused = receive(source, content, part, received, deadline);
      if (refused.isPresent()) {
        return Optional.of(new Problem(refused.get(), true, null));
      }
    } catch (IOException e) {
      if (Thread.currentThread().isInterrupted()) {
        throw interrupted(e);
      }
      failure = e;
    }
    wrong = content.problem(part.file());
    if (wrong.isEmpty()) {
      return Optional.empty();
    }
    if (!wrong.get().equals(Content.CUT)) {
      part.delete();
      // What was put together of two answers may be wrong where one alone is right.
      return Optional.of(new Problem(wrong.get(), had == 0, null));
    }
    if (failure instanceof StatusException status) {
      return Optional.of(new Problem(status.getMessage(), status.isLasting(), status));
    }
    // Some Java runtimes take a connection that ends too early for an error, others do not.
    String what = failure == null ? "the connection ended too early" : failure.toString();
    String where =
        content.length().isPresent()
            ? " at %d of %d bytes".formatted(part.size(), content.length().getAsLong())
            : "";
    return Optional.of(new Problem(what + where, false, failure));
  }

  /**
   * Appends what is missing, if the server still has the same file; else starts anew.
   *
   * @return why it is another file, if the server says so; then there is no part
   */
  private Optional<String> receive(
      URI source, Content content, PartFile part, LongConsumer received, long deadline)
      throws IOException {
    Optional<String> etag = part.etag();
    // What is checked by each of its bytes can only be wrong once: then the part is deleted.
    long have = etag.isPresent() || content.length().isPresent() ? part.size() : 0;
    Map<String, String> headers = new LinkedHashMap<>();
    if (have > 0) {
      headers.put("Range", "bytes=" + have + "-");
      etag.ifPresent(value -> headers.put("If-Range", value));
    }
    HttpURLConnection connection = http.get(source, headers);
    try {
      int status = connection.getResponseCode();
      if (status == HttpURLConnection.HTTP_OK) {
        have = 0;
        part.begin(connection.getHeaderField("ETag"));
      } else if (!isRest(connection, have)) {
        if (status == HttpURLConnection.HTTP_PARTIAL || status == RANGE_NOT_SATISFIABLE) {
          part.delete();
        }
        throw new StatusException(status, source, connection);
      }
      long stated = length(connection);
      long known = content.length().orElse(stated);
      if (stated >= 0 && stated != known) {
        part.delete();
        return Optional.of("must have " + known + " bytes, the server has " + stated);
      }
      try (InputStream in = ByteStreams.limit(connection.getInputStream(), content.limit() - have);
          OutputStream out = Files.newOutputStream(part.file(), CREATE, APPEND)) {
        byte[] bytes = new byte[1 << 14];
        for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
          out.write(bytes, 0, count);
          have += count;
          received.accept(have);
          if (isOver(deadline)) {
            throw new IOException("it takes longer than " + limit);
          }
        }
      }
      return Optional.empty();
    } finally {
      connection.disconnect();
    }
  }

  /** Returns how long the server says that the file is, or -1. */
  private static long length(HttpURLConnection answer) throws IOException {
    if (answer.getResponseCode() == HttpURLConnection.HTTP_OK) {
      return answer.getContentLengthLong();
    }
    String total = answer.getHeaderField("Content-Range").replaceFirst(".*/", "");
    return total.matches("\\d{1,18}") ? Long.parseLong(total) : -1;
  }

  private static boolean isRest(HttpURLConnection connection, long have) throws IOException {
    String range = connection.getHeaderField("Content-Range");
    return connection.getResponseCode() == HttpURLConnection.HTTP_PARTIAL
        && range != null
        && range.startsWith("bytes " + have + "-");
  }

  private static void sleep(Duration pause) throws IOException {
    try {
      Thread.sleep(pause.toMillis());
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  private static InterruptedIOException interrupted(Exception cause) {
    Thread.currentThread().interrupt();
    InterruptedIOException e = new InterruptedIOException("interrupted while downloading");
    e.initCause(cause);
    return e;
  }

  /**
   * What keeps a file from being whole.
   *
   * @param isLasting whether the same request would come to the same
   * @param cause null if no exception says more
   */
  private record Problem(String text, boolean isLasting, IOException cause) {}
}

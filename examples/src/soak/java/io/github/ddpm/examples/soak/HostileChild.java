package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reads hostile files in a process of its own, which they may end. How far it came is in a file
 * that is mapped, so that the process needn't live to tell.
 */
final class HostileChild {
  /** A file that takes longer is a hang. */
  private static final long MOST_NANOS = 10_000_000_000L;

  private static final int LONGS = 3;

  private final HostileKind kind;
  private final Path folder;
  private final LongBuffer progress;
  private volatile long began;

  private HostileChild(HostileKind kind, Path folder, Path progress) throws IOException {
    this.kind = kind;
    this.folder = folder;
    this.progress = progress(progress);
  }

  /**
   * Returns how far a child came: the number of the next file, how many were accepted, and how many
   * refused.
   */
  static LongBuffer progress(Path file) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return channel.map(MapMode.READ_WRITE, 0, Long.BYTES * LONGS).asLongBuffer();
    }
  }

  /**
   * Reads files. A line on stdout says what one did that it may not do.
   *
   * @param args kind, folder of the files to begin with, file of the progress, number of files,
   *     seed
   */
  public static void main(String... args) throws IOException {
    HostileChild child =
        new HostileChild(HostileKind.valueOf(args[0]), Path.of(args[1]), Path.of(args[2]));
    // Good files are accepted, and what is slow the first time has been done then.
    child.kind.read(child.folder, child.kind.file(child.folder));
    Thread watch = new Thread(child::watch, "watch");
    watch.setDaemon(true);
    child.began = System.nanoTime();
    watch.start();
    child.readAll(Long.parseLong(args[3]), Long.parseLong(args[4]));
    System.exit(0);
  }

  private void readAll(long files, long seed) throws IOException {
    Path file = kind.file(folder);
    byte[] whole = Files.readAllBytes(file);
    for (long i = progress.get(0); i < files; i++) {
      Files.write(file, kind.change(new Mutator(seed + i), whole));
      // From here on this file is to blame.
      progress.put(0, i + 1);
      began = System.nanoTime();
      String wrong = read(file);
      if (!wrong.isEmpty()) {
        System.out.println(i + " " + wrong);
      }
    }
    Files.write(file, whole);
  }

  /** Returns what was wrong with how the file was read; "" if nothing was. */
  private String read(Path file) {
    try {
      kind.read(folder, file);
      progress.put(1, progress.get(1) + 1);
      return "";
    } catch (IOException e) {
      progress.put(2, progress.get(2) + 1);
      String problem = HostileKind.problem(e.getMessage(), folder);
      return problem.isEmpty() ? "" : problem + ": " + oneLine(e);
    } catch (RuntimeException | Error e) {
      StackTraceElement[] trace = e.getStackTrace();
      return oneLine(e) + (trace.length == 0 ? "" : " at " + trace[0]);
    }
  }

  private static String oneLine(Throwable e) {
    String text = e.toString().replaceAll("\\p{Cntrl}", "?");
    return text.substring(0, Math.min(300, text.length()));
  }

  private void watch() {
    while (true) {
      try {
        Thread.sleep(500);
      } catch (InterruptedException e) {
        return;
      }
      if (System.nanoTime() - began > MOST_NANOS) {
        System.out.println(progress.get(0) - 1 + " took more than 10 s");
        Runtime.getRuntime().halt(0);
      }
    }
  }
}

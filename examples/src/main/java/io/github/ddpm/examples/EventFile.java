package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.tensorflow.proto.Event;

/**
 * An event file of TensorBoard, which is a file of TFRecords: each is the length of its data (8
 * bytes), a checksum of the length (4), the data, and their checksum (4), lower bytes first. Each
 * record is written at once, so what a crash leaves can be read up to the last whole one.
 */
final class EventFile implements AutoCloseable {
  /** With this version a reader drops what a restarted training does again. */
  private static final String VERSION = "brain.Event:2";

  private static final String PREFIX = "events.out.tfevents.";

  /** A channel would be closed by the interrupt that ends a training. */
  private final OutputStream out;

  private EventFile(OutputStream out) {
    this.out = out;
  }

  /**
   * Starts a new file, whose name is after those of all others: that is the order in which
   * TensorBoard reads them.
   *
   * @param folder made if need be
   * @param second since 1970, which the name has unless an earlier file has that or a later one
   */
  static EventFile create(Path folder, long second) throws IOException {
    Files.createDirectories(folder);
    long free = Math.max(second, latest(folder) + 1);
    Path file = Files.createFile(folder.resolve(format("%s%010d.ddpm", PREFIX, free)));
    EventFile created = new EventFile(new FileOutputStream(file.toFile()));
    try {
      created.write(event(0).setFileVersion(VERSION).build());
    } catch (IOException e) {
      created.close();
      throw e;
    }
    return created;
  }

  /** Returns the latest time in a name of a file of ours; 0 if there is none. */
  private static long latest(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      List<Long> times =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.matches("events\\.out\\.tfevents\\.\\d{10}\\.ddpm"))
              .map(name -> Long.valueOf(name.substring(PREFIX.length(), PREFIX.length() + 10)))
              .toList();
      return times.stream().mapToLong(time -> time).max().orElse(0);
    }
  }

  /** Starts an event of a step, which happens now. */
  static Event.Builder event(long step) {
    return Event.newBuilder().setWallTime(System.currentTimeMillis() / 1e3).setStep(step);
  }

  /** Adds an event. */
  void write(Event event) throws IOException {
    byte[] data = event.toByteArray();
    ByteBuffer record = ByteBuffer.allocate(data.length + 16).order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(data.length);
    record.putInt(checksum(record.array(), 8)).put(data).putInt(checksum(data, data.length));
    out.write(record.array());
  }

  /** Returns the masked checksum of a TFRecord: a plain one of data with checksums is weak. */
  private static int checksum(byte[] data, int length) {
    CRC32C crc = new CRC32C();
    crc.update(data, 0, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + 0xa282ead8;
  }

  @Override
  public void close() throws IOException {
    out.close();
  }
}

package io.github.ddpm.tf.data;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Pictures as unsigned bytes in a file, of which the operating system has as much in memory as
 * there is room for. It begins with a key, which says what they were made of.
 */
final class PictureCache extends Dataset {
  private static final double MEGABYTE = 1e6;

  /** As many pictures together as a buffer has room for. */
  private final List<MappedByteBuffer> parts = new ArrayList<>();

  private final int one;
  private final int perPart;
  private final int[] labels;

  /**
   * What a cache is of.
   *
   * @param key that no others have, in ASCII and of one length
   * @param count of pictures
   * @param size height and width of each
   * @param channels of each
   */
  record Content(String key, int count, int size, int channels) {
    int one() {
      return size * size * channels;
    }

    private long bytes() {
      return key.length() + (long) count * one();
    }
  }

  /** Takes pictures as they are decoded, in any order and from several threads. */
  interface Store {
    void put(int index, byte... picture) throws IOException;
  }

  /** Decodes all pictures. */
  interface Decoding {
    void into(Store store) throws IOException;
  }

  private PictureCache(FileChannel file, Content content, int classes, int... labels)
      throws IOException {
    super(content.count(), content.size(), content.size(), content.channels(), classes);
    this.labels = labels;
    this.one = content.one();
    this.perPart = Integer.MAX_VALUE / one;
    for (long first = 0; first < content.count(); first += perPart) {
      long count = Math.min(perPart, content.count() - first);
      parts.add(file.map(MapMode.READ_ONLY, content.key().length() + first * one, count * one));
    }
  }

  /**
   * Decodes pictures into a file that is gone when this process is.
   *
   * @throws IOException if they can't be decoded or there is no room for them
   */
  static Dataset temporary(Content content, Decoding decoding, int classes, int... labels)
      throws IOException {
    Path file = Files.createTempFile("ddpm-pictures-", ".bytes");
    file.toFile().deleteOnExit();
    // Where files can go while they are open, this one goes even if the process is killed.
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            StandardOpenOption.DELETE_ON_CLOSE)) {
      write(file, channel, content, decoding);
      return new PictureCache(channel, content, classes, labels);
    }
  }

  /**
   * Opens a file that has these pictures, or else decodes them into it.
   *
   * @throws IOException if they can't be decoded or there is no room for them
   */
  static Dataset kept(Path file, Content content, Decoding decoding, int classes, int... labels)
      throws IOException {
    if (!has(file, content)) {
      Path part = Files.createTempFile(file.getParent(), file.getFileName().toString(), ".part");
      try {
        try (FileChannel channel = FileChannel.open(part, StandardOpenOption.WRITE)) {
          write(file, channel, content, decoding);
        }
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(part);
      }
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return new PictureCache(channel, content, classes, labels);
    }
  }

  private static boolean has(Path file, Content content) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      ByteBuffer key = ByteBuffer.allocate(content.key().length());
      while (key.hasRemaining() && channel.read(key) >= 0) {
        // As much as comes at once.
      }
      return channel.size() == content.bytes()
          && new String(key.array(), US_ASCII).equals(content.key());
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  private static void write(Path file, FileChannel channel, Content content, Decoding decoding)
      throws IOException {
    long room = Files.getFileStore(file.toAbsolutePath().getParent()).getUsableSpace();
    if (room < content.bytes()) {
      throw new IOException(noRoom(file, content, megabytes((double) room) + " MB are left there"));
    }
    put(file, channel, content, 0, content.key().getBytes(US_ASCII));
    decoding.into(
        (index, picture) ->
            put(
                file,
                channel,
                content,
                content.key().length() + (long) index * content.one(),
                picture));
  }

  private static void put(
      Path file, FileChannel channel, Content content, long position, byte... bytes)
      throws IOException {
    try {
      ByteBuffer left = ByteBuffer.wrap(bytes);
      while (left.hasRemaining()) {
        channel.write(left, position + left.position());
      }
    } catch (IOException e) {
      throw new IOException(noRoom(file, content, String.valueOf(e.getMessage())), e);
    }
  }

  private static String noRoom(Path file, Content content, String reason) {
    return "can't write the decoded pictures, of %s MB, to %s: %s; another folder, or -Djava.io.tmpdir, may have room"
        .formatted(megabytes(content.bytes() + MEGABYTE), file, reason);
  }

  private static long megabytes(double bytes) {
    return (long) (bytes / MEGABYTE);
  }

  @Override
  protected void read(int index, FloatBuffer into) {
    byte[] picture = new byte[one];
    parts.get(index / perPart).get(index % perPart * one, picture);
    put(picture, into);
  }

  @Override
  protected int readLabel(int index) {
    return labels[index];
  }
}

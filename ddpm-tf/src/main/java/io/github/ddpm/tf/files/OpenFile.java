package io.github.ddpm.tf.files;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/**
 * A file that is open. What is read of it belongs to one file, whatever its name leads to by then.
 *
 * @param path for messages
 */
record OpenFile(Path path, FileChannel channel) implements Closeable {
  static OpenFile of(Path path) throws IOException {
    return new OpenFile(path, FileChannel.open(path));
  }

  long size() throws IOException {
    return channel.size();
  }

  /**
   * Fills a buffer, and flips it.
   *
   * @param position in the file of the buffer's first byte
   * @throws IOException if the file ends before
   */
  ByteBuffer read(long position, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, position + buffer.position()) < 0) {
        throw new IOException(path + ": the file was cut short while it was read");
      }
    }
    return buffer.flip();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}

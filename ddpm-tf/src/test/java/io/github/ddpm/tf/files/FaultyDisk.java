package io.github.ddpm.tf.files;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.CopyOption;
import java.nio.file.FileSystems;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.apache.lucene.tests.mockfile.FilterFileChannel;
import org.apache.lucene.tests.mockfile.FilterFileSystemProvider;
import org.apache.lucene.tests.mockfile.FilterOutputStream2;

/**
 * A file system whose process is killed before a change to it, and that knows what a power cut
 * would cost.
 */
final class FaultyDisk extends FilterFileSystemProvider {
  private final List<String> changes = new ArrayList<>();

  /** Files whose bytes, and folders whose names, may not have reached the device. */
  private final Set<Path> unsynced = new TreeSet<>();

  private int left;
  private Consumer<Path> beforeMove = to -> {};

  FaultyDisk(int changesBeforeTheEnd) {
    super("faulty://", FileSystems.getDefault());
    this.left = changesBeforeTheEnd;
  }

  /** The process is gone: unlike an exception, nobody handles it. */
  static final class Killed extends Error {
    private static final long serialVersionUID = 1;
  }

  Path path(Path path) {
    return wrapPath(path);
  }

  List<String> changes() {
    return changes;
  }

  Set<Path> unsynced() {
    return unsynced;
  }

  void beforeMove(Consumer<Path> check) {
    beforeMove = check;
  }

  private void change(String what, Path path) {
    if (left == 0) {
      throw new Killed();
    }
    left--;
    changes.add(what + " " + path);
  }

  private Path changed(String what, Path path) {
    Path real = toDelegate(path);
    change(what, real);
    return real;
  }

  private void named(Path path) {
    unsynced.add(path.toAbsolutePath().getParent());
  }

  @Override
  public void createDirectory(Path folder, FileAttribute<?>... attributes) throws IOException {
    Path real = changed("mkdir", folder);
    super.createDirectory(folder, attributes);
    unsynced.add(real);
    named(real);
  }

  @Override
  public void delete(Path path) throws IOException {
    Path real = changed("delete", path);
    super.delete(path);
    unsynced.remove(real);
  }

  @Override
  public void move(Path from, Path to, CopyOption... options) throws IOException {
    Path source = changed("move", from);
    Path target = toDelegate(to);
    beforeMove.accept(target);
    super.move(from, to, options);
    named(source);
    named(target);
  }

  @Override
  public void createLink(Path link, Path existing) throws IOException {
    Path real = changed("link", link);
    super.createLink(link, existing);
    named(real);
  }

  @Override
  public OutputStream newOutputStream(Path path, OpenOption... options) throws IOException {
    Path real = changed("create", path);
    named(real);
    unsynced.add(real);
    return new FilterOutputStream2(super.newOutputStream(path, options)) {
      @Override
      public void write(byte[] bytes, int offset, int length) throws IOException {
        change("write", real);
        super.write(bytes, offset, length);
      }
    };
  }

  @Override
  public FileChannel newFileChannel(
      Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
      throws IOException {
    Path real = toDelegate(path);
    if (options.contains(StandardOpenOption.CREATE_NEW)
        || options.contains(StandardOpenOption.CREATE)) {
      change("create", real);
      named(real);
    }
    return new Channel(real, super.newFileChannel(path, options, attributes));
  }

  private final class Channel extends FilterFileChannel {
    private final Path path;

    Channel(Path path, FileChannel delegate) {
      super(delegate);
      this.path = path;
    }

    @Override
    public int write(ByteBuffer bytes) throws IOException {
      change("write", path);
      unsynced.add(path);
      return super.write(bytes);
    }

    @Override
    public void force(boolean metadata) throws IOException {
      change("sync", path);
      super.force(metadata);
      unsynced.remove(path);
    }
  }
}

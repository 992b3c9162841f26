package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A file system of its own, which takes root to mount. Closing unmounts it. */
final class Mount implements AutoCloseable {
  private final Path folder;

  private Mount(Path folder) {
    this.folder = folder;
  }

  /** Mounts an image by a loop device. */
  static Mount image(Path image, Path folder) throws IOException, InterruptedException {
    return mount(folder, "-o", "loop", image.toString());
  }

  /** Mounts a file system in memory. */
  static Mount memory(String size, Path folder) throws IOException, InterruptedException {
    return mount(folder, "-t", "tmpfs", "-o", "size=" + size, "tmpfs");
  }

  private static Mount mount(Path folder, String... how) throws IOException, InterruptedException {
    String[] command = new String[how.length + 2];
    command[0] = "mount";
    System.arraycopy(how, 0, command, 1, how.length);
    command[command.length - 1] = Files.createDirectories(folder).toString();
    Commands.run(command);
    return new Mount(folder);
  }

  /** Returns where it is. */
  Path folder() {
    return folder;
  }

  /** Lets nothing be written any more. */
  void readOnly() throws IOException, InterruptedException {
    Commands.run("mount", "-o", "remount,ro", folder.toString());
  }

  /**
   * Cuts the power of an ext4: what is in memory, its journal too, is not written, and nothing will
   * be. The call is EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH; every Linux has a perl.
   */
  void cutPower() throws IOException, InterruptedException {
    Commands.run(
        "perl",
        "-e",
        "open(D, '<', $ARGV[0]) or die $!; my $how = pack('L', 2);"
            + " ioctl(D, 0x8004587D, $how) or die $!;",
        folder.toString());
  }

  @Override
  public void close() throws IOException {
    try {
      Commands.run("umount", folder.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted before unmounting " + folder, e);
    }
  }
}

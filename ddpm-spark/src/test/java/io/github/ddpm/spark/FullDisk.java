package io.github.ddpm.spark;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.spark.sql.SparkSession;

/**
 * The local files, on a disk that is full once 500 bytes of the second part are written, for as
 * long as {@link #room} isn't there.
 */
public final class FullDisk extends RawLocalFileSystem {
  private static final String SECOND_PART = "00001";
  private static final int ROOM = 500;

  /** Makes the file system, for Hadoop. */
  public FullDisk() {}

  /** Returns the name of a folder on such a disk. */
  static String folder(SparkSession spark, Path folder) {
    spark.sparkContext().hadoopConfiguration().set("fs.full.impl", FullDisk.class.getName());
    return "full://" + folder;
  }

  /** Returns the file that makes room on the disk of a folder. */
  static Path room(Path folder) {
    return folder.resolveSibling(folder.getFileName() + ".room");
  }

  @Override
  public String getScheme() {
    return "full";
  }

  @Override
  public URI getUri() {
    return URI.create("full:///");
  }

  @Override
  protected OutputStream createOutputStreamWithMode(
      org.apache.hadoop.fs.Path file, boolean append, FsPermission mode) throws IOException {
    OutputStream out = super.createOutputStreamWithMode(file, append, mode);
    return file.getName().contains(SECOND_PART) && !hasRoom(Path.of(file.toUri().getPath()))
        ? new Full(out)
        : out;
  }

  private static boolean hasRoom(Path file) {
    for (Path folder = file; folder.getFileName() != null; folder = folder.getParent()) {
      if (Files.exists(room(folder))) {
        return true;
      }
    }
    return false;
  }

  private static final class Full extends FilterOutputStream {
    private int left = ROOM;

    Full(OutputStream out) {
      super(out);
    }

    @Override
    public void write(int b) throws IOException {
      write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int count) throws IOException {
      int fit = Math.min(left, count);
      out.write(bytes, from, fit);
      left -= fit;
      if (fit < count) {
        throw new IOException("No space left on device");
      }
    }
  }
}

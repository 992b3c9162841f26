package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkState;

import io.github.ddpm.Images;
import io.github.ddpm.spi.Npy;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Locale;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.RecordWriter;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;
import org.apache.hadoop.mapreduce.lib.output.PathOutputCommitter;

/**
 * Writes the pictures of a task into one {@code .npy} file, of which Hadoop's committer makes one
 * that is seen. The keys say how many pictures the file has, as its header comes first.
 */
public final class NpyFormat extends FileOutputFormat<Integer, Images> {
  /** Makes a format, for Hadoop. */
  public NpyFormat() {}

  @Override
  public RecordWriter<Integer, Images> getRecordWriter(TaskAttemptContext task) throws IOException {
    // As that of each format of this kind is.
    PathOutputCommitter committer = (PathOutputCommitter) getOutputCommitter(task);
    Path file =
        new Path(committer.getWorkPath(), name(task.getTaskAttemptID().getTaskID().getId()));
    return new Writer(
        new BufferedOutputStream(file.getFileSystem(task.getConfiguration()).create(file, false)));
  }

  /** Returns the name of a file, with as many digits as there may be: names sort as numbers do. */
  static String name(int number) {
    return String.format(Locale.ROOT, "part-%010d.npy", number);
  }

  private static final class Writer extends RecordWriter<Integer, Images> {
    private final OutputStream out;
    private int promised;
    private int written;

    Writer(OutputStream out) {
      this.out = out;
    }

    @Override
    public void write(Integer all, Images some) throws IOException {
      if (written == 0) {
        promised = all;
        out.write(Npy.header(all, some.height(), some.width(), some.channels()));
      }
      Npy.write(some.values(), out);
      written += some.count();
    }

    @Override
    public void close(TaskAttemptContext task) throws IOException {
      out.close();
      checkState(written == promised, "a file must have %s pictures, got %s", promised, written);
    }
  }
}

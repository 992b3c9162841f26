package io.github.ddpm.examples;

import io.github.ddpm.Precision;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.ServiceLoader;

/**
 * Machines that mains hand their work to, where {@code --spark} says so; examples-spark has them.
 */
public interface Cluster extends AutoCloseable {
  /** What pictures are written as. */
  enum Format {
    /** Rows of index, label and PNG, in Parquet files. */
    PARQUET,
    /** Floats as they were drawn, in files of NumPy. */
    NPY
  }

  /** Finds a cluster. */
  interface Provider {
    /** Opens the cluster of a master's URL, as Spark has them. */
    Cluster open(String master);
  }

  /**
   * Opens the cluster of a master's URL.
   *
   * @throws IllegalArgumentException if these mains were built without Spark
   */
  static Cluster open(String master) {
    return ServiceLoader.load(Provider.class)
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "--spark needs Spark, which is not on the class path: see docs/cluster.md"))
        .open(master);
  }

  /** Has the steps that a trainer's {@code train} takes until this is closed computed there. */
  void spread(Trainer trainer, Dataset data);

  /**
   * Draws pictures into a folder of files.
   *
   * @param model as {@code --model} has it
   * @param precision none for the one that is fastest on this machine
   * @param labels numbers of the classes that the arguments ask for, in turn; none if they ask for
   *     none
   * @param arguments of the {@link GenerateImages} that each executor draws as, with a seed
   * @param out a folder that isn't there yet, of this machine or the URL of one elsewhere
   * @throws IOException if the model can't be read, or the folder is there
   * @throws IllegalStateException if the cluster fails; the message says why
   */
  void draw(
      Path model,
      Optional<Precision> precision,
      int[] labels,
      String[] arguments,
      long count,
      Format format,
      String out)
      throws IOException;

  @Override
  void close();
}

package io.github.ddpm.examples;

import com.google.common.primitives.Ints;
import io.github.ddpm.Precision;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.data.Dataset;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A cluster that notes what it is asked to draw. It is made by {@link java.util.ServiceLoader}. */
public final class RecordingCluster implements Cluster.Provider {
  /** Format and folder of each request. */
  static final List<String> DRAWN = new ArrayList<>();

  /** The classes of each request. */
  static final List<List<Integer>> LABELS = new ArrayList<>();

  /** What each request was asked by. */
  static final List<List<String>> ARGUMENTS = new ArrayList<>();

  /** Makes a provider, for the service loader. */
  public RecordingCluster() {}

  @Override
  public Cluster open(String master) {
    return new Cluster() {
      @Override
      public void spread(Trainer trainer, Dataset data) {
        throw new UnsupportedOperationException();
      }

      @Override
      public void draw(
          Path model,
          Optional<Precision> precision,
          int[] labels,
          String[] arguments,
          long count,
          Format format,
          String out) {
        DRAWN.add(format + " " + out);
        LABELS.add(Ints.asList(labels));
        ARGUMENTS.add(List.of(arguments));
      }

      @Override
      public void close() {}
    };
  }
}

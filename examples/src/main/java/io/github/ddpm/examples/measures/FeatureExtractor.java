package io.github.ddpm.examples.measures;

import io.github.ddpm.Images;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/** A feature extractor makes a vector of each picture, by which sets of pictures are compared. */
public interface FeatureExtractor extends AutoCloseable {
  /** Returns the length d of a vector. */
  int dimensions();

  /**
   * Computes what is seen in pictures as an 8-bit file would show them.
   *
   * @return a row for each picture, [n, d]
   * @throws IllegalArgumentException if it can't take pictures of this size
   */
  DMatrixRMaj features(Images pictures);

  /**
   * Computes the same for some pictures of a set, a few at a time.
   *
   * @param indices of the pictures, each in [0, data.size())
   * @return a row for each index, in their order, [n, d]
   */
  default DMatrixRMaj features(Dataset data, int... indices) {
    DMatrixRMaj all = new DMatrixRMaj(indices.length, dimensions());
    int run = TensorFlowRuntime.imagesPerRun(data.height(), data.width());
    for (int from = 0; from < indices.length; from += run) {
      int[] some = Arrays.copyOfRange(indices, from, Math.min(indices.length, from + run));
      CommonOps_DDRM.insert(features(data.images(some)), all, from, 0);
    }
    return all;
  }

  @Override
  void close();
}

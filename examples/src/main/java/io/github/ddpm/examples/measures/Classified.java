package io.github.ddpm.examples.measures;

import org.ejml.data.DMatrixRMaj;

/**
 * This is what a classifier makes of n pictures.
 *
 * @param features what it sees in each, [n, d]
 * @param probabilities of the classes, [n, classes]
 */
public record Classified(DMatrixRMaj features, DMatrixRMaj probabilities) {
  /** Returns the number of pictures. */
  public int count() {
    return probabilities.numRows;
  }

  /** Returns the number of classes. */
  public int classes() {
    return probabilities.numCols;
  }

  /** Returns the most probable class of a picture. */
  public int label(int picture) {
    int best = 0;
    for (int label = 1; label < classes(); label++) {
      if (probabilities.get(picture, label) > probabilities.get(picture, best)) {
        best = label;
      }
    }
    return best;
  }

  /** Returns the probability of the most probable class of a picture. */
  public double confidence(int picture) {
    return probabilities.get(picture, label(picture));
  }

  /**
   * Returns the share of pictures that are of the class asked for.
   *
   * @param labels asked for: picture k is {@code labels[k mod labels.length]}
   */
  public double accuracy(int... labels) {
    int right = 0;
    for (int i = 0; i < count(); i++) {
      right += label(i) == labels[i % labels.length] ? 1 : 0;
    }
    return (double) right / count();
  }
}

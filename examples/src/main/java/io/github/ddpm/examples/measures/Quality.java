package io.github.ddpm.examples.measures;

import java.util.Arrays;
import org.ejml.data.DMatrixRMaj;

/**
 * The quality says how a set of pictures compares with real ones.
 *
 * @param frechet distance, see {@link FrechetDistance}
 * @param kernel distance, see {@link KernelDistance}
 * @param precisionRecall see {@link PrecisionRecall}
 * @param sure share of the pictures that the classifier gives one class more than {@link #SURE} of
 *     the probability, in [0, 1]; NaN if no classifier was asked
 * @param rarest share of the class that the fewest pictures are of, in [0, 1/classes]; NaN if no
 *     classifier was asked
 */
public record Quality(
    double frechet, Estimate kernel, PrecisionRecall precisionRecall, double sure, double rarest) {
  /** A picture with a probability above this surely is of the class. */
  public static final double SURE = 0.95;

  /** Measures pictures against real ones. */
  public static Quality of(Classified pictures, Classified real) {
    int[] counts = new int[pictures.classes()];
    int sure = 0;
    for (int i = 0; i < pictures.count(); i++) {
      counts[pictures.label(i)]++;
      sure += pictures.confidence(i) > SURE ? 1 : 0;
    }
    return of(
        pictures.features(),
        real.features(),
        (double) sure / pictures.count(),
        (double) Arrays.stream(counts).min().orElseThrow() / pictures.count());
  }

  /** Measures the features of pictures, [m, d], against those of real ones, [n, d]. */
  public static Quality of(DMatrixRMaj pictures, DMatrixRMaj real) {
    return of(pictures, real, Double.NaN, Double.NaN);
  }

  private static Quality of(DMatrixRMaj pictures, DMatrixRMaj real, double sure, double rarest) {
    return new Quality(
        FrechetDistance.between(pictures, real),
        KernelDistance.between(pictures, real),
        PrecisionRecall.of(pictures, real, PrecisionRecall.NEIGHBORS),
        sure,
        rarest);
  }
}

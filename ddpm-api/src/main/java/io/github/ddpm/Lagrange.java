package io.github.ddpm;

/** Integrals of the polynomial through some values, as weights of these values. */
final class Lagrange {
  private Lagrange() {}

  /**
   * Returns the weight of each value in the integral of the polynomial through all of them.
   *
   * @param nodes n places s of the values, all different
   * @param moments the integrals of 1, s, s², …, at least n
   */
  static double[] weights(double[] nodes, double... moments) {
    double[] weights = new double[nodes.length];
    for (int k = 0; k < nodes.length; k++) {
      // Becomes the polynomial that is 1 at this node and 0 at the others.
      double[] polynomial = new double[nodes.length];
      polynomial[0] = 1;
      for (int other = 0; other < nodes.length; other++) {
        if (other != k) {
          for (int power = nodes.length - 1; power >= 0; power--) {
            double lower = power == 0 ? 0 : polynomial[power - 1];
            polynomial[power] =
                (lower - nodes[other] * polynomial[power]) / (nodes[k] - nodes[other]);
          }
        }
      }
      for (int power = 0; power < nodes.length; power++) {
        weights[k] += polynomial[power] * moments[power];
      }
    }
    return weights;
  }
}

package io.github.ddpm.tf.data;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Path2D;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.util.Random;

/**
 * A small MNIST for tests: the digits 0 to 9 in white on black, each drawn by strokes (no font is
 * needed), a little turned, moved, and thicker or thinner.
 */
public final class Digits {
  private Digits() {}

  /**
   * Gray digits with their labels: picture i shows i modulo 10.
   *
   * @param n how many
   * @param size height and width; from 8 on a person can read them
   * @param seed of the distortions; picture i is the same whatever n is
   */
  public static Dataset dataset(int n, int size, long seed) {
    byte[][] images = new byte[n][];
    int[] labels = new int[n];
    Random random = new Random(seed);
    for (int i = 0; i < n; i++) {
      labels[i] = i % 10;
      images[i] = draw(labels[i], size, random);
    }
    return Dataset.of(size, size, 1, images, 10, labels);
  }

  private static byte[] draw(int digit, int size, Random random) {
    BufferedImage image = new BufferedImage(size, size, BufferedImage.TYPE_BYTE_GRAY);
    Graphics2D graphics = image.createGraphics();
    graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    graphics.setRenderingHint(RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
    graphics.scale(size, size);
    graphics.translate(0.5 + within(random, 0.06), 0.5 + within(random, 0.06));
    graphics.rotate(within(random, 0.2));
    graphics.scale(1 + within(random, 0.12), 1 + within(random, 0.08));
    graphics.translate(-0.5, -0.5);
    float thickness = (float) (0.1 + within(random, 0.02));
    graphics.setStroke(new BasicStroke(thickness, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
    graphics.setColor(Color.WHITE);
    graphics.draw(strokes(digit));
    graphics.dispose();
    return ((DataBufferByte) image.getRaster().getDataBuffer()).getData();
  }

  private static double within(Random random, double range) {
    return range * (2 * random.nextDouble() - 1);
  }

  /** A digit in a unit square, whose y points down. */
  private static Path2D strokes(int digit) {
    Path2D path = new Path2D.Double();
    switch (digit) {
      case 0 -> path.append(new Ellipse2D.Double(0.28, 0.15, 0.44, 0.7), false);
      case 1 -> lines(path, 0.38, 0.3, 0.53, 0.15, 0.53, 0.85);
      case 2 -> {
        path.moveTo(0.3, 0.32);
        path.curveTo(0.32, 0.1, 0.72, 0.1, 0.7, 0.35);
        path.curveTo(0.68, 0.55, 0.35, 0.65, 0.3, 0.85);
        path.lineTo(0.72, 0.85);
      }
      case 3 -> {
        path.moveTo(0.3, 0.22);
        path.curveTo(0.4, 0.1, 0.7, 0.12, 0.68, 0.32);
        path.curveTo(0.66, 0.47, 0.5, 0.48, 0.45, 0.48);
        path.curveTo(0.6, 0.48, 0.74, 0.52, 0.72, 0.68);
        path.curveTo(0.7, 0.88, 0.4, 0.9, 0.28, 0.76);
      }
      case 4 -> lines(path, 0.62, 0.85, 0.62, 0.15, 0.27, 0.62, 0.75, 0.62);
      case 5 -> {
        lines(path, 0.68, 0.15, 0.35, 0.15, 0.32, 0.47);
        path.curveTo(0.45, 0.38, 0.73, 0.42, 0.72, 0.64);
        path.curveTo(0.7, 0.88, 0.4, 0.9, 0.28, 0.78);
      }
      case 6 -> {
        path.moveTo(0.64, 0.17);
        path.curveTo(0.45, 0.2, 0.3, 0.42, 0.29, 0.63);
        path.append(new Ellipse2D.Double(0.29, 0.46, 0.43, 0.39), false);
      }
      case 7 -> lines(path, 0.28, 0.15, 0.73, 0.15, 0.45, 0.85);
      case 8 -> {
        path.append(new Ellipse2D.Double(0.33, 0.15, 0.34, 0.32), false);
        path.append(new Ellipse2D.Double(0.29, 0.47, 0.42, 0.38), false);
      }
      default -> {
        path.moveTo(0.36, 0.83);
        path.curveTo(0.55, 0.8, 0.7, 0.58, 0.71, 0.37);
        path.append(new Ellipse2D.Double(0.28, 0.15, 0.43, 0.39), false);
      }
    }
    return path;
  }

  private static void lines(Path2D path, double... corners) {
    path.moveTo(corners[0], corners[1]);
    for (int i = 2; i < corners.length; i += 2) {
      path.lineTo(corners[i], corners[i + 1]);
    }
  }
}

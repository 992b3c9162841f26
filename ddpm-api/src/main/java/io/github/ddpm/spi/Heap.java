package io.github.ddpm.spi;

import java.io.IOException;

/**
 * The memory that this process has left for arrays, which is asked for before they are made: what a
 * file or a request claims may be too much.
 *
 * <p>There is one rule: what is made must fit into the heap's maximum less what is in use, and
 * leave an eighth of the maximum to all else. What is in use is looked at again after a garbage
 * collection, before anything is refused. What takes less than a thousandth of the maximum is not
 * looked at.
 */
public final class Heap {
  private static final double MEGABYTE = 1e6;
  private static final int ARRAY_HEADER = 16;
  private static final double MIN_REGION = 1 << 20;
  private static final double MAX_REGION = 1 << 25;

  private Heap() {}

  /**
   * Refuses what a file needs, if it doesn't fit.
   *
   * @param file what messages begin with
   * @param bytes that are needed together
   * @throws IOException if they don't fit; the message names the file, the size and what there is
   */
  public static void check(Object file, double bytes) throws IOException {
    if (!fits(bytes)) {
      throw new IOException(file + ": " + problem(bytes));
    }
  }

  /**
   * Refuses what a caller asks for, if it doesn't fit.
   *
   * @param what is asked for; messages begin with it
   * @param bytes that are needed together
   * @throws IllegalArgumentException if they don't fit; the message has the size and what there is
   */
  public static void checkArgument(Object what, double bytes) {
    if (!fits(bytes)) {
      throw new IllegalArgumentException(what + ": " + problem(bytes));
    }
  }

  /**
   * {@return whether so many bytes fit}
   *
   * @param bytes that are needed together
   */
  public static boolean fits(double bytes) {
    if (bytes <= max() / 1000 || bytes <= available()) {
      return true;
    }
    System.gc();
    return bytes <= available();
  }

  /**
   * {@return the bytes that some arrays take}
   *
   * @param count of the arrays
   * @param bytes of what is in each
   */
  public static double arrays(double count, double bytes) {
    double each = ARRAY_HEADER + 8 * Math.ceil(bytes / 8);
    // The usual collector gives whole regions to arrays of more than half a region.
    double region = Math.max(MIN_REGION, Math.min(MAX_REGION, max() / 2048));
    region = Long.highestOneBit((long) region);
    return count * (each > region / 2 ? region * Math.ceil(each / region) : each);
  }

  private static String problem(double bytes) {
    // No format, whose digits would be the locale's.
    return "it needs "
        + megabytes(bytes + MEGABYTE)
        + " MB of memory, but of the heap's "
        + megabytes(max())
        + " MB there are "
        + megabytes(Math.max(0, available()))
        + " MB left; -Xmx sets another maximum";
  }

  private static long megabytes(double bytes) {
    return (long) (bytes / MEGABYTE);
  }

  private static double available() {
    Runtime runtime = Runtime.getRuntime();
    return max() * 7 / 8 - (runtime.totalMemory() - runtime.freeMemory());
  }

  private static double max() {
    return Runtime.getRuntime().maxMemory();
  }
}

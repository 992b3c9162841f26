package io.github.ddpm.tf.data;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import com.google.common.hash.Hashing;
import io.github.ddpm.Images;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Pictures of one size to train on, with or without labels. All of them are held in memory as
 * unsigned bytes, which takes {@code size · height · width · channels} bytes: 47 MB for MNIST, 614
 * MB for 50,000 pictures of 64x64 in color.
 *
 * <p>Immutable, so any number of threads may use one.
 */
public final class Dataset {
  private final int height;
  private final int width;
  private final int channels;
  private final int classes;
  private final byte[][] images;
  private final int[] labels;

  /** Whether the second half are the mirror images of the first. */
  private final boolean mirrored;

  /** The order of the epoch asked for last; a race only computes it twice. */
  private volatile Epoch epoch = new Epoch(0, -1, new int[0]);

  @SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
  private record Epoch(long seed, long number, int[] order) {}

  /** Keeps the arrays it is given: for loaders, which hold no other reference to them. */
  Dataset(int height, int width, int channels, byte[][] images, int classes, int[] labels) {
    this(height, width, channels, images, classes, labels, false);
  }

  private Dataset(
      int height,
      int width,
      int channels,
      byte[][] images,
      int classes,
      int[] labels,
      boolean mirrored) {
    checkArgument(
        height >= 1 && width >= 1 && channels >= 1,
        "height, width and channels must be at least 1, got %sx%sx%s",
        height,
        width,
        channels);
    long bytes = (long) height * width * channels;
    checkArgument(images.length >= 1, "there must be at least 1 picture, got 0");
    for (int i = 0; i < images.length; i++) {
      checkArgument(
          images[i].length == bytes,
          "each picture must have height * width * channels = %s bytes, got %s for picture %s",
          bytes,
          images[i].length,
          i);
    }
    int expectedLabels = classes == 0 ? 0 : images.length;
    checkArgument(classes >= 0, "classes must be at least 0, got %s", classes);
    checkArgument(
        labels.length == expectedLabels,
        "there must be %s labels for %s pictures, got %s",
        expectedLabels,
        images.length,
        labels.length);
    for (int label : labels) {
      checkArgument(
          label >= 0 && label < classes, "labels must be in [0, %s), got %s", classes, label);
    }
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.images = images;
    this.classes = classes;
    this.labels = labels;
    this.mirrored = mirrored;
  }

  /**
   * Pictures without labels.
   *
   * @param images one array of unsigned bytes a picture, each [height, width, channels], copied
   * @throws IllegalArgumentException if there is no picture or one has another size
   */
  public static Dataset of(int height, int width, int channels, byte[][] images) {
    return of(height, width, channels, images, 0, new int[0]);
  }

  /**
   * Pictures with labels.
   *
   * @param images one array of unsigned bytes a picture, each [height, width, channels], copied
   * @param classes how many classes there are
   * @param labels one a picture, each in [0, classes), copied
   * @throws IllegalArgumentException if there is no picture, one has another size, the numbers of
   *     pictures and labels differ, or a label is none of the classes
   */
  public static Dataset of(
      int height, int width, int channels, byte[][] images, int classes, int[] labels) {
    byte[][] copies = Arrays.stream(images).map(byte[]::clone).toArray(byte[][]::new);
    return new Dataset(height, width, channels, copies, classes, labels.clone());
  }

  /**
   * These pictures and, after them, each of them with left and right swapped, so that an epoch
   * shows both: twice as many pictures in the same memory. For data whose mirror images are as
   * likely, such as faces, not letters. Already mirrored pictures stay as they are.
   *
   * @throws IllegalArgumentException if that is more pictures than an int counts
   */
  public Dataset mirrored() {
    checkArgument(
        mirrored || images.length <= Integer.MAX_VALUE / 2,
        "at most %s pictures can be mirrored, got %s",
        Integer.MAX_VALUE / 2,
        images.length);
    return new Dataset(height, width, channels, images, classes, labels, true);
  }

  /** How many pictures there are, at least 1. */
  public int size() {
    return mirrored ? 2 * images.length : images.length;
  }

  /** Rows of each picture. */
  public int height() {
    return height;
  }

  /** Columns of each picture. */
  public int width() {
    return width;
  }

  /** Channels of each picture: 1 is gray, 3 is RGB. */
  public int channels() {
    return channels;
  }

  /** How many classes the labels tell apart; 0 if there are no labels. */
  public int classes() {
    return classes;
  }

  /**
   * The class of one picture, in [0, classes).
   *
   * @throws IllegalStateException if there are no labels
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public int label(int index) {
    if (classes == 0) {
      throw new IllegalStateException("these pictures have no labels");
    }
    return labels[checkElementIndex(index, size()) % images.length];
  }

  /**
   * The classes of some pictures, in the order asked for.
   *
   * @throws IllegalStateException if there are no labels
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public int[] labels(int... indices) {
    return IntStream.of(indices).map(this::label).toArray();
  }

  /**
   * Some pictures, in the order asked for, as floats {@code byte / 127.5 - 1}, in [-1, 1].
   *
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public Images images(int... indices) {
    float[] floats = new float[Math.multiplyExact(indices.length, height * width * channels)];
    int at = 0;
    for (int index : indices) {
      byte[] image = images[checkElementIndex(index, size()) % images.length];
      boolean swapped = index >= images.length;
      for (int row = 0; row < height; row++) {
        for (int column = 0; column < width; column++) {
          int from = (row * width + (swapped ? width - 1 - column : column)) * channels;
          for (int channel = 0; channel < channels; channel++) {
            floats[at++] = Byte.toUnsignedInt(image[from + channel]) / 127.5f - 1;
          }
        }
      }
    }
    return Images.of(indices.length, height, width, channels, floats);
  }

  /**
   * The order of training: one stretch of an endless sequence of epochs, each of which visits every
   * picture once, in an order that depends on the seed and the epoch's number alone. So a training
   * that stopped after {@code position} pictures goes on exactly where it was, here or on another
   * machine. A batch may reach over the end of an epoch, and may be larger than the data.
   *
   * @param position pictures visited so far, 0 at the start; epoch = position / size()
   * @param size how many pictures to visit now, at least 1
   * @param seed of the order
   * @return {@code size} indices in [0, size())
   * @throws IllegalArgumentException if position is negative or size is less than 1
   */
  public int[] batch(long position, int size, long seed) {
    checkArgument(position >= 0, "position must be at least 0, got %s", position);
    checkArgument(size >= 1, "size must be at least 1, got %s", size);
    int[] batch = new int[size];
    int filled = 0;
    while (filled < size) {
      int[] order = order(seed, (position + filled) / size());
      int from = (int) ((position + filled) % size());
      int count = Math.min(size - filled, size() - from);
      System.arraycopy(order, from, batch, filled, count);
      filled += count;
    }
    return batch;
  }

  private int[] order(long seed, long number) {
    Epoch current = epoch;
    if (current.seed != seed || current.number != number) {
      current = new Epoch(seed, number, shuffled(size(), seed, number));
      epoch = current;
    }
    return current.order;
  }

  /** Fisher-Yates with {@link Random}, whose numbers its documentation fixes for every JDK. */
  private static int[] shuffled(int n, long seed, long number) {
    // Hashed, because Random's first numbers are alike for neighboring seeds.
    Random random =
        new Random(Hashing.murmur3_128().newHasher().putLong(seed).putLong(number).hash().asLong());
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }
}

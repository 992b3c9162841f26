package io.github.ddpm.tf.data;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;
import static com.google.common.base.Preconditions.checkState;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.spi.Heap;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Pictures of one size to train on, with or without labels, which are asked for by their index.
 *
 * <p>Those of {@link #of}, {@link ImageFolder} and {@link Mnist} are held in memory as unsigned
 * bytes, which takes {@code size · height · width · channels} bytes: 47 MB for MNIST, 614 MB for
 * 50,000 pictures of 64x64 in color. Those of {@link ImageFolder} are in a file where they don't
 * fit into memory. For others that don't, or are made as they are asked for, extend this class:
 * {@link #read} is called in the order of training, ahead of the step that needs the picture.
 *
 * <p>A dataset is immutable, so any number of threads may use one; whoever extends this class keeps
 * to that.
 */
public abstract class Dataset {
  private final int size;
  private final int height;
  private final int width;
  private final int channels;
  private final int classes;
  private final List<String> classNames;

  private final EpochOrder order;

  /**
   * Makes a set of pictures.
   *
   * @param size how many there are, at least 1
   * @param height of each, in pixels, at least 1
   * @param width of each, in pixels, at least 1
   * @param channels of each, at least 1: 1 is gray, 3 is RGB
   * @param classes how many classes the labels tell apart; 0 if there are no labels
   * @throws IllegalArgumentException if one is out of its range
   */
  protected Dataset(int size, int height, int width, int channels, int classes) {
    this(size, height, width, channels, classes, List.of());
  }

  private Dataset(
      int size, int height, int width, int channels, int classes, List<String> classNames) {
    checkArgument(
        height >= 1 && width >= 1 && channels >= 1,
        "height, width and channels must be at least 1, got %sx%sx%s",
        height,
        width,
        channels);
    checkArgument(size >= 1, "there must be at least 1 picture, got %s", size);
    checkArgument(classes >= 0, "classes must be at least 0, got %s", classes);
    checkArgument(
        (double) height * width * channels <= Integer.MAX_VALUE,
        "a picture must have at most 2^31 - 1 values, got %sx%sx%s",
        height,
        width,
        channels);
    this.size = size;
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.classes = classes;
    this.classNames = ModelInfo.checkClassNames(classes, classNames);
    this.order = new EpochOrder(size);
  }

  /**
   * Puts the values of a picture, [height, width, channels] in [-1, 1], black -1 and white 1. Any
   * thread may call this, several at once.
   *
   * @param index in [0, size())
   * @param into takes exactly height · width · channels values
   * @throws java.io.UncheckedIOException if the picture can't be read; training ends with it
   */
  protected abstract void read(int index, FloatBuffer into);

  /**
   * {@return the class of a picture, in [0, classes)} It is called only if there are classes, by
   * any thread.
   *
   * @param index in [0, size())
   */
  protected int readLabel(int index) {
    throw new IllegalStateException("these pictures have labels, but readLabel doesn't say them");
  }

  /**
   * {@return a set of pictures without labels}
   *
   * @param height of each, in pixels, at least 1
   * @param width of each, in pixels, at least 1
   * @param channels of each, at least 1: 1 is gray, 3 is RGB
   * @param images one array of unsigned bytes a picture, each [height, width, channels], copied
   * @throws IllegalArgumentException if there is no picture or one has another size
   */
  public static Dataset of(int height, int width, int channels, byte[][] images) {
    return of(height, width, channels, images, 0, new int[0]);
  }

  /**
   * {@return a set of pictures with labels}
   *
   * @param height of each, in pixels, at least 1
   * @param width of each, in pixels, at least 1
   * @param channels of each, at least 1: 1 is gray, 3 is RGB
   * @param images one array of unsigned bytes a picture, each [height, width, channels], copied
   * @param classes how many classes there are
   * @param labels one a picture, each in [0, classes), copied
   * @throws IllegalArgumentException if there is no picture, one has another size, the numbers of
   *     pictures and labels differ, or a label is none of the classes
   */
  public static Dataset of(
      int height, int width, int channels, byte[][] images, int classes, int[] labels) {
    byte[][] copies = Arrays.stream(images).map(byte[]::clone).toArray(byte[][]::new);
    return keeping(height, width, channels, copies, classes, labels.clone());
  }

  /**
   * Makes the same with the arrays as they are: for loaders, as what is copied is in memory twice.
   *
   * @param height of each, in pixels, at least 1
   * @param width of each, in pixels, at least 1
   * @param channels of each, at least 1: 1 is gray, 3 is RGB
   * @param images as for {@link #of(int, int, int, byte[][], int, int[])}, which nobody changes any
   *     more
   * @param classes how many classes there are; 0 for pictures without labels
   * @param labels one a picture, each in [0, classes), which nobody changes any more; none if there
   *     are no classes
   * @return a set of pictures that reads these arrays
   * @throws IllegalArgumentException if there is no picture, one has another size, the numbers of
   *     pictures and labels differ, or a label is none of the classes
   */
  public static Dataset keeping(
      int height, int width, int channels, byte[][] images, int classes, int... labels) {
    return new InMemory(height, width, channels, images, classes, labels);
  }

  /**
   * {@return these pictures and, after them, each of them with left and right swapped, so that an
   * epoch shows both: twice as many pictures in the same memory} It is for data whose mirror images
   * are as likely, such as faces, not letters. Already mirrored pictures stay as they are.
   *
   * @throws IllegalArgumentException if that is more pictures than an int counts
   */
  public Dataset mirrored() {
    checkArgument(
        size <= Integer.MAX_VALUE / 2,
        "at most %s pictures can be mirrored, got %s",
        Integer.MAX_VALUE / 2,
        size);
    return new Mirrored(this);
  }

  /**
   * {@return these pictures with names for their classes, which training keeps with the model}
   *
   * @param names one of each class, in the order of their numbers, no two the same; or none
   * @throws IllegalArgumentException if they are others
   */
  public Dataset withClassNames(List<String> names) {
    return new Named(this, names);
  }

  /** {@return how many pictures there are, at least 1} */
  public final int size() {
    return size;
  }

  /** {@return the number of rows of each picture} */
  public final int height() {
    return height;
  }

  /** {@return the number of columns of each picture} */
  public final int width() {
    return width;
  }

  /** {@return the number of channels of each picture: 1 is gray, 3 is RGB} */
  public final int channels() {
    return channels;
  }

  /** {@return how many classes the labels tell apart; 0 if there are no labels} */
  public final int classes() {
    return classes;
  }

  /** {@return the names of the classes, in the order of their numbers; none if they have none} */
  public final List<String> classNames() {
    return classNames;
  }

  /**
   * {@return the class of one picture, in [0, classes)}
   *
   * @param index in [0, size())
   * @throws IllegalStateException if there are no labels
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public final int label(int index) {
    checkState(classes > 0, "these pictures have no labels");
    int label = readLabel(checkElementIndex(index, size));
    checkArgument(
        label >= 0 && label < classes, "labels must be in [0, %s), got %s", classes, label);
    return label;
  }

  /**
   * {@return the classes of some pictures, in the order asked for}
   *
   * @param indices each in [0, size()); one may come twice
   * @throws IllegalStateException if there are no labels
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public final int[] labels(int... indices) {
    return IntStream.of(indices).map(this::label).toArray();
  }

  /**
   * {@return some pictures, in the order asked for}
   *
   * @param indices each in [0, size()); one may come twice
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public final Images images(int... indices) {
    return Images.of(indices.length, height, width, channels, floats(indices).array());
  }

  /**
   * {@return the values of some pictures, in the order asked for: [n, height, width, channels],
   * about in [-1, 1]} They are made for each call and not copied.
   *
   * @param indices each in [0, size()); one may come twice
   * @throws IllegalArgumentException if they are more than an array or the memory holds
   * @throws IndexOutOfBoundsException if there is no such picture
   */
  public final FloatBuffer floats(int... indices) {
    int one = height * width * channels;
    checkArgument(
        (long) indices.length * one <= Integer.MAX_VALUE,
        "%s pictures of %s values are more than 2^31 - 1 values",
        indices.length,
        one);
    Heap.checkArgument(indices.length + " pictures", (double) Float.BYTES * indices.length * one);
    FloatBuffer floats = FloatBuffer.allocate(indices.length * one);
    for (int i = 0; i < indices.length; i++) {
      FloatBuffer picture = floats.slice(i * one, one);
      read(checkElementIndex(indices[i], size), picture);
      checkState(
          !picture.hasRemaining(),
          "picture %s must have %s values, got %s",
          indices[i],
          one,
          picture.position());
    }
    return floats;
  }

  /**
   * Returns the order of training: one stretch of an endless sequence of epochs, each of which
   * visits every picture once, in an order that depends on the seed and the epoch's number alone.
   * So a training that stopped after {@code position} pictures goes on exactly where it was, here
   * or on another machine. A batch may reach over the end of an epoch, and may be larger than the
   * data.
   *
   * @param position pictures visited so far, 0 at the start; epoch = position / size()
   * @param count how many pictures to visit now, at least 1
   * @param seed of the order
   * @return {@code count} indices in [0, size())
   * @throws IllegalArgumentException if position is negative or count is less than 1
   */
  public final int[] batch(long position, int count, long seed) {
    return order.batch(position, count, seed);
  }

  /**
   * Refuses a model of other pictures or other classes than these, or that takes a condition. Where
   * the classes of both have names, these must be the same.
   *
   * @param model to be trained with these pictures, or tried on them
   * @throws IllegalArgumentException if it is one
   */
  public final void checkFits(ModelInfo model) {
    checkArgument(
        height == model.height() && width == model.width() && channels == model.channels(),
        "the network is for pictures of %sx%sx%s, got %sx%sx%s",
        model.height(),
        model.width(),
        model.channels(),
        height,
        width,
        channels);
    checkArgument(
        model.classes() == 0 || model.classes() == classes,
        "the network has %s classes%s, the data %s%s",
        model.classes(),
        shown(model.classNames()),
        classes,
        shown(classNames));
    checkArgument(
        model.classes() == 0
            || model.classNames().isEmpty()
            || classNames.isEmpty()
            || model.classNames().equals(classNames),
        "the network's classes%s are not those of the data%s; Trainer.setClassNames has others learned in their place",
        shown(model.classNames()),
        shown(classNames));
    checkArgument(
        model.conditionChannels() == 0,
        "data has no condition, so the network can't have condition channels, got %s",
        model.conditionChannels());
  }

  private static String shown(List<String> names) {
    return names.isEmpty() ? "" : " (" + Excerpt.of(String.join(", ", names)) + ")";
  }

  /**
   * {@return the mean squared error of a model's predictions for these pictures, always of the same
   * noise: held-out loss, if the model was not trained on them} Losses compare between models of
   * one prediction type and schedule, and between the moments of one training.
   *
   * @param model of the size and classes of these pictures
   * @param timesteps how many of the model's to visit, evenly spaced; in [1, T]
   * @param perTimestep pictures at each, at least 1, from the first picture on
   * @throws IllegalArgumentException if there are fewer pictures, or the model is for others
   */
  public final double loss(Predictor model, int timesteps, int perTimestep) {
    ModelInfo info = model.info();
    BetaSchedule schedule = info.schedule();
    PredictionType type = info.predictionType();
    checkArgument(
        timesteps >= 1 && timesteps <= schedule.timesteps(),
        "timesteps must be in [1, %s], got %s",
        schedule.timesteps(),
        timesteps);
    checkArgument(
        perTimestep >= 1 && (long) timesteps * perTimestep <= size,
        "pictures per timestep must be in [1, %s], got %s",
        size / timesteps,
        perTimestep);
    checkFits(info);
    Random random = new Random(7);
    double sum = 0;
    for (int i = 0; i < timesteps; i++) {
      int t = (int) ((i + 0.5) * schedule.timesteps() / timesteps);
      double signal = Math.sqrt(schedule.alphaBar(t));
      double noise = Math.sqrt(1 - schedule.alphaBar(t));
      int[] indices = IntStream.range(i * perTimestep, (i + 1) * perTimestep).toArray();
      float[] x0 = floats(indices).array();
      float[] x = new float[x0.length];
      float[] target = new float[x0.length];
      for (int j = 0; j < x.length; j++) {
        double epsilon = random.nextGaussian();
        x[j] = (float) (signal * x0[j] + noise * epsilon);
        target[j] =
            (float) (type.fromNoise(signal, noise) * epsilon + type.fromX0(signal, noise) * x0[j]);
      }
      float[] out = model.predict(x, t, info.classes() == 0 ? new int[0] : labels(indices));
      for (int j = 0; j < x.length; j++) {
        sum += Math.pow((double) out[j] - target[j], 2) / x.length;
      }
    }
    return sum / timesteps;
  }

  /** Puts the values that unsigned bytes stand for. */
  static void put(byte[] picture, FloatBuffer into) {
    for (byte value : picture) {
      into.put(Byte.toUnsignedInt(value) / 127.5f - 1);
    }
  }

  /** Pictures as unsigned bytes. */
  private static final class InMemory extends Dataset {
    private final byte[][] images;
    private final int[] labels;

    InMemory(int height, int width, int channels, byte[][] images, int classes, int... labels) {
      super(images.length, height, width, channels, classes);
      long bytes = (long) height * width * channels;
      for (int i = 0; i < images.length; i++) {
        checkArgument(
            images[i].length == bytes,
            "each picture must have height * width * channels = %s bytes, got %s for picture %s",
            bytes,
            images[i].length,
            i);
      }
      int expected = classes == 0 ? 0 : images.length;
      checkArgument(
          labels.length == expected,
          "there must be %s labels for %s pictures, got %s",
          expected,
          images.length,
          labels.length);
      this.images = images;
      this.labels = labels;
      for (int i = 0; i < labels.length; i++) {
        label(i);
      }
    }

    @Override
    protected void read(int index, FloatBuffer into) {
      put(images[index], into);
    }

    @Override
    protected int readLabel(int index) {
      return labels[index];
    }
  }

  /** Pictures whose classes have names. */
  private static final class Named extends Dataset {
    private final Dataset pictures;

    Named(Dataset pictures, List<String> names) {
      super(
          pictures.size,
          pictures.height,
          pictures.width,
          pictures.channels,
          pictures.classes,
          names);
      this.pictures = pictures;
    }

    @Override
    public Dataset mirrored() {
      return pictures.mirrored().withClassNames(classNames());
    }

    @Override
    protected void read(int index, FloatBuffer into) {
      pictures.read(index, into);
    }

    @Override
    protected int readLabel(int index) {
      return pictures.readLabel(index);
    }
  }

  /** Pictures, and then the same pictures with left and right swapped. */
  private static final class Mirrored extends Dataset {
    private final Dataset straight;

    Mirrored(Dataset straight) {
      super(
          2 * straight.size,
          straight.height,
          straight.width,
          straight.channels,
          straight.classes,
          straight.classNames);
      this.straight = straight;
    }

    @Override
    public Dataset mirrored() {
      return this;
    }

    @Override
    protected void read(int index, FloatBuffer into) {
      straight.read(index % straight.size, into);
      // Else it is refused for what it lacks.
      if (index >= straight.size && !into.hasRemaining()) {
        swap(into.flip());
      }
    }

    private void swap(FloatBuffer picture) {
      float[] row = new float[width() * channels()];
      for (int y = 0; y < height(); y++) {
        picture.get(y * row.length, row);
        for (int x = width() - 1; x >= 0; x--) {
          picture.put(row, x * channels(), channels());
        }
      }
    }

    @Override
    protected int readLabel(int index) {
      return straight.readLabel(index % straight.size);
    }
  }
}

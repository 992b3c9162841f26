package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;

/**
 * Tells TensorBoard how a training goes: by the columns of {@code loss.csv} as scalars, and samples
 * as images. However fast the steps are, there is a point a second at most, and one of the first
 * step, the last and each that was measured.
 *
 * <p>A training that is resumed starts a new file in the same folder, which says from which step on
 * the files before it count no more. What can't be written is said once, and costs nothing else.
 */
final class TensorBoard implements AutoCloseable {
  private static final Duration INTERVAL = Duration.ofSeconds(1);

  /** A PNG file has its width here, and its height after that. */
  private static final int PNG_WIDTH = 16;

  private final Path folder;
  private final LongSupplier clock;
  private long due;

  /** Empty before the start, and after a record that could not be written. */
  private Optional<EventFile> file = Optional.empty();

  /**
   * Prepares to write to a folder.
   *
   * @param folder made if need be
   * @param clock gives nanoseconds, as {@link System#nanoTime} does
   */
  TensorBoard(Path folder, LongSupplier clock) {
    this.folder = folder;
    this.clock = clock;
    due = clock.getAsLong();
  }

  /**
   * Starts a file.
   *
   * @param stepsTaken before; what other files say of later steps is out of date
   */
  void start(long stepsTaken) {
    try {
      file = Optional.of(EventFile.create(folder, System.currentTimeMillis() / 1000));
    } catch (IOException e) {
      warn(e);
    }
    SessionLog start = SessionLog.newBuilder().setStatus(SessionLog.SessionStatus.START).build();
    write(EventFile.event(stepsTaken + 1).setSessionLog(start));
  }

  private void write(Event.Builder event) {
    if (file.isPresent()) {
      try {
        file.get().write(event.build());
      } catch (IOException e) {
        // Half a record ends a file: what is written after it can't be read.
        warn(e);
        close();
      }
    }
  }

  private void warn(IOException e) {
    TrainingRun.warn(
        format(
            "can't write to %s: %s; TensorBoard sees no more of this run",
            folder, Commands.reason(e)));
  }

  /**
   * Adds a point, unless it is too early for one.
   *
   * @param last whether no step follows
   */
  void add(LossRow row, boolean last) {
    long now = clock.getAsLong();
    boolean measured = !Double.isNaN(row.frechetDistance());
    if (now - due < 0 && !last && !measured) {
      return;
    }
    due = now + INTERVAL.toNanos();
    Summary.Builder summary = Summary.newBuilder();
    add(summary, "loss", row.loss());
    add(summary, "learning_rate", row.learningRate());
    add(summary, "gradient_norm", row.gradientNorm());
    add(summary, "images_per_second", row.imagesPerSecond());
    if (measured) {
      add(summary, "frechet_distance", row.frechetDistance());
    }
    write(EventFile.event(row.step()).setSummary(summary));
  }

  private static void add(Summary.Builder summary, String tag, double value) {
    summary.addValue(Summary.Value.newBuilder().setTag(tag).setSimpleValue((float) value));
  }

  /**
   * Adds a grid of samples.
   *
   * @param png the file of the grid
   * @param channels of the samples: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha
   * @throws IOException if it can't be read
   */
  void add(long step, Path png, int channels) throws IOException {
    byte[] bytes = Files.readAllBytes(png);
    ByteBuffer header = ByteBuffer.wrap(bytes);
    Summary.Image image =
        Summary.Image.newBuilder()
            .setWidth(header.getInt(PNG_WIDTH))
            .setHeight(header.getInt(PNG_WIDTH + Integer.BYTES))
            .setColorspace(channels)
            .setEncodedImageString(ByteString.copyFrom(bytes))
            .build();
    Summary.Value value = Summary.Value.newBuilder().setTag("samples").setImage(image).build();
    write(EventFile.event(step).setSummary(Summary.newBuilder().addValue(value)));
  }

  @Override
  public void close() {
    if (file.isPresent()) {
      try {
        file.get().close();
      } catch (IOException e) {
        warn(e);
      }
      file = Optional.empty();
    }
  }
}

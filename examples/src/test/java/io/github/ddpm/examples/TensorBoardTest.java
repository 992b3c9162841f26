package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.Images;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TFOutOfRangeException;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.io.FifoQueue;
import org.tensorflow.op.io.ReaderRead;
import org.tensorflow.op.io.TfRecordReader;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;
import org.tensorflow.types.TString;

/** What is written for TensorBoard, as TensorFlow's own reader reads it back. */
class TensorBoardTest {
  @TempDir Path folder;

  private long now = Long.MAX_VALUE - 1;

  /** Reads a file by TensorFlow, which compares the checksums. */
  static List<Event> read(Path file) throws IOException {
    List<Event> events = new ArrayList<>();
    read(file, events);
    return events;
  }

  private static void read(Path file, List<Event> events) throws IOException {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      FifoQueue queue = tf.io.fifoQueue(List.of(TString.class));
      TfRecordReader reader = tf.io.tfRecordReader();
      ReaderRead read = tf.io.readerRead(reader.readerHandle(), queue.handle());
      Op enqueue =
          tf.io.queueEnqueue(queue.handle(), List.<Operand<?>>of(tf.constant(file.toString())));
      session.runner().addTarget(enqueue).run().close();
      session.runner().addTarget(tf.io.queueClose(queue.handle())).run().close();
      while (true) {
        try (Result result = session.runner().fetch(read.value()).run()) {
          events.add(Event.parseFrom(((TString) result.get(0)).asBytes().getObject()));
        }
      }
    } catch (TFOutOfRangeException e) {
      // That was the last one.
    }
  }

  /** Returns the event files of a folder in TensorBoard's order. */
  static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  static Map<String, Float> scalars(Event event) {
    Map<String, Float> scalars = new LinkedHashMap<>();
    for (Summary.Value value : event.getSummary().getValueList()) {
      scalars.put(value.getTag(), value.getSimpleValue());
    }
    return scalars;
  }

  private TensorBoard started(long stepsTaken) {
    TensorBoard log = new TensorBoard(folder, () -> now);
    log.start(stepsTaken);
    return log;
  }

  private static LossRow row(long step, double distance) {
    return new LossRow(step, 0.5 + step, 0.1, 1e-3 * step, 2.5, 123.25, distance);
  }

  @Test
  void scalarsAreReadBackExactly() throws IOException {
    try (TensorBoard log = started(0)) {
      log.add(row(1, Double.NaN), false);
      log.add(row(2, 41.75), false);
    }
    List<Path> files = files(folder);
    assertThat(files).hasSize(1);
    assertThat(files.get(0).getFileName().toString()).startsWith("events.out.tfevents.");
    List<Event> events = read(files.get(0));
    assertThat(events).hasSize(4);
    assertThat(events.get(0).getFileVersion()).isEqualTo("brain.Event:2");
    assertThat(events.get(1).getSessionLog().getStatus()).isEqualTo(SessionLog.SessionStatus.START);
    assertThat(events.get(2).getStep()).isEqualTo(1);
    assertThat(scalars(events.get(2)))
        .isEqualTo(
            Map.of(
                "loss", 1.5f,
                "learning_rate", 0.001f,
                "gradient_norm", 2.5f,
                "images_per_second", 123.25f));
    assertThat(events.get(3).getStep()).isEqualTo(2);
    assertThat(scalars(events.get(3)))
        .hasSize(5)
        .containsEntry("loss", 2.5f)
        .containsEntry("frechet_distance", 41.75f);
    assertThat(events.get(3).getWallTime())
        .isBetween(events.get(0).getWallTime(), System.currentTimeMillis() / 1e3);
  }

  @Test
  void thereIsAPointASecondAndOneOfTheLastStep() throws IOException {
    try (TensorBoard log = started(0)) {
      for (int step = 1; step <= 35; step++) {
        log.add(row(step, Double.NaN), step == 35);
        now += 100_000_000;
      }
    }
    assertThat(read(files(folder).get(0)).stream().filter(Event::hasSummary))
        .extracting(Event::getStep)
        .containsExactly(1L, 11L, 21L, 31L, 35L);
  }

  @Test
  void samplesAreImages() throws IOException {
    Path png = folder.resolve("grid.png");
    Images.of(1, 2, 5, 3, new float[30]).writeGrid(png);
    Path events = folder.resolve("events");
    try (TensorBoard log = new TensorBoard(events, () -> now)) {
      log.start(0);
      log.add(7, png, 3);
    }
    Event event = read(files(events).get(0)).get(2);
    assertThat(event.getStep()).isEqualTo(7);
    Summary.Value value = event.getSummary().getValue(0);
    assertThat(value.getTag()).isEqualTo("samples");
    Images drawn = Images.readPng(png);
    assertThat(value.getImage().getWidth()).isEqualTo(drawn.width());
    assertThat(value.getImage().getHeight()).isEqualTo(drawn.height()).isNotEqualTo(drawn.width());
    assertThat(value.getImage().getColorspace()).isEqualTo(3);
    assertThat(value.getImage().getEncodedImageString().toByteArray())
        .isEqualTo(Files.readAllBytes(png));
  }

  /** TensorBoard drops what came from this step on, and reads the files by name. */
  @Test
  void aResumedTrainingStartsALaterFileThatSupersedes() throws IOException {
    Path before = folder.resolve("events.out.tfevents.9000000000.ddpm");
    Files.createFile(before);
    started(20).close();
    Path next = folder.resolve("events.out.tfevents.9000000001.ddpm");
    assertThat(files(folder)).containsExactly(before, next);
    Event start = read(next).get(1);
    assertThat(start.getSessionLog().getStatus()).isEqualTo(SessionLog.SessionStatus.START);
    assertThat(start.getStep()).isEqualTo(21);
  }

  @Test
  void whatACrashLeavesIsReadUpToTheLastWholeRecord() throws IOException {
    try (TensorBoard log = started(0)) {
      log.add(row(1, Double.NaN), true);
      assertThat(read(files(folder).get(0))).as("while it is written").hasSize(3);
      log.add(row(2, Double.NaN), true);
    }
    Path file = files(folder).get(0);
    byte[] whole = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(whole, whole.length - 5));
    // TensorFlow says so where it gets to the half record.
    List<Event> events = new ArrayList<>();
    assertThatThrownBy(() -> read(file, events)).isInstanceOf(TensorFlowException.class);
    assertThat(events).extracting(Event::getStep).containsExactly(0L, 1L, 1L);
  }
}

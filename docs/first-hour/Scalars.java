import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TFOutOfRangeException;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.Summary;
import org.tensorflow.types.TString;

/** Prints scalars of TensorBoard's files, as TensorFlow's own reader has them. */
public class Scalars {
  private static final int ROWS = 10;

  private Scalars() {}

  /** Prints the scalars of a few steps, evenly spaced up to the last one. */
  public static void main(String... files) throws IOException {
    List<Event> events = read(files);
    for (int row = 1; row <= ROWS; row++) {
      Event event = events.get(row * (events.size() - 1) / ROWS);
      System.out.printf("step %4d", event.getStep());
      for (Summary.Value value : event.getSummary().getValueList()) {
        System.out.printf("  %s %.4g", value.getTag(), value.getSimpleValue());
      }
      System.out.println();
    }
  }

  private static List<Event> read(String... files) throws IOException {
    List<Event> events = new ArrayList<>();
    try (Graph graph = TensorFlowRuntime.graph();
        Session session = TensorFlowRuntime.session(graph)) {
      Ops tf = TensorFlowRuntime.ops(graph);
      Operand<?> queue = tf.io.fifoQueue(List.of(TString.class)).handle();
      session.run(tf.io.queueEnqueueMany(queue, List.of(tf.array(files))));
      session.run(tf.io.queueClose(queue));
      Operand<TString> next =
          tf.io.readerRead(tf.io.tfRecordReader().readerHandle(), queue).value();
      while (true) {
        try (Result result = session.runner().fetch(next).run()) {
          Event event = Event.parseFrom(((TString) result.get(0)).asBytes().getObject());
          if (event.getSummary().getValueList().stream().anyMatch(Summary.Value::hasSimpleValue)) {
            events.add(event);
          }
        }
      }
    } catch (TFOutOfRangeException e) {
      return events; // That was the last one.
    }
  }
}

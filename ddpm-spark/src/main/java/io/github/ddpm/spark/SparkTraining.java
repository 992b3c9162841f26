package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkState;

import io.github.ddpm.Precision;
import io.github.ddpm.tf.PartGradient;
import io.github.ddpm.tf.Replica;
import io.github.ddpm.tf.Round;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingProgress;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.graph.TensorFlowRuntime;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function0;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/**
 * Spreads the steps of a training over the executors of a cluster.
 *
 * <pre>{@code
 * TrainingOptions options = TrainingOptions.defaults().withBatchSize(512).withMicroBatch(64);
 * try (Trainer trainer = Trainer.create(network, schedule, type, options)) {
 *   trainer.setTotalSteps(20_000);
 *   SparkTraining.train(spark, trainer, data, progress -> true);
 * }
 * }</pre>
 *
 * <p>The driver holds the trainer. In each step, a job whose tasks are the parts of the batch gets
 * the weights, and their gradients come back to be added up in the order of the parts. So the
 * weights are those of a training on one machine, bit for bit, however many executors there are and
 * whichever of them die: Spark computes lost parts again. If the driver dies, {@link
 * Trainer#resume} goes on from the last {@link Trainer#save}.
 *
 * <p>A step sends the weights to each executor and as much back from each part, 4 bytes a weight.
 * Where that takes too long, {@link io.github.ddpm.tf.TrainingOptions#withLocalSteps} has the parts
 * trained by replicas, which send 12 bytes a weight both ways, but only once a round of steps; each
 * round is a job then.
 */
public final class SparkTraining implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(SparkTraining.class.getName());

  private final JavaSparkContext spark;
  private final Trainer trainer;
  private final GradientTask task;
  private final String group = "ddpm training " + UUID.randomUUID();

  /** What executors compute with, of those that have been told of. */
  private final Set<String> instructions = new HashSet<>();

  /** The pictures, if they were sent. */
  private final Optional<Broadcast<SentDataset>> sentData;

  private SparkTraining(
      SparkSession session,
      Trainer trainer,
      Function0<Dataset> data,
      Optional<Broadcast<SentDataset>> sentData) {
    this.sentData = sentData;
    this.spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    this.trainer = trainer;
    this.task = new GradientTask(group, trainer.description(), data);
    instructions.add(TensorFlowRuntime.instructions());
    if (trainer.options().localSteps() > 0) {
      trainer.trainReplicasBy(this::train);
    } else {
      trainer.computeGradientsBy(this::compute);
    }
  }

  /**
   * Trains up to {@link Trainer#totalSteps}, as {@link Trainer#train(Dataset, Predicate)} does.
   *
   * @param spark whose executors compute
   * @param trainer which stays open, with the weights that come of it
   * @param data which is sent to each executor once; it must fit into the memory of each
   * @param listener is told after each step taken; training stops when it answers {@code false}
   * @throws IllegalArgumentException if a batch has only one part, or the pictures are not made of
   *     bytes; {@link #spread(SparkSession, Trainer, Function0)} takes all others
   * @throws IllegalStateException if the cluster fails; the weights are those of the last step, or
   *     round of local steps, that was finished
   */
  public static void train(
      SparkSession spark, Trainer trainer, Dataset data, Predicate<TrainingProgress> listener) {
    SparkTraining cluster = spread(spark, trainer, data);
    try {
      trainer.train(data, listener);
    } finally {
      cluster.close();
    }
  }

  /**
   * Has the steps that the trainer's {@code train} takes computed by the executors until this is
   * closed. What an executor has opened for that stays there until it is given other work of this
   * class, or ends.
   *
   * @param spark whose executors compute
   * @param trainer whose {@code train} is called while this is open
   * @param data which is sent to each executor once; it must fit into the memory of each
   * @return the work of the executors, which the caller closes
   * @throws IllegalArgumentException as for {@link #train}
   */
  public static SparkTraining spread(SparkSession spark, Trainer trainer, Dataset data) {
    Broadcast<SentDataset> sent = SentDataset.send(spark, data);
    return new SparkTraining(spark, trainer, () -> sent.value().open(), Optional.of(sent));
  }

  /**
   * Has the steps that the trainer's {@code train} takes computed by the executors until this is
   * closed. What an executor has opened for that stays there until it is given other work of this
   * class, or ends.
   *
   * @param spark whose executors compute
   * @param trainer whose {@code train} is called while this is open
   * @param data opens on each executor what the trainer trains on, for instance {@code () ->
   *     ImageFolder.load(folder, …)} with a folder that they all see: the same pictures, or the
   *     gradients are those of something else
   * @return the work of the executors, which the caller closes
   * @throws IllegalArgumentException if a batch has only one part
   */
  public static SparkTraining spread(SparkSession spark, Trainer trainer, Function0<Dataset> data) {
    return new SparkTraining(spark, trainer, data, Optional.empty());
  }

  private List<PartGradient> compute(ByteBuffer weights, long attempt, int lossScale, int parts) {
    List<PartGradient> gradients = new ArrayList<>();
    String step = "step " + (attempt + 1);
    for (GradientTask.Reply reply :
        replies(
            Bytes.of(weights),
            parts,
            sent -> task.of(sent, attempt, lossScale),
            step,
            "compute a gradient of " + step)) {
      check(reply.host(), reply.instructions());
      gradients.add(new PartGradient(reply.loss(), ByteBuffer.wrap(reply.gradient())));
    }
    return gradients;
  }

  private List<Replica> train(Round round, int count) {
    long attempts = round.taken() + round.skipped();
    String steps = "steps " + (attempts + 1) + " to " + (attempts + round.steps());
    List<Replica> replicas = new ArrayList<>();
    for (SentReplica reply :
        replies(SentRound.of(round), count, task::of, steps, "train a replica in " + steps)) {
      check(reply.host(), reply.instructions());
      replicas.add(reply.open());
    }
    return replicas;
  }

  /**
   * Runs a job.
   *
   * @param value that all tasks get
   * @param tasks how many there are
   * @param steps that the job is for
   * @param work that the tasks do
   */
  private <T, R> List<R> replies(
      T value,
      int tasks,
      Function<Broadcast<T>, org.apache.spark.api.java.function.Function<Integer, R>> task,
      String steps,
      String work) {
    Broadcast<T> sent = null;
    try {
      sent = spark.broadcast(value);
      spark.setJobGroup(group, steps, true);
      return spark
          .parallelize(IntStream.range(0, tasks).boxed().toList(), tasks)
          .map(task.apply(sent))
          .collect();
    } catch (Exception e) {
      throw failed(e, steps, work);
    } finally {
      // To destroy it takes a wait, which an interrupt would end.
      boolean interrupted = Thread.interrupted();
      spark.clearJobGroup();
      if (sent != null) {
        sent.destroy();
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Spark's checked exceptions are not declared, as Scala has none. */
  private RuntimeException failed(Exception e, String steps, String work) {
    Optional<CancellationException> interrupted =
        SparkFailures.interrupted(e, spark, group, "training was interrupted in " + steps);
    if (interrupted.isPresent()) {
      return interrupted.get();
    }
    return new IllegalStateException(
        "the cluster can't %s: %s; the weights are those of the %s before"
            .formatted(
                work,
                SparkFailures.reason(e),
                trainer.options().localSteps() > 0 ? "round" : "step"),
        e);
  }

  /** Tells once of executors whose sums are other ones. */
  private void check(String host, String its) {
    if (!instructions.contains(its)) {
      String difference =
          "the executor on %s computes with %s, others with %s"
              .formatted(host, its, String.join(", ", instructions));
      checkState(
          trainer.options().precision() == Precision.FLOAT32,
          "%s: train in float32, in which they differ in the last bits only",
          difference);
      instructions.add(its);
      LOG.log(Level.WARNING, "{0}: the weights depend on which of them computes what", difference);
    }
  }

  /** Has the trainer compute gradients itself again. */
  @Override
  public void close() {
    trainer.computeGradients();
    sentData.ifPresent(Broadcast::destroy);
  }
}

package io.github.ddpm.spark;

import static io.github.ddpm.spark.TestTraining.PICTURES;

import io.github.ddpm.Precision;
import io.github.ddpm.tf.Trainer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;

/** The driver of another cluster, in a process of its own. */
final class Driver implements AutoCloseable {
  /** More than are taken. */
  static final int STEPS = 100_000;

  private final Process process;

  private Driver(Process process) {
    this.process = process;
  }

  static Driver start(String work, Path folder) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("--add-opens") || argument.startsWith("-D"))
        .forEach(command::add);
    command.addAll(List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.addAll(List.of(Driver.class.getName(), work, folder.toString()));
    return new Driver(new ProcessBuilder(command).redirectErrorStream(true).start());
  }

  /** Returns what it says, until it ends. */
  Stream<String> lines() {
    return new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))
        .lines();
  }

  List<ProcessHandle> executors() {
    return process.children().toList();
  }

  /** Kills it, by SIGKILL where there are signals. */
  void kill() {
    process.destroyForcibly().onExit().join();
  }

  @Override
  public void close() {
    kill();
  }

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[1]);
    if (args[0].equals("until-killed")) {
      trainUntilKilled(LocalCluster.start(1, LocalCluster.SHORT_LIVED), folder);
    } else {
      useAnotherProcessor(
          LocalCluster.start(
              1, LocalCluster.SHORT_LIVED + " -Dio.github.ddpm.tf.instructions=base"));
    }
  }

  private static void trainUntilKilled(SparkSession spark, Path folder) {
    try (Trainer trainer = TestTraining.trainer()) {
      trainer.setTotalSteps(STEPS);
      SparkTraining.train(
          spark,
          trainer,
          PICTURES,
          progress -> {
            if (progress.step() == 2) {
              TestTraining.save(trainer, folder);
            }
            say("step " + progress.step());
            return true;
          });
    }
  }

  private static void useAnotherProcessor(SparkSession spark) {
    for (Precision precision : Precision.values()) {
      try (Trainer trainer = TestTraining.trainer(TestTraining.OPTIONS.withPrecision(precision))) {
        SparkTraining.train(spark, trainer, PICTURES, progress -> false);
        say(precision + " takes " + trainer.stepsTaken() + " step");
      } catch (IllegalStateException e) {
        say(precision + ": " + e.getMessage());
      }
    }
    SparkModel digits = SparkModel.pretrained("digits").withPrecision(Precision.BFLOAT16);
    try {
      say("drawn: " + SparkSampling.sample(spark, digits, own -> own.sampler().seed(1), 1).first());
    } catch (Exception e) {
      // Spark's checked exceptions are not declared.
      say("sampling: " + SparkFailures.reason(e));
    }
    spark.stop();
  }

  private static void say(String line) {
    System.out.println(line);
  }
}

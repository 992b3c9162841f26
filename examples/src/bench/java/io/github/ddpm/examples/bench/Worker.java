package io.github.ddpm.examples.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.stream.IntStream;

/**
 * The process of one contender. It reads a command a line and answers each with a line: {@code =}
 * and a value, or {@code -} and why it can't do that.
 *
 * <p>What is timed runs for a number of seconds, but once at least, so that slow contenders hold up
 * nobody.
 */
final class Worker {
  private static final int STEPS = 50;

  private final Contender contender;
  private final Path files;
  private Predictor predictor;
  private Backend.Training training;

  private Worker(Contender contender, Path files) {
    this.contender = contender;
    this.files = files;
  }

  /** Takes the name of a contender and the folder of the files. */
  public static void main(String... args) throws IOException {
    PrintStream answers = System.out;
    // Whatever the libraries print goes to the log.
    System.setOut(System.err);
    Worker worker = new Worker(Contender.valueOf(args[0]), Path.of(args[1]));
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String answer;
      try {
        answer = "= " + worker.obey(line.split(" "));
      } catch (UnsupportedOperationException e) {
        answer = "- " + e.getMessage();
      }
      answers.println(answer);
      answers.flush();
    }
    // Not all libraries' threads end by themselves. Not halt, which leaves their temporary files.
    System.exit(0);
  }

  private String obey(String... command) throws IOException {
    return switch (command[0]) {
      case "version" -> contender.backend().version();
      case "train" -> String.valueOf(train(number(command[1]), seconds(command[2])));
      case "forward" -> String.valueOf(forward(number(command[1]), seconds(command[2])));
      case "sample" -> String.valueOf(sample(number(command[1]), seconds(command[2])));
      case "outside" -> String.valueOf(outside(number(command[1])));
      case "cost" ->
          String.valueOf(cost(number(command[1]), number(command[2]), seconds(command[3])));
      case "outputs" -> encode(predictor().predict(noise(1, number(command[1])), 500));
      case "images" -> encode(sampler().sample(number(command[1])).toArray());
      case "loss" -> String.valueOf(loss(number(command[1])));
      case "grid" -> grid(Path.of(command[1]));
      case "memory" -> String.valueOf(peakMemory());
      default -> throw new IllegalArgumentException("no such command: " + command[0]);
    };
  }

  /** Images that training works off per second. */
  private double train(int batch, double seconds) throws IOException {
    if (training == null) {
      training = contender.backend().training(files);
    }
    float[] images = noise(2, batch);
    return batch * timesPerSecond(seconds, () -> training.step(images));
  }

  /** Images that the network is called with per second. */
  private double forward(int batch, double seconds) throws IOException {
    return forward(predictor(), noise(1, batch), batch, seconds);
  }

  private static double forward(Predictor network, float[] x, int batch, double seconds) {
    return batch * timesPerSecond(seconds, () -> network.predict(x, 500));
  }

  /**
   * Images that DDIM with 50 steps makes per second. It ends with the row of the table in which the
   * time is up; rows are alike, so the images done by then may be a fraction.
   */
  private double sample(int count, double seconds) throws IOException {
    long start = System.nanoTime();
    long[] rows = {0};
    Sampler sampler =
        sampler()
            .listener(
                progress -> {
                  rows[0] += progress.x0().count();
                  return secondsSince(start) < seconds;
                });
    try {
      do {
        sampler.sample(count);
      } while (secondsSince(start) < seconds);
    } catch (CancellationException e) {
      // The time is up.
    }
    return rows[0] / secondsSince(start) / STEPS;
  }

  /**
   * The share of sampling that is not the network: after each row the network is called once more
   * with as many images, so that both are timed in turn.
   */
  private double outside(int count) throws IOException {
    Predictor network = predictor();
    float[] x = noise(1, count);
    double[] inNetwork = {0};
    Sampler sampler =
        sampler()
            .listener(
                progress -> {
                  long start = System.nanoTime();
                  network.predict(x, progress.timestep());
                  inNetwork[0] += secondsSince(start);
                  return true;
                });
    long start = System.nanoTime();
    sampler.sample(count);
    double sampling = secondsSince(start) - inNetwork[0];
    return 1 - inNetwork[0] / sampling;
  }

  /** Seconds that one row of the table takes per image. */
  private double cost(int size, int count, double seconds) {
    try (Predictor network = ((Ours) contender.backend()).predictor(size)) {
      Sampler sampler = Sampler.ddim(0).steps(5).with(network).seed(1);
      sampler.sample(count);
      return 1 / (timesPerSecond(seconds, () -> sampler.sample(count)) * count * 5);
    }
  }

  private double loss(int count) throws IOException {
    int[] timesteps = IntStream.range(0, count).map(i -> 999 * i / (count - 1)).toArray();
    return contender.backend().loss(files, noise(2, count), noise(3, count), timesteps);
  }

  private String grid(Path file) throws IOException {
    Sampler.ddim(0).steps(10).with(predictor()).seed(1).sample(16).writeGrid(file);
    return "done";
  }

  private Sampler sampler() throws IOException {
    return Sampler.ddim(0).steps(STEPS).with(predictor()).seed(1);
  }

  private Predictor predictor() throws IOException {
    if (predictor == null) {
      predictor = contender.backend().predictor(files);
    }
    return predictor;
  }

  /** The most memory that the process has had, in MB. */
  private static double peakMemory() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmHWM:"))
        .mapToDouble(line -> Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024)
        .findFirst()
        .orElseThrow();
  }

  private static double timesPerSecond(double seconds, Runnable work) {
    long start = System.nanoTime();
    int times = 0;
    do {
      work.run();
      times++;
    } while (secondsSince(start) < seconds);
    return times / secondsSince(start);
  }

  private static double secondsSince(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  private static float[] noise(long seed, int count) {
    Random random = new Random(seed);
    float[] noise = new float[count * BenchmarkFiles.IMAGE];
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) random.nextGaussian();
    }
    return noise;
  }

  private static String encode(float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES);
    bytes.asFloatBuffer().put(values);
    return Base64.getEncoder().encodeToString(bytes.array());
  }

  private static int number(String word) {
    return Integer.parseInt(word);
  }

  private static double seconds(String word) {
    return Double.parseDouble(word);
  }
}

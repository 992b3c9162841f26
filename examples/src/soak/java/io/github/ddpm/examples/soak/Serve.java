package io.github.ddpm.examples.soak;

import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Samples from one model by many threads, and compares each picture with that of one thread. */
@Command(
    name = "serve",
    mixinStandardHelpOptions = true,
    description = "many threads, one model, for long")
final class Serve implements Callable<Integer> {
  /** So many different requests are made, over and over. */
  private static final int REQUESTS = 64;

  private static final double MOST_MEGABYTES_A_MINUTE = 0.1;

  @Mixin private Scratch scratch;

  @Option(names = "--threads", defaultValue = "32", description = "(${DEFAULT-VALUE})")
  private int threads;

  @Option(names = "--minutes", defaultValue = "30", description = "(${DEFAULT-VALUE})")
  private double minutes;

  Serve() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    try (Child server =
        Child.jvm(scratch.path("serve.log"), Memory.jvm("512m"), Serve.class, threads, minutes)) {
      server.rest().forEach(System.out::println);
      int code = server.exitCode(60).orElse(-1);
      server.errors().lines().forEach(System.err::println);
      return code;
    }
  }

  /**
   * Serves in a process of its own, whose memory is its own.
   *
   * @param args number of threads, minutes
   */
  public static void main(String... args)
      throws IOException, InterruptedException, ExecutionException {
    System.exit(serve(Integer.parseInt(args[0]), Double.parseDouble(args[1])));
  }

  private static int serve(int count, double minutes)
      throws IOException, InterruptedException, ExecutionException {
    Tally tally = new Tally("serve");
    AtomicLong images = new AtomicLong();
    Predictor model = Predictor.pretrained("digits", Precision.FLOAT32);
    List<Images> expected = new ArrayList<>();
    for (int i = 0; i < REQUESTS; i++) {
      expected.add(sample(model, i));
    }
    Memory memory = new Memory();
    long start = System.nanoTime();
    long end = start + Math.round(60e9 * minutes);
    ExecutorService threads = Executors.newFixedThreadPool(count);
    List<Future<?>> clients = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int first = i;
      clients.add(
          threads.submit(
              () -> {
                for (int k = first; System.nanoTime() < end; k++) {
                  images.addAndGet(ask(tally, model, expected, k % REQUESTS));
                }
              }));
    }
    threads.shutdown();
    while (System.nanoTime() < end) {
      Thread.sleep(
          Math.min(5000, Math.max(1, Duration.ofNanos(end - System.nanoTime()).toMillis())));
      memory.note((System.nanoTime() - start) / 60e9);
    }
    for (Future<?> client : clients) {
      client.get();
    }
    double elapsed = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        "serve: %d threads, %.1f minutes, %.0f images/s; anonymous memory %.1f MB at first, %.1f MB at last, slope"
            + " %.3f MB a minute after the first third; heap %.0f MB%n",
        count,
        elapsed / 60,
        images.get() / elapsed,
        memory.first(),
        memory.last(),
        memory.slope(),
        Memory.heap());
    tally.begin();
    tally.expect(
        memory.slope() < MOST_MEGABYTES_A_MINUTE, "memory", memory.slope() + " MB a minute");
    return tally.print();
  }

  private static int ask(Tally tally, Predictor model, List<Images> expected, int request) {
    String wrong = "";
    String kind = "difference";
    try {
      if (!sample(model, request).equals(expected.get(request))) {
        wrong = "request " + request + " has other pictures than by one thread";
      }
    } catch (RuntimeException | OutOfMemoryError e) {
      kind = "error";
      wrong = e.toString();
    }
    tally.add(wrong.isEmpty(), kind, wrong);
    return expected.get(request).count();
  }

  /** Requests differ in the sampler, its steps, the labels and the number of pictures. */
  private static Images sample(Predictor model, int request) {
    Sampler sampler = request % 2 == 0 ? Sampler.ddim(0.5) : Sampler.dpmSolver();
    return sampler
        .with(model)
        .steps(4 + request % 3)
        .labels(request % 10)
        .guidance(1 + request % 2)
        .seed(request)
        .sample(1 + request % 4);
  }
}

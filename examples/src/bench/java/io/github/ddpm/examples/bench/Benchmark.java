package io.github.ddpm.examples.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Times this library beside PyTorch and ONNX Runtime and prints the tables as Markdown. */
@Command(
    name = "Benchmark",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Times this library, PyTorch and ONNX Runtime in turn, with one network and one set of weights.")
public final class Benchmark implements Callable<Integer> {
  private static final List<Integer> BATCHES = List.of(1, 16, 128);
  private static final List<Integer> SAMPLES = List.of(1, 64, 512);

  /** What differs more than that from our float32 outputs is another computation. */
  private static final double FLOAT32_TOLERANCE = 1e-3;

  /** In bfloat16 numbers have 8 bits, and sampling adds up 50 outputs. */
  private static final double BFLOAT16_TOLERANCE = 0.5;

  /** Who takes longer than that many turns to warm up gets one round. */
  private static final int MOST_TURNS = 5;

  private static final String OUTSIDE = "DDIM-50, n = 64, share outside the U-Net";
  private static final String COLD_START = "JVM start to PNG of 16 images, 10 steps";

  @Option(names = "--rounds", defaultValue = "5", description = "turns that each contender gets")
  private int rounds;

  @Option(names = "--seconds", defaultValue = "2", description = "length of a turn")
  private double seconds;

  @Option(names = "--quick", description = "2 rounds of 0.5 seconds: do all contenders run?")
  private boolean quick;

  @Option(
      names = "--only",
      split = ",",
      description =
          "parts to run: training, forward, sampling, start, memory, cost; all by default")
  private List<String> only = List.of();

  @Option(
      names = "--avx2",
      description =
          "compute with AVX2 and no more, as most processors do; without ONNX Runtime, which takes the best that there is")
  private boolean avx2;

  @Option(
      names = "--out",
      defaultValue = "target/benchmark",
      description = "folder for the contenders' files and logs, and for the report")
  private Path out;

  private final Map<String, Row> rows = new LinkedHashMap<>();

  /** Why peers are left out. */
  private final Map<Contender, String> failures = new EnumMap<>(Contender.class);

  private final StringBuilder report = new StringBuilder();

  private Benchmark() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    int code =
        new CommandLine(new Benchmark())
            .setExecutionExceptionHandler(
                (e, line, result) -> {
                  if (!(e instanceof IOException)) {
                    throw e;
                  }
                  System.err.println("error: " + e.getMessage());
                  return 1;
                })
            .execute(args);
    if (code != 0) {
      System.exit(code);
    }
  }

  @Override
  public Integer call() throws IOException {
    if (quick) {
      rounds = 2;
      seconds = 0.5;
    }
    BenchmarkFiles.unpack(out);
    Map<Contender, WorkerProcess> workers = new EnumMap<>(Contender.class);
    try {
      for (Contender contender : contenders()) {
        workers.put(contender, new WorkerProcess(contender, out, avx2));
      }
      environment(workers.values());
      compareOutputs(workers);
      if (wanted("training")) {
        for (int batch : BATCHES) {
          time(workers.values(), "training, batch " + batch, "train", batch);
        }
      }
      if (wanted("forward")) {
        for (int batch : BATCHES) {
          time(workers.values(), "forward, batch " + batch, "forward", batch);
        }
      }
      if (wanted("sampling")) {
        for (int count : SAMPLES) {
          time(workers.values(), "DDIM-50, n = " + count, "sample", count);
        }
        share(workers.values());
      }
    } finally {
      workers.values().forEach(this::close);
    }
    if (wanted("start")) {
      coldStart();
    }
    if (wanted("memory")) {
      memory("training, batch 128", "train 128 0");
      memory("DDIM-50, n = 64", "sample 64 0");
    }
    for (String failure : failures.values()) {
      line("Left out: %s.", failure);
      line("");
    }
    table();
    bars();
    if (wanted("cost")) {
      cost();
    }
    Files.writeString(out.resolve("report.md"), report);
    System.out.print(report);
    return 0;
  }

  /** Closes a process, and remembers why it was left out. */
  private void close(WorkerProcess worker) {
    worker.failure().ifPresent(failure -> failures.putIfAbsent(worker.contender(), failure));
    worker.close();
  }

  private boolean wanted(String part) {
    return only.isEmpty() || only.contains(part);
  }

  /**
   * All, but for those in bfloat16 on a CPU that would have to emulate it: minutes for one step.
   */
  private List<Contender> contenders() throws IOException {
    if (avx2) {
      return List.of(Contender.OURS_FLOAT32, Contender.PYTORCH_FLOAT32);
    }
    List<String> sets = instructionSets();
    boolean bfloat16 = sets.contains("avx512_bf16") || sets.contains("amx_bf16");
    return Stream.of(Contender.values()).filter(c -> bfloat16 || !c.isBfloat16()).toList();
  }

  private static List<String> instructionSets() throws IOException {
    List<String> cpu = Files.readAllLines(Path.of("/proc/cpuinfo"));
    List<String> flags = List.of(cpuInfo(cpu, "flags").split(" "));
    return Stream.of("avx2", "avx512f", "avx512_bf16", "amx_bf16").filter(flags::contains).toList();
  }

  private void environment(Iterable<WorkerProcess> workers) throws IOException {
    List<String> versions = new ArrayList<>();
    for (WorkerProcess worker : workers) {
      worker.ask("version").filter(version -> !versions.contains(version)).ifPresent(versions::add);
    }
    List<String> cpu = Files.readAllLines(Path.of("/proc/cpuinfo"));
    line(
        "%s, %d processors, %s; Java %s, %s; %s; `mvn -q -Pbench compile exec:java%s`, %d rounds of %s s.",
        cpuInfo(cpu, "model name"),
        Runtime.getRuntime().availableProcessors(),
        String.join(" ", instructionSets()) + (avx2 ? ", of which avx2 is used" : ""),
        System.getProperty("java.version"),
        String.join(", ", versions),
        LocalDate.now(ZoneOffset.UTC),
        avx2 ? " -Dexec.args=--avx2" : "",
        rounds,
        seconds);
    line("");
  }

  private static String cpuInfo(List<String> lines, String key) {
    return lines.stream()
        .filter(line -> line.startsWith(key + "\t"))
        .map(line -> line.substring(line.indexOf(':') + 1).strip())
        .findFirst()
        .orElse("unknown");
  }

  private void compareOutputs(Map<Contender, WorkerProcess> workers) throws IOException {
    say("outputs");
    line("Largest difference of the outputs from ddpm float32:");
    line("");
    line("| | forward | loss | DDIM-50 |");
    line("|---|---|---|---|");
    WorkerProcess reference = workers.get(Contender.OURS_FLOAT32);
    float[] forward = reference.askFloats("outputs", 16).orElseThrow();
    double loss = Double.parseDouble(reference.ask("loss", 16).orElseThrow());
    float[] images = reference.askFloats("images", 4).orElseThrow();
    for (WorkerProcess worker : workers.values()) {
      Contender contender = worker.contender();
      Optional<float[]> theirForward = worker.askFloats("outputs", 16);
      if (worker == reference || theirForward.isEmpty()) {
        continue;
      }
      Optional<String> theirLoss = worker.ask("loss", 16);
      Optional<float[]> theirImages = worker.askFloats("images", 4);
      if (theirLoss.isEmpty() || theirImages.isEmpty()) {
        continue;
      }
      double[] differences = {
        difference(forward, theirForward.get()),
        Math.abs(loss - Double.parseDouble(theirLoss.get())),
        difference(images, theirImages.get())
      };
      line(
          "| %s | %.1e | %.1e | %.1e |",
          contender.title(), differences[0], differences[1], differences[2]);
      for (double difference : differences) {
        double tolerance = contender.isBfloat16() ? BFLOAT16_TOLERANCE : FLOAT32_TOLERANCE;
        if (!(difference <= tolerance)) {
          throw new IOException(
              contender.title()
                  + " computes something else: its outputs, loss and images are off by "
                  + Arrays.toString(differences)
                  + ", the most allowed is "
                  + tolerance);
        }
      }
    }
    line("");
  }

  private static double difference(float[] expected, float... actual) {
    double most = expected.length == actual.length ? 0 : Double.NaN;
    for (int i = 0; i < expected.length; i++) {
      most = Math.max(most, Math.abs(expected[i] - actual[i]));
    }
    return most;
  }

  /** Has all who can obey a command in turn, round after round. */
  private void time(Iterable<WorkerProcess> workers, String title, String command, int count)
      throws IOException {
    say(title);
    Row row = new Row(title, "images/s", true, new EnumMap<>(Contender.class));
    List<WorkerProcess> able = new ArrayList<>();
    List<WorkerProcess> slow = new ArrayList<>();
    for (WorkerProcess worker : workers) {
      // Builds and tunes; not counted.
      long start = System.nanoTime();
      if (worker.ask(command, count, seconds).isPresent()) {
        able.add(worker);
        if (secondsSince(start) > MOST_TURNS * Math.max(1, seconds)) {
          slow.add(worker);
        }
      }
    }
    for (int round = 0; round < rounds; round++) {
      for (WorkerProcess worker : able) {
        worker.ask(command, count, seconds).ifPresent(speed -> row.add(worker.contender(), speed));
      }
      able.removeAll(slow);
    }
    rows.put(title, row);
  }

  private void share(Iterable<WorkerProcess> workers) throws IOException {
    say("share outside the U-Net");
    Row row = new Row(OUTSIDE, "%", false, new EnumMap<>(Contender.class));
    for (WorkerProcess worker : workers) {
      if (worker.contender().isOurs()) {
        Optional<String> share = worker.ask("outside", 64);
        if (share.isPresent()) {
          row.add(worker.contender(), String.valueOf(100 * Double.parseDouble(share.get())));
        }
      }
    }
    rows.put(row.title(), row);
  }

  private void coldStart() throws IOException {
    say("cold start");
    Row row = new Row(COLD_START, "s", false, new EnumMap<>(Contender.class));
    for (int round = 0; round < rounds; round++) {
      for (Contender contender : contenders()) {
        long start = System.nanoTime();
        WorkerProcess worker = new WorkerProcess(contender, out, avx2);
        try {
          if (worker.ask("grid", out.resolve(contender.name() + ".png")).isPresent()) {
            row.add(contender, String.valueOf(secondsSince(start)));
          }
        } finally {
          close(worker);
        }
      }
    }
    rows.put(row.title(), row);
  }

  /** In processes that do nothing else. */
  private void memory(String title, String command) throws IOException {
    say("memory, " + title);
    Row row = new Row("peak memory, " + title, "MB", false, new EnumMap<>(Contender.class));
    for (Contender contender : contenders()) {
      WorkerProcess worker = new WorkerProcess(contender, out, avx2);
      try {
        if (worker.ask(command).isPresent()) {
          worker.ask(command);
          worker.ask(command);
          worker.ask("memory").ifPresent(memory -> row.add(contender, memory));
        }
      } finally {
        close(worker);
      }
    }
    rows.put(row.title(), row);
  }

  private void table() {
    StringBuilder head = new StringBuilder("| median | |");
    for (Contender contender : Contender.values()) {
      head.append(' ').append(contender.title()).append(" |");
    }
    line("%s best of ours / best peer |", head);
    line("|---|---|" + "---|".repeat(Contender.values().length + 1));
    for (Row row : rows.values()) {
      StringBuilder cells = new StringBuilder();
      for (Contender contender : Contender.values()) {
        cells.append(' ').append(number(row.median(contender))).append(" |");
      }
      OptionalDouble ratio = row.ratio(Contender::isOurs, contender -> !contender.isOurs());
      line("| %s | %s |%s %s |", row.title(), row.unit(), cells, number(ratio));
    }
    line("");
  }

  /** The ratios that we hold ourselves to. */
  private void bars() {
    line("| ratio (median of the rounds) | batch 1 | batch 16 | batch 128 |");
    line("|---|---|---|---|");
    bar("training", Contender::isOurs, "best ddpm", Contender.PYTORCH_FLOAT32);
    bar("training", Contender::isOurs, "best ddpm", Contender.PYTORCH_BFLOAT16);
    bar("training", Contender.OURS_FLOAT32, Contender.PYTORCH_FLOAT32);
    bar("forward", Contender.OURS_FLOAT32, Contender.ONNX_RUNTIME);
    bar("forward", Contender.OURS_BFLOAT16, Contender.ONNX_RUNTIME);
    bar("forward", Contender.OURS_BFLOAT16, Contender.PYTORCH_BFLOAT16);
    single(
        "DDIM-50, n = 1, best ddpm / ONNX Runtime float32",
        "DDIM-50, n = 1",
        Contender.ONNX_RUNTIME::equals);
    single(
        "peak training memory, ddpm / PyTorch float32",
        "peak memory, training, batch 128",
        Contender.PYTORCH_FLOAT32::equals);
    Row start = rows.get(COLD_START);
    if (start != null) {
      line(
          "| cold start of ddpm in seconds | %s | | |",
          number(start.best(Contender::isOurs).map(start::median).orElse(OptionalDouble.empty())));
    }
    line("");
  }

  private void bar(String what, Contender ours, Contender peer) {
    bar(what, ours::equals, ours.title(), peer);
  }

  private void bar(String what, Predicate<Contender> ours, String name, Contender peer) {
    StringBuilder cells = new StringBuilder();
    for (int batch : BATCHES) {
      Row row = rows.get(what + ", batch " + batch);
      cells
          .append(' ')
          .append(row == null ? "-" : number(row.ratio(ours, peer::equals)))
          .append(" |");
    }
    line("| %s, %s / %s |%s", what, name, peer.title(), cells);
  }

  private void single(String title, String rowTitle, Predicate<Contender> peer) {
    Row row = rows.get(rowTitle);
    if (row != null) {
      String value = number(row.ratio(Contender::isOurs, peer));
      line(row.higherIsBetter() ? "| %s | %s | | |" : "| %s | | | %s |", title, value);
    }
  }

  private void cost() throws IOException {
    say("cost");
    line("| ddpm float32: images | pixels | ms per image and step | ns per pixel and step |");
    line("|---|---|---|---|");
    try (WorkerProcess worker = new WorkerProcess(Contender.OURS_FLOAT32, out, avx2)) {
      for (int count : List.of(1, 8, 64, 512)) {
        cost(worker, 28, count);
      }
      for (int size : List.of(28, 32, 48, 64)) {
        cost(worker, size, 16);
      }
    }
    line("");
  }

  private void cost(WorkerProcess worker, int size, int count) throws IOException {
    double cost = Double.parseDouble(worker.ask("cost", size, count, seconds).orElseThrow());
    line(
        "| %d | %dx%d | %s | %s |",
        count,
        size,
        size,
        number(OptionalDouble.of(1e3 * cost)),
        number(OptionalDouble.of(1e9 * cost / (size * size))));
  }

  private void line(String format, Object... values) {
    report.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  /** So that whoever waits sees what for. */
  private static void say(String what) {
    System.err.println(what + " …");
  }

  private static double secondsSince(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  /** Three digits, or a dash for nothing. */
  private static String number(OptionalDouble value) {
    if (value.isEmpty()) {
      return "-";
    }
    double number = value.getAsDouble();
    int digits = number == 0 ? 0 : 2 - (int) Math.floor(Math.log10(Math.abs(number)));
    return String.format(Locale.ROOT, "%." + Math.max(0, digits) + "f", number);
  }
}

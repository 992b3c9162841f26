package io.github.ddpm.examples.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.github.ddpm.tf.TrainingOptions;
import java.io.File;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Times another commit beside what is checked out, in turns, for whoever changes a kernel: machines
 * are shared, so two runs one after the other tell little.
 */
@Command(
    name = "Compare",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description =
        "Times this library as it was at a commit and as it is now, in turns, and prints a table as Markdown.")
public final class Compare implements Callable<Integer> {
  /** What is timed: its title, and a command of {@link Worker}. */
  private record Task(String title, String command) {}

  private static final List<Task> TASKS =
      List.of(
          new Task("training, batch 128", "train 128"),
          new Task("training, batch 16", "train 16"),
          new Task("forward, batch 1", "forward 1"),
          new Task("forward, batch 128", "forward 128"),
          new Task("DDIM-50, n = 64", "sample 64"));

  @Option(names = "--base", defaultValue = "HEAD", description = "commit to compare with")
  private String base;

  @Option(names = "--rounds", defaultValue = "7", description = "turns that each of both gets")
  private int rounds;

  @Option(names = "--seconds", defaultValue = "1", description = "length of a turn")
  private double seconds;

  @Option(
      names = "--precision",
      description = "FLOAT32 or BFLOAT16; by default what this processor computes fastest in")
  private Ours precision = Ours.valueOf(TrainingOptions.defaults().precision().name());

  @Option(
      names = "--out",
      defaultValue = "target/compare",
      description = "folder for the other commit, files and logs")
  private Path out;

  private Compare() {}

  /** Run with {@code --help} for the options. */
  public static void main(String... args) {
    int code =
        new CommandLine(new Compare()).setCaseInsensitiveEnumValuesAllowed(true).execute(args);
    if (code != 0) {
      System.exit(code);
    }
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Path root = Path.of(answer(Path.of("."), "git", "rev-parse", "--show-toplevel"));
    String commit = answer(root, "git", "rev-parse", "--short", base);
    Path folder = Files.createDirectories(out.toAbsolutePath());
    Path then = folder.resolve(commit);
    if (!Files.exists(then)) {
      run(root, "git", "worktree", "add", "--detach", then.toString(), commit);
    }
    run(then, "mvn", "-q", "-B", "-ntp", "-Pbench", "compile");
    BenchmarkFiles.unpack(folder);
    Contender contender =
        precision == Ours.FLOAT32 ? Contender.OURS_FLOAT32 : Contender.OURS_BFLOAT16;
    String now = WorkerProcess.classPath();
    List<String> lines = new ArrayList<>();
    lines.add(
        "| %s, images/s, medians | %s | now | now / %s, by rounds |"
            .formatted(precision.name().toLowerCase(Locale.ROOT), commit, commit));
    lines.add("|---|---|---|---|");
    try (WorkerProcess before =
            new WorkerProcess(
                contender, folder, now.replace(root + File.separator, then + File.separator));
        WorkerProcess after = new WorkerProcess(contender, folder, now)) {
      for (Task task : TASKS) {
        System.err.println(task.title() + " …");
        lines.add(time(task, before, after));
      }
    }
    run(root, "git", "worktree", "remove", "--force", then.toString());
    lines.forEach(System.out::println);
    return 0;
  }

  /** Times both in turns, the first of which warms up, and returns a line of the table. */
  private String time(Task task, WorkerProcess before, WorkerProcess after) throws IOException {
    List<Double> then = new ArrayList<>();
    List<Double> now = new ArrayList<>();
    for (int round = 0; round <= rounds; round++) {
      double old = Double.parseDouble(before.ask(task.command(), seconds).orElseThrow());
      double young = Double.parseDouble(after.ask(task.command(), seconds).orElseThrow());
      if (round > 0) {
        then.add(old);
        now.add(young);
      }
    }
    List<Double> ratios =
        Stream.iterate(0, i -> i + 1)
            .limit(rounds)
            .map(i -> now.get(i) / then.get(i))
            .sorted()
            .toList();
    return String.format(
        Locale.ROOT,
        "| %s | %.1f | %.1f | %.3f (%.3f to %.3f) |",
        task.title(),
        median(then),
        median(now),
        median(ratios),
        ratios.get(0),
        ratios.get(rounds - 1));
  }

  private static double median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    return (sorted.get((sorted.size() - 1) / 2) + sorted.get(sorted.size() / 2)) / 2;
  }

  private static String answer(Path folder, String... command)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectError(Redirect.INHERIT)
            .start();
    String answer = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
    check(process, command);
    return answer;
  }

  private static void run(Path folder, String... command) throws IOException, InterruptedException {
    check(new ProcessBuilder(command).directory(folder.toFile()).inheritIO().start(), command);
  }

  private static void check(Process process, String... command)
      throws IOException, InterruptedException {
    if (process.waitFor() != 0) {
      throw new IOException(
          "\"%s\" ended with status %d".formatted(String.join(" ", command), process.exitValue()));
    }
  }
}

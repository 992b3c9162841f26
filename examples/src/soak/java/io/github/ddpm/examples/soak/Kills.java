package io.github.ddpm.examples.soak;

import com.google.common.collect.HashMultiset;
import com.google.common.collect.Multiset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Kills a training before each system call of a save. It is strace that kills, because it sees what
 * reaches the kernel, whoever calls it; a library to preload would miss calls within libc. Only the
 * thread that saves is traced, and from between two saves on, so that its calls are the same each
 * time; a first save that is not killed says which they are.
 */
@Command(
    name = "kills",
    mixinStandardHelpOptions = true,
    description = "SIGKILL before each system call of a save; needs strace")
final class Kills implements Callable<Integer> {
  /** The calls that open, make, write, sync, rename, link and delete files. */
  private static final String CALLS =
      "open,openat,creat,write,pwrite64,writev,pwritev,sendfile,copy_file_range,splice,fsync,"
          + "fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
          + "mkdir,mkdirat,unlink,unlinkat,rmdir,truncate,ftruncate,fallocate,chmod,fchmod,"
          + "fchmodat,utimensat";

  @Mixin private Scratch scratch;

  @Option(
      names = "--before",
      defaultValue = "3",
      description =
          "saves before the one that is killed, at least 1; from 2 on it also deletes an old one (${DEFAULT-VALUE})")
  private int before;

  @Option(
      names = "--every",
      defaultValue = "1",
      description = "tries each so many-th call that is no write (${DEFAULT-VALUE})")
  private int every;

  @Option(
      names = "--every-write",
      defaultValue = "10",
      description = "tries each so many-th write; there is one for each array (${DEFAULT-VALUE})")
  private int everyWrite;

  Kills() {}

  /** The n-th call of that name in a save. */
  private record Point(String call, int number) {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("kills");
    List<Point> points = points();
    System.out.printf("kills: a save has %d calls%n", points.size());
    int writes = 0;
    int others = 0;
    try (Undisturbed undisturbed = new Undisturbed(scratch.fresh("kills-undisturbed"))) {
      Aftermath aftermath = new Aftermath(undisturbed, scratch.path("kills-spare"));
      for (Point point : points) {
        boolean wanted =
            point.call().contains("write") ? writes++ % everyWrite == 0 : others++ % every == 0;
        if (wanted) {
          tally.begin();
          Path folder = scratch.fresh("kills");
          boolean ended =
              save(
                  folder,
                  "inject=%s:signal=SIGKILL:when=%d".formatted(point.call(), point.number()));
          tally.expect(!ended, "kill", "the save has no " + point);
          aftermath.check(tally, folder, before, before + 1L);
        }
      }
    }
    return tally.print();
  }

  /** Returns the calls of a save in order, the last of which is its answer. */
  private List<Point> points() throws IOException, InterruptedException {
    save(scratch.fresh("kills"), "trace=" + CALLS);
    Multiset<String> seen = HashMultiset.create();
    List<Point> points = new ArrayList<>();
    for (String line : Files.readAllLines(trace())) {
      Matcher call = Pattern.compile("(\\w+)\\(.*").matcher(line);
      if (call.matches()) {
        seen.add(call.group(1));
        points.add(new Point(call.group(1), seen.count(call.group(1))));
      }
    }
    return points;
  }

  private Path trace() throws IOException {
    return scratch.path("strace.txt");
  }

  /**
   * Saves under strace.
   *
   * @param rule what strace does
   * @return whether the save came to an end
   */
  private boolean save(Path folder, String rule) throws IOException, InterruptedException {
    try (Child training = TrainingChild.start("create", folder, scratch.path("kills.log"))) {
      training.send("run " + before);
      training.readUntil("=done");
      training.order("train 1");
      try (Child strace = strace(training.order("thread"), rule)) {
        Optional<String> answer = training.ask("save");
        if (answer.isPresent() && !answer.get().startsWith("=")) {
          throw new IOException("the save failed: " + answer.get());
        }
        // Leaves time to write the last line.
        strace.signal("INT");
        strace.exitCode(10);
        return answer.isPresent();
      }
    }
  }

  private Child strace(String thread, String rule) throws IOException, InterruptedException {
    List<String> command =
        List.of(
            "strace",
            "-q",
            "-p",
            thread,
            "-o",
            trace().toString(),
            "-e",
            "trace=" + CALLS,
            "-e",
            rule);
    Child strace = Child.start(scratch.path("strace.log"), command);
    Path status = Path.of("/proc", thread, "status");
    while (Files.readAllLines(status).contains("TracerPid:\t0")) {
      if (!strace.isAlive()) {
        throw new IOException("strace could not attach: " + strace.errors());
      }
      Thread.sleep(5);
    }
    // It has attached, and goes on to wait for calls.
    Thread.sleep(20);
    return strace;
  }
}

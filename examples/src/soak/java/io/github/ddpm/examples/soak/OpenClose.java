package io.github.ddpm.examples.soak;

import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Opens and closes models and trainings: what they took is given back. */
@Command(
    name = "open-close",
    mixinStandardHelpOptions = true,
    description = "many loads and closes")
final class OpenClose implements Callable<Integer> {
  /** More than that is what stays for ever, of each load. */
  private static final double MOST_KILOBYTES = 4;

  private static final int KILOBYTES_PER_MEGABYTE = 1024;

  @Mixin private Scratch scratch;

  @Option(
      names = "--loads",
      // The first thousand are compiled while they are measured.
      defaultValue = "3000",
      description = "of a model, and as many of a training (${DEFAULT-VALUE})")
  private int loads;

  OpenClose() {}

  private interface Use {
    void run() throws IOException;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Path folder = scratch.fresh("open-close");
    try (Trainer trainer = TinyTraining.create()) {
      TinyTraining.train(trainer, 1);
      trainer.save(folder);
    }
    int worst = 0;
    for (String what : List.of("model", "training")) {
      try (Child child =
          Child.jvm(
              scratch.path("open-close.log"),
              Memory.jvm("256m"),
              OpenClose.class,
              what,
              folder,
              loads)) {
        child.rest().forEach(System.out::println);
        worst = Math.max(worst, child.exitCode(60).orElse(2));
        child.errors().lines().forEach(System.err::println);
      }
    }
    return worst;
  }

  /**
   * Opens and closes in a process of its own, whose memory is its own.
   *
   * @param args {@code model} or {@code training}, folder, number of loads
   */
  public static void main(String... args) throws IOException {
    Path folder = Path.of(args[1]);
    Use use =
        args[0].equals("model")
            ? () -> TinyTraining.predict(folder)
            : () -> {
              try (Trainer trainer = Trainer.resume(folder)) {
                TinyTraining.train(trainer, 1);
              }
            };
    System.exit(openAndClose(args[0], use, Integer.parseInt(args[2])));
  }

  private static int openAndClose(String what, Use use, int loads) throws IOException {
    Tally tally = new Tally("open-close, " + what);
    Memory memory = new Memory();
    double heap = 0;
    for (int i = 0; i < loads; i++) {
      tally.begin();
      try {
        use.run();
      } catch (IOException | RuntimeException e) {
        tally.lose("load", e.toString());
      }
      if (i % Math.max(1, loads / 50) == 0) {
        heap = i < loads / 3 ? Memory.heap() : heap;
        memory.note(i);
      }
    }
    double slope = KILOBYTES_PER_MEGABYTE * memory.slope();
    System.out.printf(
        "open-close, %s: anonymous memory %.1f MB at first, %.1f MB at last, slope %.2f KB a load after the first third,"
            + " peak %.0f MB; heap %.1f MB after a third, %.1f MB at last%n",
        what, memory.first(), memory.last(), slope, Memory.peak(), heap, Memory.heap());
    tally.begin();
    tally.expect(slope < MOST_KILOBYTES, "memory", slope + " KB a load");
    return tally.print();
  }
}

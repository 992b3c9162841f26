package io.github.ddpm.examples.soak;

import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Starts two trainings in one folder, in two processes. */
@Command(name = "two", mixinStandardHelpOptions = true, description = "two trainings in one folder")
final class Two implements Callable<Integer> {
  @Mixin private Scratch scratch;

  @Option(names = "--rounds", defaultValue = "10", description = "how often (${DEFAULT-VALUE})")
  private int rounds;

  Two() {}

  private interface Attempt {
    void run() throws IOException;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("two");
    for (int i = 0; i < rounds; i++) {
      trainers(tally);
      commands(tally);
    }
    return tally.print();
  }

  private void trainers(Tally tally) throws IOException, InterruptedException {
    Path folder = scratch.fresh("two");
    try (Undisturbed undisturbed = new Undisturbed(scratch.fresh("two-undisturbed"));
        Child first = TrainingChild.start("create", folder, scratch.path("two.log"))) {
      first.order("train 1");
      first.order("save");
      tally.begin();
      refused(tally, first, () -> Trainer.resume(folder).close());
      tally.begin();
      refused(
          tally,
          first,
          () -> {
            try (Trainer second = TinyTraining.create()) {
              second.save(folder);
            }
          });
      first.order("train 1");
      first.order("save");
      first.kill();
      tally.begin();
      new Aftermath(undisturbed, scratch.path("two-spare")).check(tally, folder, 2, 2);
    }
  }

  private static void refused(Tally tally, Child first, Attempt second) {
    try {
      second.run();
      tally.lose("refusal", "the second was let in");
    } catch (IOException e) {
      tally.expect(names(e.getMessage(), first), "message", e.getMessage());
    }
  }

  private void commands(Tally tally) throws IOException, InterruptedException {
    Path folder = scratch.fresh("two");
    try (Child first = new MnistRun(scratch).start(folder, TinyTraining.STEPS)) {
      first.readUntil("Training step");
      Path log = scratch.path("two-second.log");
      for (boolean resumes : new boolean[] {false, true}) {
        tally.begin();
        MnistRun run = new MnistRun(scratch, log);
        try (Child second = resumes ? run.resume(folder) : run.start(folder, TinyTraining.STEPS)) {
          Optional<Integer> code = second.exitCode(20);
          tally.expect(code.equals(Optional.of(2)), "refusal", "the exit code is " + code);
          // A new training is told of the one that is there, by whomever it is.
          tally.expect(
              names(second.errors(), first)
                  || (!resumes && second.errors().contains("has a training in it")),
              "message",
              second.errors());
        }
      }
    }
  }

  private static boolean names(String message, Child process) {
    return message.matches("(?s).*\\b" + process.pid() + "\\b.*");
  }
}

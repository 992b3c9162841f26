package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Kills a training that saves after each step, at random, and goes on with it. */
@Command(
    name = "random-kills",
    mixinStandardHelpOptions = true,
    description = "SIGKILLs at random moments of a training")
final class RandomKills implements Callable<Integer> {
  /** A training is killed so often; then another begins. */
  private static final int KILLS_EACH = 10;

  @Mixin private Scratch scratch;

  @Option(names = "--kills", defaultValue = "200", description = "how many (${DEFAULT-VALUE})")
  private int kills;

  @Option(
      names = "--millis",
      defaultValue = "800",
      description = "longest time from the first step to a kill (${DEFAULT-VALUE})")
  private int millis;

  @Option(names = "--seed", defaultValue = "1", description = "of the moments (${DEFAULT-VALUE})")
  private long seed;

  RandomKills() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("random-kills");
    Random random = new Random(seed);
    Path folder = scratch.fresh("random-kills");
    long step = 0;
    try (Undisturbed undisturbed = new Undisturbed(scratch.fresh("random-kills-undisturbed"))) {
      Aftermath aftermath = new Aftermath(undisturbed, scratch.path("random-kills-spare"));
      for (int i = 0; i < kills; i++) {
        if (i % KILLS_EACH == 0 || step < 0) {
          folder = scratch.fresh("random-kills");
          step = 0;
        }
        tally.begin();
        long saved = killed(folder, step, random.nextInt(millis));
        step = aftermath.check(tally, folder, saved, saved + 1);
        if (step >= 0) {
          // The check has taken one step more, and saved.
          step++;
        }
      }
    }
    return tally.print();
  }

  /** Returns the last step that was said to be saved. */
  private long killed(Path folder, long step, int millis) throws IOException, InterruptedException {
    try (Child training =
        TrainingChild.start(
            step == 0 ? "create" : "resume", folder, scratch.path("random-kills.log"))) {
      training.send("run " + TinyTraining.STEPS);
      String first = training.readUntil("=");
      Thread.sleep(millis);
      training.kill();
      List<String> rest = training.rest();
      String last = rest.isEmpty() ? first : rest.get(rest.size() - 1);
      return Long.parseLong(last.substring(1));
    }
  }
}

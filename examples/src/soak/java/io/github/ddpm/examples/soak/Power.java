package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Cuts the power of the disk that a training has saved to, soon or late after that. */
@Command(
    name = "power",
    mixinStandardHelpOptions = true,
    description = "power cuts, on an ext4 in a file; needs root, mkfs.ext4 and perl")
final class Power implements Callable<Integer> {
  @Mixin private Scratch scratch;

  @Option(
      names = "--cuts",
      defaultValue = "20",
      description = "cuts while nothing is saved, and as many during saves (${DEFAULT-VALUE})")
  private int cuts;

  @Option(
      names = "--seconds",
      defaultValue = "40",
      description =
          "longest time from a save to the cut; the shortest is 0.1, the others are between (${DEFAULT-VALUE})")
  private double seconds;

  Power() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("power");
    try (Undisturbed undisturbed = new Undisturbed(scratch.fresh("power-undisturbed"))) {
      Aftermath aftermath = new Aftermath(undisturbed, scratch.path("power-spare"));
      for (int i = 0; i < cuts; i++) {
        double share = cuts == 1 ? 1 : (double) i / (cuts - 1);
        double time = 0.1 * Math.pow(seconds / 0.1, share);
        cut(tally, aftermath, time, false);
        // Saves go on for up to 2 seconds, over which the cuts are spread.
        cut(tally, aftermath, 2 * share, true);
      }
    }
    return tally.print();
  }

  private void cut(Tally tally, Aftermath aftermath, double seconds, boolean saving)
      throws IOException, InterruptedException {
    tally.begin();
    Path image = scratch.fresh("power").resolve("disk.ext4");
    Path disk = image.resolveSibling("disk");
    Commands.run("mkfs.ext4", "-q", image.toString(), "256M");
    long saved;
    try (Mount mount = Mount.image(image, disk);
        Child training =
            TrainingChild.start(
                "create", disk.resolve("model"), image.resolveSibling("training.log"))) {
      saved = train(training, mount, seconds, saving);
    }
    // Replays the journal.
    try (Mount mount = Mount.image(image, disk)) {
      aftermath.check(tally, mount.folder().resolve("model"), saved, saving ? saved + 1 : saved);
    }
    try {
      Commands.run("e2fsck", "-f", "-n", image.toString());
    } catch (IOException e) {
      tally.lose("file system", e.getMessage());
    }
  }

  /** Returns the last step that was said to be saved. */
  private static long train(Child training, Mount mount, double seconds, boolean saving)
      throws IOException, InterruptedException {
    training.send("run " + (saving ? TinyTraining.STEPS : 3));
    String last = training.readUntil(saving ? "=" : "=3");
    Thread.sleep(Math.round(1000 * seconds));
    mount.cutPower();
    training.kill();
    List<String> rest = training.rest().stream().filter(line -> line.matches("=\\d+")).toList();
    return Long.parseLong((rest.isEmpty() ? last : rest.get(rest.size() - 1)).substring(1));
  }
}

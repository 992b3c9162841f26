package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Fills the disk that trainings save to, and makes room again. */
@Command(
    name = "disk-full",
    mixinStandardHelpOptions = true,
    description = "a full disk, in memory; needs root")
final class DiskFull implements Callable<Integer> {
  @Mixin private Scratch scratch;

  @Option(
      names = "--rounds",
      defaultValue = "20",
      description =
          "how often a disk is filled, with other amounts of room left (${DEFAULT-VALUE})")
  private int rounds;

  DiskFull() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("disk-full");
    Path disk = scratch.fresh("disk-full");
    try (Undisturbed undisturbed = new Undisturbed(scratch.fresh("disk-full-undisturbed"))) {
      Aftermath aftermath = new Aftermath(undisturbed, scratch.path("disk-full-spare"));
      for (int i = 0; i < rounds; i++) {
        tally.begin();
        try (Mount mount = Mount.memory("16m", disk)) {
          training(tally, aftermath, mount.folder(), (double) i / rounds);
        }
      }
    }
    tally.begin();
    try (Mount mount = Mount.memory("16m", disk)) {
      command(tally, mount.folder());
    }
    return tally.print();
  }

  /** A save fails and says why; the old one stays; the next one works. */
  private void training(Tally tally, Aftermath aftermath, Path disk, double room)
      throws IOException, InterruptedException {
    Path folder = disk.resolve("model");
    try (Child training = TrainingChild.start("create", folder, scratch.path("disk-full.log"))) {
      training.order("train 1");
      training.order("save");
      long size = size(folder);
      training.order("train 1");
      Path filler = fill(disk, Math.round(room * size));
      String refusal = training.ask("save").orElse("=the process ended");
      if (refusal.startsWith("!")) {
        tally.expect(refusal.contains(folder.toString()), "message", "no folder in: " + refusal);
      } else {
        // So much room is enough where a save takes less than the sum of its files.
        tally.expect(refusal.equals("=2"), "training", "it said: " + refusal);
      }
      String copy = scratch.fresh("disk-full-copy").toString();
      Commands.run("cp", "-a", folder.toString(), copy);
      long saved = refusal.equals("=2") ? 2 : 1;
      aftermath.check(tally, Path.of(copy, "model"), saved, saved);
      Files.delete(filler);
      training.order("train 1");
      String later = training.ask("save").orElse("the process ended");
      tally.expect(later.equals("=3"), "next save", later);
    }
    aftermath.check(tally, folder, 3, 3);
  }

  /** The command says so, goes on, and saves again. */
  private void command(Tally tally, Path disk) throws IOException, InterruptedException {
    Path folder = disk.resolve("model");
    try (Child training =
        new MnistRun(scratch).start(folder, TinyTraining.STEPS, "--save-every", "0.02")) {
      tally.expect(
          savesAfter(training, folder, -1), "training", "no first save: " + training.errors());
      Path filler = fill(disk, 0);
      Thread.sleep(5000);
      tally.expect(training.isAlive(), "training", "it ended: " + training.errors());
      tally.expect(
          training.errors().contains(folder.toString()),
          "message",
          "it said: " + training.errors());
      long saved = MnistRun.savedStep(folder);
      Files.delete(filler);
      tally.expect(savesAfter(training, folder, saved), "next save", "none: " + training.errors());
      training.signal("TERM");
      Optional<Integer> code = training.exitCode(10);
      tally.expect(code.equals(Optional.of(0)), "training", "the exit code is " + code);
    }
  }

  /** Waits up to a minute for a save of a later step. */
  private static boolean savesAfter(Child training, Path folder, long step)
      throws IOException, InterruptedException {
    for (int i = 0; i < 600 && training.isAlive() && MnistRun.savedStep(folder) <= step; i++) {
      Thread.sleep(100);
    }
    return MnistRun.savedStep(folder) > step;
  }

  /** Fills a disk but for so many bytes. */
  private static Path fill(Path disk, long room) throws IOException {
    Path filler = disk.resolve("filler");
    long free = Files.getFileStore(disk).getUsableSpace();
    Files.write(filler, new byte[Math.toIntExact(Math.max(0, free - room))]);
    return filler;
  }

  private static long size(Path folder) throws IOException {
    long size = 0;
    for (Path file : List.of(folder.resolve("unet"), folder.resolve("training"))) {
      for (Path each : Scratch.files(file)) {
        size += Files.size(each);
      }
    }
    return size;
  }
}

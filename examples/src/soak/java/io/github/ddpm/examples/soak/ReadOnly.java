package io.github.ddpm.examples.soak;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Starts trainings whose folder can't be written to: they name it before the first step. */
@Command(
    name = "read-only",
    mixinStandardHelpOptions = true,
    description = "an --out that can't be written to; needs root")
final class ReadOnly implements Callable<Integer> {
  private static final String NO_WRITING = "r-xr-xr-x";

  @Mixin private Scratch scratch;

  ReadOnly() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("read-only");
    Path disk = scratch.fresh("read-only");
    try (Mount mount = Mount.memory("16m", disk)) {
      Files.createDirectory(disk.resolve("there"));
      mount.readOnly();
      refused(tally, disk.resolve("there"), false);
      refused(tally, disk.resolve("new"), false);
    }
    Path locked = Files.createDirectory(disk.resolve("locked"));
    Files.createDirectory(locked.resolve("there"));
    for (Path folder : new Path[] {locked.resolve("there"), locked}) {
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString(NO_WRITING));
    }
    refused(tally, locked.resolve("there"), true);
    refused(tally, locked.resolve("new"), true);
    refused(tally, Files.createFile(disk.resolve("file")), false);
    return tally.print();
  }

  /**
   * Expects a refusal.
   *
   * @param bound whether to take from root the right to write everywhere
   */
  private void refused(Tally tally, Path out, boolean bound)
      throws IOException, InterruptedException {
    tally.begin();
    MnistRun run = new MnistRun(scratch);
    try (Child training = bound ? run.startBound(out, 100) : run.start(out, 100)) {
      String first = training.readLine().orElse("");
      Optional<Integer> code = training.exitCode(60);
      tally.expect(first.isEmpty(), "start", out + " was not refused before: " + first);
      tally.expect(code.equals(Optional.of(2)), "exit code", out + ": " + code);
      tally.expect(
          training.errors().contains(out.toString()), "message", out + ": " + training.errors());
    }
  }
}

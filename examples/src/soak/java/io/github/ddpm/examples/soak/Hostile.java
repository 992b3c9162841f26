package io.github.ddpm.examples.soak;

import io.github.ddpm.tf.Trainer;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.zip.GZIPOutputStream;
import javax.imageio.ImageIO;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Reads hostile files of each kind. Each is refused by the documented exception or accepted, within
 * 10 s and 256 MB of heap; the number of a file makes it anew.
 */
@Command(
    name = "hostile",
    mixinStandardHelpOptions = true,
    description = "a million files that lie")
final class Hostile implements Callable<Integer> {
  private static final List<String> JVM =
      List.of(
          "-Xmx256m",
          "-XX:+UseSerialGC",
          "-Djava.awt.headless=true",
          "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");

  @Mixin private Scratch scratch;

  @Option(names = "--files", defaultValue = "1000000", description = "in all (${DEFAULT-VALUE})")
  private long files;

  @Option(
      names = "--kinds",
      split = ",",
      description = "of ${COMPLETION-CANDIDATES}; all by default")
  private List<HostileKind> kinds = List.of(HostileKind.values());

  @Option(names = "--seed", defaultValue = "1", description = "of the changes (${DEFAULT-VALUE})")
  private long seed;

  Hostile() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("hostile");
    Path folder = goodFiles();
    for (HostileKind kind : kinds) {
      if (kind.isIn(folder)) {
        read(tally, kind, folder);
      } else {
        System.out.printf("%s: there is no such file%n", kind);
      }
    }
    return tally.print();
  }

  private void read(Tally tally, HostileKind kind, Path folder)
      throws IOException, InterruptedException {
    long count = Math.max(1, files * kind.share() / 1000);
    Path file = kind.file(folder);
    byte[] whole = Files.readAllBytes(file);
    Path place = scratch.path("hostile-progress");
    Files.deleteIfExists(place);
    LongBuffer progress = HostileChild.progress(place);
    long start = System.nanoTime();
    long wrong = 0;
    while (progress.get(0) < count) {
      long before = progress.get(0);
      try (Child child =
          Child.jvm(
              scratch.path("hostile.log"),
              JVM,
              HostileChild.class,
              kind,
              folder,
              place,
              count,
              seed)) {
        for (Optional<String> line = child.readLine(); line.isPresent(); line = child.readLine()) {
          wrong++;
          tally.tell(kind.toString(), "file " + line.get());
        }
        int code = child.exitCode(60).orElse(-1);
        if (code != 0) {
          wrong++;
          tally.tell(
              kind.toString(),
              "file " + (progress.get(0) - 1) + " ended the JVM: " + code + " " + child.errors());
        }
      }
      Files.write(file, whole);
      if (progress.get(0) == before) {
        throw new IOException("no " + kind + " was tried: see " + scratch.path("hostile.log"));
      }
    }
    tally.addAll(count, wrong);
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        "%s: %d files, %d refused, %d accepted, %d otherwise; %.0f a second%n",
        kind, count, progress.get(2), progress.get(1), wrong, count / seconds);
  }

  /** Makes the files to begin with. */
  private Path goodFiles() throws IOException {
    Path folder = scratch.fresh("hostile");
    Path saved = folder.resolve("saved");
    try (Trainer trainer = TinyTraining.create()) {
      TinyTraining.train(trainer, 1);
      trainer.save(saved);
    }
    // As diffusers would save it: nothing says what the files must be.
    for (Path file : Scratch.files(saved)) {
      String name = saved.relativize(file).toString();
      if (Saved.MODEL.contains(name) || name.startsWith("training/")) {
        Files.createDirectories(folder.resolve(name).getParent());
        Files.copy(file, folder.resolve(name));
      }
    }
    Path pickle = folder.resolve("pickle/weights.bin");
    Files.createDirectories(pickle.getParent());
    Files.write(pickle, PickleFile.good());
    picture(folder.resolve("picture.png"), "png");
    picture(folder.resolve("pictures/picture.png"), "png");
    picture(folder.resolve("photos/picture.jpg"), "jpg");
    gzip(TinyTraining.writeMnist(folder.resolve("mnist")));
    gzip(TinyTraining.writeMnist(folder.resolve("mnist-2")));
    return folder;
  }

  private static void picture(Path file, String format) throws IOException {
    Files.createDirectories(file.getParent());
    BufferedImage picture = new BufferedImage(24, 16, BufferedImage.TYPE_INT_RGB);
    Random random = new Random(1);
    for (int i = 0; i < 24 * 16; i++) {
      picture.setRGB(i % 24, i / 24, random.nextInt());
    }
    if (!ImageIO.write(picture, format, file.toFile())) {
      throw new IOException("this Java runtime writes no " + format);
    }
  }

  private static void gzip(Path folder) throws IOException {
    for (Path file : Scratch.files(folder)) {
      try (OutputStream out =
          new GZIPOutputStream(Files.newOutputStream(folder.resolve(file.getFileName() + ".gz")))) {
        Files.copy(file, out);
      }
      Files.delete(file);
    }
  }
}

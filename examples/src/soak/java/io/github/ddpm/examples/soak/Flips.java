package io.github.ddpm.examples.soak;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Flips one bit of a file of a saved training, resumes and loads, and flips it back; in each file
 * at many places.
 */
@Command(
    name = "flips",
    mixinStandardHelpOptions = true,
    description = "one flipped bit, in each file of a saved training")
final class Flips implements Callable<Integer> {
  /** These belong to no save. */
  private static final List<String> BESIDE = List.of("loss.csv", "loss.png", "samples/step-2.png");

  @Mixin private Scratch scratch;

  @Option(
      names = "--places",
      defaultValue = "200",
      description = "places in each file (${DEFAULT-VALUE})")
  private int places;

  @Option(
      names = "--files",
      defaultValue = ".*",
      description = "expression for the names of the files to try (${DEFAULT-VALUE})")
  private String files;

  @Option(names = "--seed", defaultValue = "1", description = "of the places (${DEFAULT-VALUE})")
  private long seed;

  private Random random;
  private Saved older;
  private Saved newest;

  Flips() {}

  /** What became of a flip. */
  private enum Outcome {
    REFUSED,
    OLDER_AND_SAID,
    SAME_AND_SAID,
    SAME,
    SILENT,
    OTHER_EXCEPTION
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("flips");
    random = new Random(seed);
    Path folder = scratch.fresh("flips");
    try (Undisturbed undisturbed = new Undisturbed(scratch.path("flips-undisturbed"));
        Trainer trainer = TinyTraining.create()) {
      older = undisturbed.at(1);
      newest = undisturbed.at(2);
      for (int i = 0; i < 2; i++) {
        TinyTraining.train(trainer, 1);
        trainer.save(folder);
      }
    }
    for (String name : BESIDE) {
      Files.createDirectories(folder.resolve(name).getParent());
      Files.writeString(folder.resolve(name), name.repeat(20));
    }
    System.out.println("files as they were saved, changed in place:");
    flip(tally, folder);
    // Copies share nothing: a file of the root is no longer the one of its save.
    Path split = scratch.path("flips-split");
    Scratch.delete(split);
    Commands.run("cp", "-r", "--no-preserve=links", folder.toString(), split.toString());
    System.out.println("each file a copy:");
    flip(tally, split);
    return tally.print();
  }

  /** Flips bits of each file, but only once of one that has two names. */
  private void flip(Tally tally, Path folder) throws IOException {
    Set<Object> done = new HashSet<>();
    for (Path file : Scratch.files(folder)) {
      if (Files.size(file) == 0
          || !folder.relativize(file).toString().matches(files)
          || !done.add(Files.getAttribute(file, "unix:ino"))) {
        continue;
      }
      Map<Outcome, Integer> resumed = new EnumMap<>(Outcome.class);
      Map<Outcome, Integer> loaded = new EnumMap<>(Outcome.class);
      for (int i = 0; i < places; i++) {
        tally.begin();
        flip(tally, folder, file, resumed, loaded);
      }
      System.out.printf(
          "%s: %d flipped, resumed %s, loaded %s%n",
          folder.relativize(file), places, resumed, loaded);
    }
  }

  private void flip(
      Tally tally,
      Path folder,
      Path file,
      Map<Outcome, Integer> resumes,
      Map<Outcome, Integer> loads)
      throws IOException {
    String name = folder.relativize(file).toString();
    byte[] bytes = Files.readAllBytes(file);
    int place = random.nextInt(bytes.length);
    int bit = 1 << random.nextInt(8);
    boolean beside = BESIDE.contains(name) || name.equals(".lock");
    bytes[place] ^= (byte) bit;
    Files.write(file, bytes, StandardOpenOption.WRITE);
    try {
      Outcome resumed = resumed(folder);
      Outcome loaded = loaded(folder);
      resumes.merge(resumed, 1, Integer::sum);
      loads.merge(loaded, 1, Integer::sum);
      Outcome worst = resumed.compareTo(loaded) > 0 ? resumed : loaded;
      boolean lost =
          worst.compareTo(Outcome.SILENT) >= 0
              || (beside && (resumed != Outcome.SAME || loaded != Outcome.SAME));
      tally.expect(
          !lost,
          beside ? "cost of a file beside" : worst.toString(),
          "%s, bit %d of byte %d: resumed %s, loaded %s"
              .formatted(name, bit, place, resumed, loaded));
    } finally {
      bytes[place] ^= (byte) bit;
      Files.write(file, bytes, StandardOpenOption.WRITE);
    }
  }

  private Outcome resumed(Path folder) throws IOException {
    try (Said said = new Said()) {
      Saved found;
      try (Trainer trainer = Trainer.resume(folder)) {
        found = Saved.of(trainer, scratch.path("flips-spare"));
      } catch (IOException e) {
        return refused(e, folder);
      } catch (RuntimeException e) {
        System.err.println("flips: " + e);
        return Outcome.OTHER_EXCEPTION;
      }
      return outcome(found.equals(newest), found.equals(older), said.anything());
    }
  }

  private Outcome loaded(Path folder) throws IOException {
    try (Said said = new Said()) {
      Prediction found;
      try (Predictor model = Predictor.load(folder, Precision.FLOAT32)) {
        found = TinyTraining.predict(model);
      } catch (IOException e) {
        return refused(e, folder);
      } catch (RuntimeException e) {
        System.err.println("flips: " + e);
        return Outcome.OTHER_EXCEPTION;
      }
      return outcome(
          found.equals(newest.prediction()), found.equals(older.prediction()), said.anything());
    }
  }

  private static Outcome refused(IOException e, Path folder) {
    if (String.valueOf(e.getMessage()).contains(folder + "/")) {
      return Outcome.REFUSED;
    }
    System.err.println("flips: no file is named by " + e);
    return Outcome.OTHER_EXCEPTION;
  }

  private static Outcome outcome(boolean newest, boolean older, boolean said) {
    if (newest) {
      return said ? Outcome.SAME_AND_SAID : Outcome.SAME;
    }
    return older && said ? Outcome.OLDER_AND_SAID : Outcome.SILENT;
  }
}

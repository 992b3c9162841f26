package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.google.common.collect.Iterables;
import io.github.ddpm.tf.Fixtures;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.text.MessageFormat;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.ndarray.Shape;

/** Each save here is a number, which every file of it tells. */
class SaveFolderTest {
  private static final String WEIGHTS = "unet/" + WeightFiles.NAME;
  private static final String STATE = "training/state.json";

  /** The files of a save. */
  private static final List<String> FILES =
      List.of(
          "model_index.json",
          "unet/config.json",
          WEIGHTS,
          "scheduler/scheduler_config.json",
          STATE);

  private static ModelConfig config;

  @TempDir private Path folder;

  @BeforeAll
  static void readAConfiguration() throws IOException {
    try (ModelFolder model = ModelFolder.read(Fixtures.path("golden/unet-padding0"))) {
      config = model.config();
    }
  }

  private static Map<String, SaveFolder.Content> model(int number) {
    ModelConfig numbered =
        new ModelConfig(
            config.network(),
            config.info().withSpacingExponent(1 - number / 100.0),
            PipelineScheduler.DEFAULT);
    Map<String, Weight> weights =
        Map.of("w", new Weight(Shape.of(1), FloatBuffer.wrap(new float[] {number})));
    return ModelFolder.parts(numbered, weights, DType.F32);
  }

  private static void save(Path folder, int number, int keep) throws IOException {
    Map<String, SaveFolder.Content> parts = new LinkedHashMap<>(model(number));
    parts.put(
        SaveFolder.TRAINING,
        part -> {
          Files.createDirectory(part);
          Json.write(part.resolve("state.json"), Json.object().put("step", number));
        });
    try (SaveFolder saves = SaveFolder.take(folder)) {
      saves.save(parts, 1000, keep);
    }
  }

  private static void saveModel(Path folder, int number) throws IOException {
    try (SaveFolder saves = SaveFolder.take(folder)) {
      saves.save(model(number), 1000, 0);
    }
  }

  /** Reads the number of a save, and fails if its files don't tell the same. */
  private static int read(Path folder) throws IOException {
    try (ModelFolder model = ModelFolder.read(Snapshot.ofTraining(folder))) {
      int number = number(model);
      assertThat(Json.read(model.files(), STATE).get("step").intValue()).isEqualTo(number);
      return number;
    }
  }

  private static int readModel(Path folder) throws IOException {
    try (ModelFolder model = ModelFolder.read(folder)) {
      return number(model);
    }
  }

  private static int number(ModelFolder model) throws IOException {
    List<Float> weights = new ArrayList<>();
    model.weights().forEach(weight -> weights.add(weight.values().get(0)));
    int number = (int) Math.round(100 * (1 - model.config().info().spacingExponent()));
    assertThat(weights).containsExactly((float) number);
    return number;
  }

  /** Reads what diffusers would, and fails if a file is missing or torn. */
  private static int readAsDiffusers(Path folder) throws IOException {
    Json.read(folder.resolve("model_index.json"));
    Json.read(folder.resolve("unet/config.json"));
    Json.read(folder.resolve("scheduler/scheduler_config.json"));
    return Math.round(SafeTensors.read(folder.resolve(WEIGHTS)).get("w").values().get(0));
  }

  @Test
  void theFilesOfDiffusersAreThoseOfTheNewestSave() throws IOException {
    for (int number = 1; number <= 4; number++) {
      save(folder, number, 2);
      assertThat(read(folder)).isEqualTo(number);
      assertThat(readModel(folder)).isEqualTo(number);
      assertThat(readAsDiffusers(folder)).isEqualTo(number);
    }
    assertThat(names(folder.resolve("saves"))).containsExactlyInAnyOrder(".lock", "3", "4");
    assertThat(names(folder))
        .containsExactlyInAnyOrder(
            "model_index.json", "unet", "scheduler", "training", "SHA256SUMS", "saves");
    for (String file : Iterables.concat(FILES, List.of("SHA256SUMS"))) {
      assertThat(folder.resolve(file)).hasSameBinaryContentAs(folder.resolve("saves/4/" + file));
    }
  }

  @Test
  void theListOfChecksumsIsWhatSha256sumReads() throws Exception {
    save(folder, 1, 1);
    assertThat(Files.readAllLines(folder.resolve("SHA256SUMS"))).hasSize(5);
    Process check;
    try {
      check =
          new ProcessBuilder("sha256sum", "-c", "SHA256SUMS").directory(folder.toFile()).start();
    } catch (IOException e) {
      assumeThat(e).as("sha256sum").isNull();
      return;
    }
    assertThat(new String(check.getInputStream().readAllBytes(), UTF_8))
        .isEqualTo(
            "model_index.json: OK\nscheduler/scheduler_config.json: OK\ntraining/state.json: OK\n"
                + "unet/config.json: OK\n"
                + WEIGHTS
                + ": OK\n");
  }

  @Test
  void aModelAloneLeavesNothingButItsFiles() throws IOException {
    saveModel(folder, 1);
    saveModel(folder, 2);
    assertThat(readModel(folder)).isEqualTo(2);
    assertThat(names(folder))
        .containsExactlyInAnyOrder("model_index.json", "unet", "scheduler", "SHA256SUMS");
  }

  @Test
  void aModelInTheFolderOfATrainingLeavesTheTraining() throws IOException {
    save(folder, 1, 2);
    saveModel(folder, 2);
    assertThat(readModel(folder)).isEqualTo(2);
    try (Snapshot files = Snapshot.ofTraining(folder)) {
      assertThat(Json.read(files, STATE).get("step").intValue()).isEqualTo(1);
    }
    assertThat(folder.resolve("saves/1")).exists();
    Fixtures.unseal(folder);
    saveModel(folder, 3);
    assertThat(readModel(folder)).isEqualTo(3);
    assertThat(Json.read(folder.resolve(STATE)).get("step").intValue()).isEqualTo(1);
  }

  @Test
  void filesOfAnotherFormOfTheModelGo() throws IOException {
    Files.createDirectories(folder.resolve("unet"));
    Files.writeString(folder.resolve("unet/" + WeightFiles.NAME + ".index.json"), "{}");
    saveModel(folder, 1);
    assertThat(names(folder.resolve("unet")))
        .containsExactlyInAnyOrder("config.json", WeightFiles.NAME);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aKillAtAnyPointCostsNothing(boolean training) throws IOException {
    int points = 0;
    for (boolean done = false; !done; points++) {
      Path out = folder.resolve(String.valueOf(points));
      save(out, 1, training);
      try {
        save(new FaultyDisk(points).path(out), 2, training);
        done = true;
      } catch (FaultyDisk.Killed e) {
        // As it was meant.
      }
      int found = training ? read(out) : readModel(out);
      assertThat(found).as("point %s", points).isBetween(1, 2);
      assertThat(readAsDiffusers(out)).isBetween(1, found);
      // Whoever has the folder next ends what was begun.
      SaveFolder.take(out).close();
      assertThat(readAsDiffusers(out)).isEqualTo(found);
      save(out, 3, training);
      assertThat(training ? read(out) : readModel(out)).isEqualTo(3);
      assertThat(readAsDiffusers(out)).isEqualTo(3);
      if (training) {
        assertThat(names(out.resolve("saves"))).hasSize(3).contains(".lock");
      } else {
        assertThat(out.resolve("saves")).doesNotExist();
      }
    }
    assertThat(points).isGreaterThan(50);
  }

  private static void save(Path folder, int number, boolean training) throws IOException {
    if (training) {
      save(folder, number, 2);
    } else {
      saveModel(folder, number);
    }
  }

  @Test
  void aKillAtAnyPointOfTheFirstSaveLeavesAFolderToSaveTo() throws IOException {
    for (int point = 0; ; point++) {
      Path out = folder.resolve(String.valueOf(point));
      try {
        save(new FaultyDisk(point).path(out), 1, 2);
        assertThat(point).isGreaterThan(50);
        return;
      } catch (FaultyDisk.Killed e) {
        save(out, 2, 2);
        assertThat(read(out)).isEqualTo(2);
      }
    }
  }

  @Test
  void allIsOnTheDeviceBeforeItIsTheNewest() throws IOException {
    FaultyDisk disk = new FaultyDisk(Integer.MAX_VALUE);
    List<Path> moves = new ArrayList<>();
    disk.beforeMove(
        to -> {
          moves.add(to);
          if (to.equals(folder.resolve("out/saves/1"))) {
            // But for the folder that has the name of the save in the making.
            assertThat(disk.unsynced()).containsOnly(folder.resolve("out/saves"));
          } else {
            assertThat(disk.unsynced()).doesNotContain(folder.resolve("out/saves/1"));
          }
        });
    save(disk.path(folder.resolve("out")), 1, 2);
    assertThat(moves.get(0)).isEqualTo(folder.resolve("out/saves/1"));
    assertThat(disk.changes()).contains("sync " + folder);
    assertThat(disk.unsynced()).containsOnly(folder.resolve("out/saves"));
  }

  @Test
  void whatIsDamagedIsNamedAndTheSaveBeforeIsRead() throws Exception {
    for (String file : Iterables.concat(FILES, List.of("SHA256SUMS"))) {
      Path out = folder.resolve(file.replace('/', '-'));
      save(out, 1, 2);
      save(out, 2, 2);
      Path damaged = out.resolve("saves/2").resolve(file);
      for (int at = 0; at < Files.size(damaged); at += 101) {
        flip(damaged, at);
        List<String> lines = new ArrayList<>();
        assertThat(logged(() -> read(out), lines)).isEqualTo(1);
        assertThat(lines).singleElement().asString().contains(out + "/saves/2/");
        flip(damaged, at);
      }
      List<String> lines = new ArrayList<>();
      assertThat(logged(() -> read(out), lines)).isEqualTo(2);
      assertThat(lines).isEmpty();
    }
  }

  @Test
  void whereNoSaveIsWholeAllDamageIsNamed() throws IOException {
    save(folder, 1, 2);
    save(folder, 2, 2);
    flip(folder.resolve("saves/1/" + WEIGHTS), 3);
    flip(folder.resolve("saves/2/" + STATE), 3);
    assertThatThrownBy(() -> read(folder))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(
            "saves/1/" + WEIGHTS + ": damaged, its SHA-256 is not that of SHA256SUMS")
        .hasMessageContaining(
            "saves/2/" + STATE + ": damaged, its SHA-256 is not that of SHA256SUMS");
    // A model needs no training.
    assertThat(readModel(folder)).isEqualTo(2);
  }

  @Test
  void aModelAloneThatIsDamagedIsRefusedUnlessItIsNotToBeChecked() throws IOException {
    saveModel(folder, 1);
    flip(folder.resolve(WEIGHTS), (int) Files.size(folder.resolve(WEIGHTS)) - 1);
    assertThatThrownBy(() -> readModel(folder))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "%s: damaged, its SHA-256 is not that of SHA256SUMS; to load files that were changed on purpose, delete %s",
            folder.resolve(WEIGHTS), folder.resolve("SHA256SUMS"));
    System.setProperty("io.github.ddpm.tf.checksums", "false");
    try (ModelFolder model = ModelFolder.read(folder)) {
      assertThat(model.config().info().spacingExponent()).isEqualTo(0.99);
    } finally {
      System.clearProperty("io.github.ddpm.tf.checksums");
    }
    Files.delete(folder.resolve("SHA256SUMS"));
    ModelFolder.read(folder).close();
  }

  @Test
  void aDamagedSaveIsNotAmongThoseThatAreKept() throws IOException {
    save(folder, 1, 2);
    save(folder, 2, 2);
    flip(folder.resolve("saves/2/" + STATE), 3);
    save(folder, 3, 2);
    assertThat(names(folder.resolve("saves"))).containsExactlyInAnyOrder(".lock", "1", "3");
  }

  @Test
  void filesThatCameFromElsewhereAreNotReadInSilence() throws Exception {
    save(folder, 1, 2);
    Path other = Files.createDirectory(folder.resolve("other"));
    saveModel(other, 7);
    Files.copy(other.resolve(WEIGHTS), folder.resolve(WEIGHTS + ".new"));
    Files.move(
        folder.resolve(WEIGHTS + ".new"),
        folder.resolve(WEIGHTS),
        StandardCopyOption.REPLACE_EXISTING);
    List<String> lines = new ArrayList<>();
    assertThat(logged(() -> readModel(folder), lines)).isEqualTo(1);
    assertThat(lines)
        .singleElement()
        .asString()
        .startsWith(folder.resolve(WEIGHTS) + " is not what was saved: ")
        .contains("saves/1/" + WEIGHTS + " is read instead");
  }

  @Test
  void aFolderThatWasCopiedReadsAlike() throws Exception {
    save(folder.resolve("a"), 1, 2);
    save(folder.resolve("a"), 2, 2);
    try (Stream<Path> files = Files.walk(folder.resolve("a"))) {
      for (Path file : files.toList()) {
        Files.copy(
            file, folder.resolve("b").resolve(folder.resolve("a").relativize(file).toString()));
      }
    }
    List<String> lines = new ArrayList<>();
    assertThat(logged(() -> read(folder.resolve("b")), lines)).isEqualTo(2);
    assertThat(lines).isEmpty();
    save(folder.resolve("b"), 3, 2);
    assertThat(read(folder.resolve("b"))).isEqualTo(3);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void readersMeanwhileSeeOneSaveEach(boolean training) throws Exception {
    save(folder, 1, training);
    List<String> lines = Collections.synchronizedList(new ArrayList<>());
    logged(() -> saveAndRead(training), lines);
    assertThat(lines).isEmpty();
  }

  private int saveAndRead(boolean training) throws Exception {
    AtomicBoolean done = new AtomicBoolean();
    ExecutorService readers = Executors.newFixedThreadPool(2);
    try {
      List<Future<Integer>> counts = new ArrayList<>();
      for (int reader = 0; reader < 2; reader++) {
        counts.add(
            readers.submit(
                () -> {
                  int last = 1;
                  int reads = 0;
                  for (; !done.get(); reads++) {
                    int now = training ? read(folder) : readModel(folder);
                    assertThat(now).isGreaterThanOrEqualTo(last);
                    last = now;
                  }
                  return reads;
                }));
      }
      for (int number = 2; number <= 60; number++) {
        save(folder, number, training);
      }
      done.set(true);
      for (Future<Integer> count : counts) {
        assertThat(count.get()).isGreaterThan(10);
      }
      return counts.size();
    } finally {
      done.set(true);
      readers.shutdown();
    }
  }

  @Test
  void aSecondHolderOfThisProcessIsRefused() throws IOException {
    try (SaveFolder first = SaveFolder.take(folder)) {
      assertThat(first.is(folder)).isTrue();
      assertThatThrownBy(() -> SaveFolder.take(folder))
          .isInstanceOf(IOException.class)
          .hasMessage(folder + ": another training of this process saves here until it is closed");
    }
    SaveFolder.take(folder).close();
    assertThat(names(folder)).isEmpty();
  }

  @Test
  void aSecondProcessIsRefusedByTheNumberOfTheFirst() throws Exception {
    Process other =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Holder.class.getName(),
                folder.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try {
      assertThat(other.getInputStream().read()).isEqualTo('h');
      assertThatThrownBy(() -> SaveFolder.take(folder))
          .isInstanceOf(IOException.class)
          .hasMessage(
              "%s: process %s trains or saves here; wait for it, or choose another folder",
              folder, other.pid());
    } finally {
      other.destroyForcibly().waitFor();
    }
    SaveFolder.take(folder).close();
  }

  /** A process that has the folder until it is killed. */
  static final class Holder {
    public static void main(String[] args) throws Exception {
      try (SaveFolder taken = SaveFolder.take(Path.of(args[0]))) {
        System.out.print(taken.is(Path.of(args[0])) ? "h" : "");
        System.out.flush();
        Thread.sleep(600_000);
      }
    }
  }

  @Test
  void aFullDeviceIsNamedBeforeAnythingIsWritten() throws IOException {
    save(folder, 1, 2);
    try (SaveFolder saves = SaveFolder.take(folder)) {
      assertThatThrownBy(() -> saves.save(model(2), Long.MAX_VALUE / 2, 2))
          .isInstanceOf(IOException.class)
          .hasMessageMatching(
              Pattern.quote(folder.toString())
                  + ": a save takes \\d+\\.\\d MB, and \\d+\\.\\d MB are free");
    }
    assertThat(read(folder)).isEqualTo(1);
  }

  @Test
  void whatFailsLeavesTheSaveBefore() throws IOException {
    save(folder, 1, 2);
    try (SaveFolder saves = SaveFolder.take(folder)) {
      Map<String, SaveFolder.Content> parts = new LinkedHashMap<>(model(2));
      parts.put(
          SaveFolder.TRAINING,
          part -> {
            throw new IOException("no space left");
          });
      assertThatThrownBy(() -> saves.save(parts, 1000, 2)).hasMessage("no space left");
    }
    assertThat(read(folder)).isEqualTo(1);
    assertThat(names(folder.resolve("saves"))).containsExactlyInAnyOrder(".lock", "1");
  }

  @Test
  void aListWithoutLinesIsNamed() throws IOException {
    saveModel(folder, 1);
    Path list = folder.resolve("SHA256SUMS");
    Files.write(list, new byte[0]);
    assertThatThrownBy(() -> readModel(folder)).hasMessageStartingWith(list + ": names no file; ");
    assertThatThrownBy(() -> read(folder)).hasMessageStartingWith(list + ": names no file; ");
    Files.write(list, new byte[100_001]);
    assertThatThrownBy(() -> readModel(folder))
        .hasMessage(list + ": must be a file of at most 100000 bytes");
    Files.writeString(list, "0".repeat(64) + "  " + "x".repeat(101) + "\n");
    assertThatThrownBy(() -> readModel(folder))
        .hasMessageStartingWith(list + ": not lines of SHA-256 and a name; ");
  }

  @Test
  void whatSomebodyElseCallsSavesStays() throws IOException {
    Path notes = Files.createDirectories(folder.resolve("saves/2023")).resolve("notes.txt");
    Files.writeString(notes, "mine");
    Path git = Files.createDirectories(folder.resolve("saves/.git"));
    saveModel(folder, 1);
    Files.delete(folder.resolve("SHA256SUMS"));
    assertThat(readModel(folder)).isEqualTo(1);
    save(folder, 2, 1);
    save(folder, 3, 1);
    assertThat(read(folder)).isEqualTo(3);
    assertThat(notes).hasContent("mine");
    assertThat(git).exists();
  }

  @Test
  void aSaveIsMadeEvenWhereDiffusersCantReadIt() throws Exception {
    Files.writeString(folder.resolve("unet"), "in the way");
    List<String> lines = new ArrayList<>();
    logged(SaveFolder.class, () -> saved(1), lines);
    assertThat(read(folder)).isEqualTo(1);
    logged(SaveFolder.class, () -> saved(2), lines);
    logged(SaveFolder.class, () -> saved(3), lines);
    assertThat(read(folder)).isEqualTo(3);
    assertThat(names(folder.resolve("saves"))).containsExactlyInAnyOrder(".lock", "2", "3");
    assertThat(lines.get(0))
        .startsWith(
            folder + "/saves/1 is saved, but diffusers still reads older files beside it: ");
    Files.delete(folder.resolve("unet"));
    SaveFolder.take(folder).close();
    assertThat(readAsDiffusers(folder)).isEqualTo(3);
  }

  private int saved(int number) throws IOException {
    save(folder, number, 2);
    return number;
  }

  @Test
  void anInterruptIsNoDamage() throws IOException {
    save(folder, 1, 2);
    Thread.currentThread().interrupt();
    assertThatThrownBy(() -> read(folder)).isInstanceOf(ClosedByInterruptException.class);
    assertThat(Thread.interrupted()).isTrue();
    assertThat(read(folder)).isEqualTo(1);
  }

  @Test
  void aModelAloneTakesNoSaveOfATrainingAway() throws IOException {
    for (int number = 1; number <= 4; number++) {
      save(folder, number, 10);
    }
    saveModel(folder, 5);
    assertThat(names(folder.resolve("saves"))).contains("1", "2", "3", "4");
    assertThat(readModel(folder)).isEqualTo(5);
  }

  @Test
  void aFolderThatWasMovedAwayIsNoLongerOurs() throws IOException {
    Path out = folder.resolve("out");
    save(out, 1, 2);
    try (SaveFolder first = SaveFolder.take(out)) {
      Files.move(out, folder.resolve("moved"));
      try (SaveFolder second = SaveFolder.take(out)) {
        assertThatThrownBy(() -> first.save(model(2), 1000, 2))
            .isInstanceOf(IOException.class)
            .hasMessageContaining("another training of this process saves here");
        second.save(model(3), 1000, 2);
      }
      first.save(model(4), 1000, 2);
      assertThat(readModel(out)).isEqualTo(4);
    }
    assertThat(read(folder.resolve("moved"))).isEqualTo(1);
  }

  private static void flip(Path file, int at) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[at] ^= 4;
    Files.write(file, bytes);
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  private interface Reader {
    int read() throws Exception;
  }

  private static int logged(Reader reader, List<String> lines) throws Exception {
    return logged(Snapshot.class, reader, lines);
  }

  private static int logged(Class<?> type, Reader reader, List<String> lines) throws Exception {
    Logger logger = Logger.getLogger(type.getName());
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord line) {
            lines.add(MessageFormat.format(line.getMessage(), line.getParameters()));
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    logger.addHandler(handler);
    logger.setUseParentHandlers(false);
    try {
      return reader.read();
    } finally {
      logger.removeHandler(handler);
      logger.setUseParentHandlers(true);
    }
  }
}

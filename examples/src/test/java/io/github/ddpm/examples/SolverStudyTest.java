package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.CommandsTest.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The study, of a few digits and on a set of stripes. */
class SolverStudyTest {
  @TempDir Path folder;

  private Path out;

  @BeforeEach
  void makeASet() throws IOException {
    CommandsTest.writeDigits(folder, "train", 20, 28);
    CommandsTest.writeDigits(folder, "t10k", 20, 28);
    out = folder.resolve("out");
  }

  @Test
  void thePageHasALineForEachSolver() throws IOException {
    Outcome outcome = study();
    assertThat(outcome.code()).as(outcome.err()).isZero();
    String page = Files.readString(out.resolve("solvers.md"));
    List<String> lines = page.lines().filter(line -> line.startsWith("| ")).toList();
    // Euler's method is DDIM, and Heun's has two lines.
    assertThat(lines).hasSize(1 + Samplers.ALL.size());
    assertThat(lines).allMatch(line -> line.split("\\|", -1).length == 5, "of 3 columns");
    assertThat(lines.get(0)).isEqualTo("| steps | 4 | 5 |");
    assertThat(page).contains("](solvers.png)").doesNotContain("NaN");
    assertThat(ImageIO.read(out.resolve("solvers.png").toFile())).isNotNull();
    StudyCurves curves = StudyCurves.in(out).get(0);
    assertThat(curves.images()).isEqualTo(4);
    assertThat(curves.distances()).hasSize(Samplers.ALL.size()).containsKey(StudyCurves.USUAL);
    for (int i = 1; i < lines.size(); i++) {
      String name = lines.get(i).split("\\|", -1)[1].strip();
      SortedMap<Integer, Double> curve = curves.distances().get(name);
      assertThat(lines.get(i))
          .isEqualTo(Commands.format("| %s | %.2f | %.2f |", name, curve.get(4), curve.get(5)));
    }
  }

  @Test
  void anInterruptedStudyGoesOnAndGivesTheSamePage() throws IOException {
    assertThat(study().code()).isZero();
    String page = Files.readString(out.resolve("solvers.md"));
    SortedMap<Path, FileTime> before = cells();
    assertThat(before).hasSize(2 * Samplers.ALL.size());
    Path lost = before.firstKey();
    Files.delete(lost);
    Outcome again = study();
    assertThat(again.code()).as(again.err()).isZero();
    SortedMap<Path, FileTime> after = cells();
    assertThat(after).containsOnlyKeys(before.keySet());
    before.remove(lost);
    assertThat(after).as("what was there is not made again").containsAllEntriesOf(before);
    assertThat(out.resolve("solvers.md")).hasContent(page);

    assertError(study("--seed=1"), "another seed, other data or another classifier");
    Files.writeString(lost, "{");
    assertError(study(), lost + ": remove it to have it made again");
  }

  @Test
  void badInputIsNamed() {
    assertError(
        run(new SolverStudy(), "--data=" + folder, "--out=" + out, "--count=21"),
        "--count must be in [4, 20], got 21");
    assertThat(out).doesNotExist();
  }

  private Outcome study(String... options) {
    String all = "--data=" + folder + " --out=" + out + " --count=4 " + String.join(" ", options);
    return run(new SolverStudy(List.of(4, 5)), all.strip().split(" "));
  }

  private SortedMap<Path, FileTime> cells() throws IOException {
    SortedMap<Path, FileTime> cells = new TreeMap<>();
    try (Stream<Path> files = Files.list(out.resolve("solvers/cells"))) {
      for (Path file : files.toList()) {
        cells.put(file, Files.getLastModifiedTime(file));
      }
    }
    return cells;
  }
}

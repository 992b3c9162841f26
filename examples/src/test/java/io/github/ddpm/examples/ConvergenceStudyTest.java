package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.examples.CommandsTest.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The study of exact solutions, whole. */
class ConvergenceStudyTest {
  @TempDir Path folder;

  @Test
  void thePageHasALineForEachSolver() throws IOException {
    Outcome outcome = run(new ConvergenceStudy(), "--out=" + folder);
    assertThat(outcome.code()).as(outcome.err()).isZero();
    String page = Files.readString(folder.resolve("convergence.md"));
    List<String> lines = page.lines().filter(line -> line.startsWith("| ")).toList();
    assertThat(lines).hasSize(1 + Convergence.ALL.size());
    assertThat(lines).allMatch(line -> line.split("\\|", -1).length == 10, "of 8 columns");
    assertThat(page).contains("](convergence.png)").doesNotContain("NaN");
    assertThat(ImageIO.read(folder.resolve("convergence.png").toFile())).isNotNull();
  }

  static Stream<Convergence> solvers() {
    return Convergence.ALL.stream();
  }

  @ParameterizedTest
  @MethodSource("solvers")
  void ordersAreThoseOfTheory(Convergence solver) {
    assertThat(solver.orderFound(160)).isCloseTo(solver.order(), within(0.17));
  }

  /** At both ends: of an x of 1, one standard deviation of noise, it makes one of the data. */
  @Test
  void theSolutionLeadsFromNoiseToTheData() {
    GaussianData data = new GaussianData(0.4, 0.6);
    BetaSchedule schedule = BetaSchedule.linear();
    assertThat(data.solution(schedule, 1.7, 999)).isCloseTo(1.7, within(1e-15));
    assertThat(data.solution(schedule, 1, 0)).isCloseTo(1, within(0.01));
    assertThat(data.image(1, 0.3)).isCloseTo(0.3, within(1e-15));
    assertThat(data.image(0, 0.3)).isEqualTo(0.4);
  }

  @Test
  void badInputIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "mine");
    assertError(run(new ConvergenceStudy(), "--out=" + file), file.toString());
  }
}

package io.github.ddpm.examples;

import static io.github.ddpm.examples.CommandsTest.assertError;
import static io.github.ddpm.examples.CommandsTest.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.CommandsTest.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The study, of a few digits and on a set of stripes. */
class FewStepsStudyTest {
  @TempDir Path folder;

  @BeforeEach
  void makeASet() throws IOException {
    CommandsTest.writeDigits(folder, "train", 20, 28);
    CommandsTest.writeDigits(folder, "t10k", 20, 28);
  }

  @Test
  void thePageHasALineAndPicturesForEachSetting() throws IOException {
    Path out = folder.resolve("out");
    Outcome outcome = run(new FewStepsStudy(1, 1), "--data=" + folder, "--out=" + out, "--count=4");
    assertThat(outcome.code()).as(outcome.err()).isZero();
    String page = Files.readString(out.resolve("few-steps.md"));
    List<String> lines = page.lines().filter(line -> line.startsWith("| ")).toList();
    assertThat(lines).hasSize(16);
    assertThat(lines).allMatch(line -> line.split("\\|", -1).length == 11, "of 9 columns");
    assertThat(lines.get(14)).startsWith("| distilled | 4 | ");
    assertThat(lines.get(15)).startsWith("| test images | | ");
    StudyCurves curves = StudyCurves.in(out).get(0);
    assertThat(curves.distances().keySet())
        .containsExactly(StudyCurves.USUAL, "DPM-Solver++", "distilled models");
    assertThat(lines.get(14))
        .startsWith(
            Commands.format(
                "| distilled | 4 | %.2f |", curves.distances().get("distilled models").get(4)));
    List<String> pictures =
        Pattern.compile("]\\((few-steps/[A-Za-z0-9-]+\\.png)\\)")
            .matcher(page)
            .results()
            .map((MatchResult link) -> link.group(1))
            .toList();
    assertThat(pictures).hasSize(14 + 2).doesNotHaveDuplicates();
    for (String picture : pictures) {
      assertThat(ImageIO.read(out.resolve(picture).toFile())).as(picture).isNotNull();
    }
  }

  @Test
  void badInputIsNamed() {
    assertError(
        run(new FewStepsStudy(), "--data=" + folder, "--out=" + folder, "--count=21"),
        "--count must be in [4, 20], got 21");
  }
}

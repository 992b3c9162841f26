package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.examples.measures.Estimate;
import io.github.ddpm.examples.measures.PrecisionRecall;
import io.github.ddpm.examples.measures.Quality;
import org.junit.jupiter.api.Test;

class QualityTableTest {
  @Test
  void digitsHaveTheirLinesToo() {
    QualityTable table = new QualityTable("100% drawn.");
    table.add(quality(12.345, 0.5, 0.02, 0.25), quality(2, 0.001, 0.0012, 0.5));
    assertThat(table)
        .hasToString(
            """
            100% drawn.

            | | model | floor |
            |---|---|---|
            | Fréchet distance | 12.35, 6.2 times the floor | 2.00 |
            | kernel distance | 0.500 ± 0.020 | 0.001 ± 0.001 |
            | precision | 0.750 | 0.750 |
            | recall | 0.500 | 0.500 |
            | surely a digit (above 0.95) | 25.0 % | 50.0 % |
            | rarest digit | 2.5 % | 5.0 % |
            """);
  }

  @Test
  void smallNumbersKeepDigits() {
    QualityTable table = new QualityTable("Small.");
    table.add(
        quality(0.01234, 0.000_012_3, 0.000_000_4, Double.NaN),
        quality(-1e-12, 1e-20, 0, Double.NaN));
    assertThat(table.toString())
        .contains("| Fréchet distance | 0.0123, ", " times the floor | -1.00e-12 |")
        .contains("| kernel distance | 0.0000123 ± 0.0000004 | 0.000 ± 0.000 |")
        .doesNotContain("digit");
  }

  private static Quality quality(double frechet, double kernel, double error, double sure) {
    return new Quality(
        frechet, new Estimate(kernel, error), new PrecisionRecall(0.75, 0.5), sure, sure / 10);
  }
}

package io.github.ddpm.spi;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ExcerptTest {
  @Test
  void whatIsShortAndCanBeShownStaysAsItIs() {
    assertThat(Excerpt.of("conv_in.weight é 雪 🌊")).isEqualTo("conv_in.weight é 雪 🌊");
    assertThat(Excerpt.of("a".repeat(200))).isEqualTo("a".repeat(200));
    assertThat(Excerpt.of(null)).isEqualTo("null");
  }

  @Test
  void whatIsLongIsCut() {
    assertThat(Excerpt.of("a".repeat(201))).isEqualTo("a".repeat(197) + "...");
    assertThat(Excerpt.of("🌊".repeat(1_000_000)))
        .as("no half of a character")
        .isEqualTo("🌊".repeat(98) + "...");
  }

  @ParameterizedTest
  @ValueSource(strings = {"\n", "\r", "\0", "\u001b", "\u0085", "\u202e", "\u2028", "\ud800"})
  void whatWouldDoSomethingIsNotShown(String control) {
    assertThat(Excerpt.of("a" + control + "b")).isEqualTo("a\ufffdb");
  }
}

package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProgressDisplayTest {
  private final Locale locale = Locale.getDefault();
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);

  /** A time long after it overflowed, as that of {@link System#nanoTime} may be. */
  private long now = Long.MAX_VALUE - 1;

  @AfterEach
  void restoreTheLocale() {
    Locale.setDefault(locale);
  }

  @Test
  void aPipeGetsALineEvery15SecondsAndOneAtTheEnd() {
    try (ProgressDisplay display = display(false, ProgressDisplay.INTERVAL)) {
      for (int second = 1; second <= 40; second++) {
        now += 1_000_000_000L;
        display.show(second, 40);
      }
    }
    assertThat(lines())
        .containsExactly(
            "Denoising 15/40  0:25 left",
            "Denoising 30/40  0:10 left",
            "Denoising 40/40  0:00 left");
  }

  @Test
  void whatIsDoneBeforeTheFirstLineIsDueGetsNone() {
    try (ProgressDisplay display = display(false, ProgressDisplay.INTERVAL)) {
      now += 14_000_000_000L;
      display.show(40, 40);
    }
    assertThat(lines()).isEmpty();
  }

  @Test
  void aTrainingIsShownFromItsFirstStep() {
    try (ProgressDisplay display = display(false, Duration.ZERO)) {
      display.show(1, 0, "loss 0.9", Duration.ZERO);
      display.show(2, 3, "loss 0.8", Duration.ofSeconds(75));
      display.show(3, 3, "loss 0.7", Duration.ZERO);
    }
    assertThat(lines())
        .containsExactly("Denoising 1/?  loss 0.9  ? left", "Denoising 3/3  loss 0.7  0:00 left");
  }

  @ParameterizedTest
  @ValueSource(strings = {"en-US", "fa-IR", "ar-EG", "de-DE"})
  void aTerminalGetsABarInAnyLocale(String tag) {
    Locale.setDefault(Locale.forLanguageTag(tag));
    try (ProgressDisplay display = display(true, Duration.ZERO)) {
      display.show(300, 0, "loss 0.9", Duration.ZERO);
      display.show(1200, 2400, "loss 0.5", Duration.ofSeconds(61));
    }
    String drawn = bytes.toString(StandardCharsets.UTF_8);
    assertThat(drawn.substring(drawn.lastIndexOf('\r') + 1))
        .matches("Denoising \\[=+ +] 1200/2400  loss 0.5  1:01 left\\R");
  }

  @Test
  void aLineOfSomebodyElseTakesThePlaceOfTheBar() {
    try (ProgressDisplay pipe = display(false, Duration.ZERO)) {
      pipe.clear();
    }
    assertThat(bytes.size()).isZero();
    try (ProgressDisplay terminal = display(true, Duration.ZERO)) {
      terminal.clear();
      assertThat(bytes.toString(StandardCharsets.UTF_8)).endsWith("\r\u001b[K");
    }
  }

  private ProgressDisplay display(boolean terminal, Duration quiet) {
    return new ProgressDisplay("Denoising", terminal, out, quiet, () -> now);
  }

  private String[] lines() {
    return bytes.toString(StandardCharsets.UTF_8).lines().toArray(String[]::new);
  }
}

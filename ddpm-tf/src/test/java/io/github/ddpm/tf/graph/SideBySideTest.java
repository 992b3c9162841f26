package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SideBySideTest {
  private static final List<Integer> PARTS = IntStream.range(0, 8).boxed().toList();

  @Test
  void resultsAreInTheOrderOfParts() {
    assertThat(SideBySide.map(PARTS, part -> part * part, part -> {}))
        .containsExactly(0, 1, 4, 9, 16, 25, 36, 49);
  }

  @Test
  void allIsOverAndUndoneWhenPartsFail() {
    AtomicInteger running = new AtomicInteger();
    List<Integer> undone = Collections.synchronizedList(new ArrayList<>());
    IllegalStateException[] thrown = new IllegalStateException[8];
    assertThatThrownBy(
            () ->
                SideBySide.map(
                    PARTS,
                    part -> {
                      running.incrementAndGet();
                      try {
                        if (part % 3 == 1) {
                          thrown[part] = new IllegalStateException("part " + part);
                          throw thrown[part];
                        }
                        Thread.sleep(20);
                      } catch (InterruptedException e) {
                        throw new AssertionError(e);
                      } finally {
                        running.decrementAndGet();
                      }
                      return part;
                    },
                    undone::add))
        .isSameAs(thrown[1])
        .hasSuppressedException(thrown[4])
        .hasSuppressedException(thrown[7]);
    assertThat(running).hasValue(0);
    assertThat(undone).containsExactly(0, 2, 3, 5, 6);
  }

  @Test
  void errorsStayWhatTheyAre() {
    OutOfMemoryError error = new OutOfMemoryError("none left");
    assertThatThrownBy(
            () ->
                SideBySide.forEach(
                    PARTS,
                    part -> {
                      throw error;
                    }))
        .isSameAs(error);
  }
}

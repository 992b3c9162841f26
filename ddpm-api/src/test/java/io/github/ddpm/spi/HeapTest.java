package io.github.ddpm.spi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

class HeapTest {
  private static final double MAX = Runtime.getRuntime().maxMemory();

  @Test
  void whatDoesNotFitIsRefusedWithItsSizeAndWhatThereIs() {
    String problem =
        ": it needs %d MB of memory, but of the heap's %d MB there are "
            .formatted((long) (MAX / 1e6) + 1, (long) (MAX / 1e6));
    assertThatIOException()
        .isThrownBy(() -> Heap.check("a.png", MAX))
        .withMessageStartingWith("a.png" + problem)
        .withMessageEndingWith(" MB left; -Xmx sets another maximum");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Heap.checkArgument("9 pictures", MAX))
        .withMessageStartingWith("9 pictures" + problem);
    assertThatIOException().isThrownBy(() -> Heap.check("a.png", Double.POSITIVE_INFINITY));
  }

  @Test
  void whatFitsMayBeMade() {
    assertThatCode(() -> Heap.check("a.png", MAX / 2)).doesNotThrowAnyException();
    assertThatCode(() -> Heap.checkArgument("a", 0)).doesNotThrowAnyException();
  }

  @Test
  void whatIsInUseIsNotLeft() {
    byte[] used = new byte[(int) Math.min(MAX / 16, Integer.MAX_VALUE - 8)];
    assertThat(Heap.fits(MAX / 8 * 7 - used.length)).isFalse();
    assertThat(used).isNotEmpty();
  }

  @Test
  void arraysTakeMoreThanWhatIsInThem() {
    assertThat(Heap.arrays(1000, 1)).isEqualTo(24_000);
    double region = Long.highestOneBit((long) Math.max(1 << 20, Math.min(1 << 25, MAX / 2048)));
    assertThat(Heap.arrays(3, region + 1)).isEqualTo(6 * region);
  }
}

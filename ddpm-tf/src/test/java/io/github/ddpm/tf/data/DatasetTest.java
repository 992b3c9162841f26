package io.github.ddpm.tf.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DatasetTest {
  private static final Dataset TWO =
      Dataset.of(1, 2, 1, new byte[][] {{0, (byte) 255}, {127, (byte) 128}}, 5, new int[] {4, 2});

  @Test
  void scalesBytesToMinusOneToOne() {
    assertThat(TWO.images(1, 0, 1).toArray())
        .containsExactly(
            127 / 127.5f - 1, 128 / 127.5f - 1, -1, 1, 127 / 127.5f - 1, 128 / 127.5f - 1);
    assertThat(TWO.images(1, 0, 1).count()).isEqualTo(3);
  }

  @Test
  void givesLabelsInTheOrderAskedFor() {
    assertThat(TWO.labels(1, 0, 0)).containsExactly(2, 4, 4);
    assertThatThrownBy(() -> TWO.label(2)).isInstanceOf(IndexOutOfBoundsException.class);
    Dataset unlabeled = Dataset.of(1, 1, 1, new byte[1][1]);
    assertThat(unlabeled.classes()).isZero();
    assertThatThrownBy(() -> unlabeled.labels(0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("these pictures have no labels");
  }

  @Test
  void mirroredPicturesFollowTheOthers() {
    byte[] first = {0, 51, 102, (byte) 153, (byte) 204, (byte) 255};
    // One row of two RGB pixels; two rows of one have no other mirror image.
    Dataset wide = Dataset.of(1, 2, 3, new byte[][] {first, new byte[6]}, 2, new int[] {1, 0});
    Dataset both = wide.mirrored();
    assertThat(both.size()).isEqualTo(4);
    assertThat(both.labels(0, 1, 2, 3)).containsExactly(1, 0, 1, 0);
    assertThat(both.images(0, 1).toArray()).isEqualTo(wide.images(0, 1).toArray());
    assertThat(both.images(2).toArray())
        .containsExactly(
            153 / 127.5f - 1, 204 / 127.5f - 1, 1, -1, 51 / 127.5f - 1, 102 / 127.5f - 1);
    Dataset tall = Dataset.of(2, 1, 3, new byte[][] {first}).mirrored();
    assertThat(tall.images(1).toArray()).isEqualTo(tall.images(0).toArray());
    assertThat(Arrays.stream(both.batch(0, 8, 3)).boxed().toList())
        .as("two epochs")
        .containsExactlyInAnyOrder(0, 0, 1, 1, 2, 2, 3, 3);
    assertThat(both.mirrored().size()).isEqualTo(4);
    assertThatThrownBy(() -> both.images(4)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void copiesWhatItIsGiven() {
    byte[][] images = {{1}};
    int[] labels = {1};
    Dataset dataset = Dataset.of(1, 1, 1, images, 2, labels);
    images[0][0] = 100;
    labels[0] = 0;
    assertThat(dataset.images(0).toArray()).containsExactly(1 / 127.5f - 1);
    assertThat(dataset.label(0)).isEqualTo(1);
  }

  @Test
  void refusesWhatDoesNotFit() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(1, 1, 1, new byte[0][]))
        .withMessage("there must be at least 1 picture, got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(2, 2, 1, new byte[][] {new byte[4], new byte[3]}))
        .withMessageContaining("4 bytes, got 3 for picture 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(1, 1, 1, new byte[1][1], 2, new int[] {2}))
        .withMessage("labels must be in [0, 2), got 2");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(1, 1, 1, new byte[2][1], 2, new int[1]))
        .withMessage("there must be 2 labels for 2 pictures, got 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(0, 1, 1, new byte[1][0]))
        .withMessage("height, width and channels must be at least 1, got 0x1x1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TWO.batch(-1, 1, 0))
        .withMessage("position must be at least 0, got -1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TWO.batch(0, 0, 0))
        .withMessage("count must be at least 1, got 0");
  }

  /**
   * A saved training goes on in the order it began with, so the order must never change. The
   * numbers come from a program in Python that has its own MurmurHash3 and java.util.Random,
   * written from their specifications.
   */
  @Test
  void orderIsPinned() {
    assertThat(of(10).batch(0, 20, 0))
        .containsExactly(7, 5, 9, 4, 8, 0, 1, 2, 3, 6, 1, 5, 6, 7, 3, 8, 4, 0, 2, 9);
    assertThat(of(10).batch(10 * 123_456_789_012L, 10, -7))
        .containsExactly(9, 3, 4, 1, 2, 8, 7, 6, 0, 5);
  }

  @Test
  void eachEpochVisitsEachPictureOnceInAnOrderOfItsOwn() {
    int[] two = of(100).batch(0, 200, 5);
    int[] first = Arrays.copyOf(two, 100);
    int[] second = Arrays.copyOfRange(two, 100, 200);
    assertThat(first).containsExactlyInAnyOrder(IntStream.range(0, 100).toArray());
    assertThat(second).containsExactlyInAnyOrder(IntStream.range(0, 100).toArray());
    assertThat(first).isNotEqualTo(second);
    assertThat(of(100).batch(0, 100, 6)).isNotEqualTo(first);
  }

  @Test
  void anyCutIntoBatchesGivesTheSameSequence() {
    int[] sequence = of(7).batch(0, 100, 3);
    for (int size : new int[] {1, 3, 7, 16}) {
      Dataset dataset = of(7);
      for (int position = 0; position + size <= 100; position += size) {
        assertThat(dataset.batch(position, size, 3))
            .containsExactly(Arrays.copyOfRange(sequence, position, position + size));
      }
    }
    assertThat(of(1).batch(5, 4, 3)).containsExactly(0, 0, 0, 0);
  }

  @Test
  void threadsDoNotDisturbEachOther() {
    Dataset shared = of(50);
    IntStream.range(0, 2000)
        .parallel()
        .forEach(
            i ->
                assertThat(shared.batch(i % 120, 30, i % 3))
                    .containsExactly(of(50).batch(i % 120, 30, i % 3)));
  }

  /** A model that is off by a half everywhere, whatever it is asked. */
  @Test
  void theLossIsTheMeanSquaredErrorAtTimestepsThatAreEvenlySpaced() {
    List<Double> timesteps = new ArrayList<>();
    Predictor off =
        new Predictor() {
          @Override
          public ModelInfo info() {
            return new ModelInfo(1, 2, 1, 5, false, BetaSchedule.cosine(), PredictionType.SAMPLE);
          }

          @Override
          public float[] predict(float[] x, double timestep, int... labels) {
            timesteps.add(timestep);
            assertThat(labels).containsExactly(TWO.label(timesteps.size() - 1));
            float[] out = TWO.images(timesteps.size() - 1).toArray();
            for (int i = 0; i < out.length; i++) {
              out[i] += 0.5f;
            }
            return out;
          }

          @Override
          public void close() {}
        };
    assertThat(TWO.loss(off, 2, 1)).isCloseTo(0.25, within(1e-7));
    assertThat(timesteps).containsExactly(250.0, 750.0);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TWO.loss(off, 2, 2))
        .withMessage("pictures per timestep must be in [1, 1], got 2");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TWO.loss(off, 0, 1))
        .withMessage("timesteps must be in [1, 1000], got 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(1, 1, 1, new byte[1][1]).loss(off, 1, 1))
        .withMessage("the network is for pictures of 1x2x1, got 1x1x1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Dataset.of(1, 2, 1, new byte[1][2]).loss(off, 1, 1))
        .withMessage("the network has 5 classes, the data 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TWO.checkFits(off.info().withConditionChannels(2)))
        .withMessage("data has no condition, so the network can't have condition channels, got 2");
  }

  @Test
  void aPictureOfOnesOwnMustHaveItsValues() {
    Dataset less =
        new Dataset(1, 1, 2, 1, 3) {
          @Override
          protected void read(int index, FloatBuffer into) {
            into.put(0);
          }

          @Override
          protected int readLabel(int index) {
            return 3;
          }
        };
    assertThatThrownBy(() -> less.images(0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("picture 0 must have 2 values, got 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> less.label(0))
        .withMessage("labels must be in [0, 3), got 3");
  }

  @Test
  void classesMayHaveNames() {
    Dataset plain = Dataset.of(1, 1, 1, new byte[][] {{1}, {2}}, 2, new int[] {1, 0});
    assertThat(plain.classNames()).isEmpty();
    assertThat(plain.mirrored().classNames()).isEmpty();
    Dataset named = plain.withClassNames(List.of("cat", "dog"));
    assertThat(named.classNames()).containsExactly("cat", "dog");
    assertThat(named.labels(0, 1)).containsExactly(1, 0);
    assertThat(MnistTest.bytes(named, 1)).containsExactly(2);
    assertThat(named.mirrored().size()).isEqualTo(4);
    assertThat(named.mirrored().mirrored().size()).isEqualTo(4);
    assertThat(named.mirrored().classNames()).containsExactly("cat", "dog");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> plain.withClassNames(List.of("cat")))
        .withMessage("there must be one name for each of 2 classes, got 1");
    ModelInfo model =
        new ModelInfo(1, 1, 1, 2, false, BetaSchedule.cosine(), PredictionType.SAMPLE);
    named.checkFits(model);
    plain.checkFits(model.withClassNames(List.of("ant", "dog")));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> named.checkFits(model.withClassNames(List.of("ant", "dog"))))
        .withMessage(
            "the network's classes (ant, dog) are not those of the data (cat, dog); Trainer.setClassNames has others"
                + " learned in their place");
    ModelInfo one = new ModelInfo(1, 1, 1, 1, false, BetaSchedule.cosine(), PredictionType.SAMPLE);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> named.checkFits(one.withClassNames(List.of("ant"))))
        .withMessage("the network has 1 classes (ant), the data 2 (cat, dog)");
  }

  private static Dataset of(int n) {
    return Dataset.of(1, 1, 1, new byte[n][1]);
  }
}

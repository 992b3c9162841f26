package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.AbstractIterator;
import com.google.common.primitives.Ints;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.spi.ForwardingPredictor;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.Function;

/**
 * The task that draws some pictures.
 *
 * @param model opened on the executor
 * @param sampler makes the sampler of that model, with a seed
 */
record SamplingTask(SparkModel model, Function<Predictor, Sampler> sampler)
    implements Serializable {

  /**
   * So many are drawn and given away before the next, which bounds the heap: a sampler holds all
   * floats of what it is asked for, several times over, though fewer go through the network at
   * once.
   */
  private static final int TOGETHER = 64;

  /**
   * Some pictures.
   *
   * @param first index of the first
   * @param labels of all, or none
   */
  @SuppressWarnings("ArrayRecordComponent") // Nobody compares two.
  record Drawn(long first, Images images, int[] labels) {}

  /** Draws pictures from an index on, as they are asked for. */
  Iterator<Drawn> draw(long first, int count) throws Exception {
    Watched watched = new Watched(model.open());
    Sampler seeded = sampler.call(watched);
    checkArgument(
        seeded.noise(1).equals(seeded.noise(1)),
        "the sampler needs a seed, or what is drawn again is something else: call seed(…)");
    return new AbstractIterator<>() {
      private int done;

      @Override
      protected Drawn computeNext() {
        if (done == count) {
          return endOfData();
        }
        long next = first + done;
        int some = Math.min(TOGETHER, count - done);
        done += some;
        watched.labels.clear();
        Images images = seeded.first(next).sample(some);
        int[] labels = Ints.concat(watched.labels.toArray(new int[0][]));
        return new Drawn(next, images, labels.length == some ? labels : new int[0]);
      }
    };
  }

  /** A model that keeps the labels that it is asked for. */
  private static final class Watched extends ForwardingPredictor {
    private final List<int[]> labels = new ArrayList<>();

    Watched(Predictor model) {
      super(model);
    }

    @Override
    public Images denoise(DenoiseRequest request) {
      labels.add(request.labels(info()));
      return super.denoise(request);
    }
  }
}

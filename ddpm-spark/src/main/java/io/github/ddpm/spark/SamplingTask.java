package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Throwables;
import com.google.common.primitives.Ints;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.spi.ForwardingPredictor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/** The task that draws some pictures. */
record SamplingTask(SparkModel model, Function<Predictor, Sampler> sampler)
    implements Serializable {

  /** So many are drawn together, and then given away. */
  private static final int TOGETHER = 64;

  /** Draws pictures from an index on, as they are asked for. */
  Iterator<Row> draw(long first, int count) {
    return IntStream.range(0, (count - 1) / TOGETHER + 1)
        .map(k -> k * TOGETHER)
        .boxed()
        .flatMap(k -> some(first + k, Math.min(TOGETHER, count - k)).stream())
        .iterator();
  }

  private List<Row> some(long first, int count) {
    try {
      return model.use(predictor -> rows(new Watched(predictor), first, count));
    } catch (Exception e) {
      // Spark's functions may throw all.
      Throwables.throwIfUnchecked(e);
      throw new IllegalStateException(e.getMessage(), e);
    }
  }

  private List<Row> rows(Watched watched, long first, int count) throws Exception {
    Sampler from = sampler.call(watched).first(first);
    checkArgument(
        from.noise(1).equals(from.noise(1)),
        "the sampler needs a seed, or what is drawn again is something else: call seed(…)");
    Images images = from.sample(count);
    int[] labels = Ints.concat(watched.labels.toArray(new int[0][]));
    List<Row> rows = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      rows.add(
          RowFactory.create(first + i, labels.length == count ? labels[i] : null, png(images, i)));
    }
    return rows;
  }

  private static byte[] png(Images images, int index) throws IOException {
    ByteArrayOutputStream png = new ByteArrayOutputStream();
    ImageIO.write(images.toBufferedImage(index), "png", png);
    return png.toByteArray();
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

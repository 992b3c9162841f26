package io.github.ddpm.spark;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/** The task that draws some pictures. */
record SamplingTask(SparkModel model, Function<Predictor, Sampler> sampler)
    implements Serializable {

  /** Draws pictures from an index on. */
  List<Row> draw(long first, int count) throws Exception {
    return model.use(predictor -> rows(new Watched(predictor), first, count));
  }

  private List<Row> rows(Watched watched, long first, int count) throws Exception {
    Sampler from = sampler.call(watched).first(first);
    checkArgument(
        from.noise(1).equals(from.noise(1)),
        "the sampler needs a seed, or what is drawn again is something else: call seed(…)");
    Images images = from.sample(count);
    List<Row> rows = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      rows.add(
          RowFactory.create(
              first + i, watched.labels.length == 0 ? null : watched.labels[i], png(images, i)));
    }
    return rows;
  }

  private static byte[] png(Images images, int index) throws IOException {
    ByteArrayOutputStream png = new ByteArrayOutputStream();
    ImageIO.write(images.toBufferedImage(index), "png", png);
    return png.toByteArray();
  }

  /** A model that keeps the labels that it was last asked for. */
  private static final class Watched implements Predictor {
    private final Predictor model;
    private int[] labels = new int[0];

    Watched(Predictor model) {
      this.model = model;
    }

    @Override
    public ModelInfo info() {
      return model.info();
    }

    @Override
    public float[] predict(float[] x, double timestep, int... labelsOfX) {
      return model.predict(x, timestep, labelsOfX);
    }

    @Override
    public Images denoise(DenoiseRequest request) {
      labels = request.labels(info());
      return model.denoise(request);
    }

    @Override
    public Sampler sampler() {
      return model.sampler().with(this);
    }

    @Override
    public void close() {}
  }
}

package io.github.ddpm.examples;

import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.Spacing;
import io.github.ddpm.examples.measures.Classified;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * A source says what the cells of one model in a folder are of.
 *
 * @param seed of the noise
 * @param real mean features of the real images, which know the data and the classifier
 * @param answer what the model makes of noise
 */
record StudySource(long seed, List<Double> real, List<Double> answer) {
  /**
   * Answers or features of one model or set are at most so far apart in the mean, in any precision.
   */
  private static final double ROUNDING = 0.02;

  static StudySource of(long seed, Classified real, Predictor model) {
    DMatrixRMaj means = CommonOps_DDRM.sumCols(real.features(), null);
    CommonOps_DDRM.divide(means, real.count());
    return new StudySource(seed, DoubleStream.of(means.data).boxed().toList(), answer(model));
  }

  /**
   * Refuses to go on with what another model, noise, data or classifier gave.
   *
   * @param out folder of the study, whose folder {@code cells} has what was measured
   * @param prefix of the names of the cells that are of this source
   */
  void check(Path out, String prefix) throws IOException {
    Path file = out.resolve(prefix + "source.json");
    if (!Files.exists(file)) {
      try (Stream<Path> cells = Files.list(out.resolve("cells"))) {
        if (cells.anyMatch(cell -> cell.getFileName().toString().startsWith(prefix))) {
          throw new IOException(
              file + " is missing, which says what the study is of: choose another --out");
        }
      }
      StudyFiles.write(file, this);
    } else if (!StudyFiles.read(file, StudySource.class, "choose another --out").isLike(this)) {
      throw new IllegalArgumentException(
          out
              + " holds a study of other models, another seed, other data or another classifier: choose another --out");
    }
  }

  private boolean isLike(StudySource other) {
    return seed == other.seed && alike(real, other.real) && alike(answer, other.answer);
  }

  private static boolean alike(List<Double> a, List<Double> b) {
    double squares = 0;
    for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
      squares += Math.pow(a.get(i) - b.get(i), 2);
    }
    return a.size() == b.size() && squares < a.size() * ROUNDING * ROUNDING;
  }

  /** Returns what a model makes of noise in one step from half way, to know it again. */
  private static List<Double> answer(Predictor model) {
    ModelInfo info = model.info();
    float[] pixels =
        Sampler.ddim(0)
            .spacing(Spacing.explicit(Math.floor(info.schedule().timesteps() / 2.0)))
            .clip(Double.POSITIVE_INFINITY)
            .labels(Samplers.unasked(info.nullLabel()))
            .seed(1)
            .with(model)
            .sample(1)
            .toArray();
    return IntStream.range(0, pixels.length).mapToObj(i -> (double) pixels[i]).toList();
  }
}

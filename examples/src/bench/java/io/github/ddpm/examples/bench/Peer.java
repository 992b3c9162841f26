package io.github.ddpm.examples.bench;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;

/**
 * Another program's network. It samples by the rows of the same tables, with the arithmetic in
 * Java, in batches as large as this library's.
 */
interface Peer extends Predictor {
  /** Of the model in {@code trace.py}. */
  ModelInfo INFO =
      new ModelInfo(
          BenchmarkFiles.SIZE,
          BenchmarkFiles.SIZE,
          1,
          0,
          false,
          BetaSchedule.linear(),
          PredictionType.EPSILON);

  /** Images per call of the network. */
  int BATCH = 64;

  @Override
  default ModelInfo info() {
    return INFO;
  }

  @Override
  default Images denoise(DenoiseRequest request) {
    float[] images = new float[request.count() * INFO.imageSize()];
    for (int from = 0; from < request.count(); from += BATCH) {
      DenoiseRequest part = request.slice(from, Math.min(request.count(), from + BATCH));
      float[] finished = Predictor.super.denoise(part).toArray();
      System.arraycopy(finished, 0, images, from * INFO.imageSize(), finished.length);
    }
    return INFO.images(images);
  }
}

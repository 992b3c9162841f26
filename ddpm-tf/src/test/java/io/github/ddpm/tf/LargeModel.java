package io.github.ddpm.tf;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Precision;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.files.DType;
import io.github.ddpm.tf.files.ModelConfig;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.PipelineScheduler;
import io.github.ddpm.tf.graph.Activation;
import io.github.ddpm.tf.graph.UNet;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The memory that a large model takes, on Linux; {@code src/test/sh/large-model.sh} runs it. {@code
 * make FOLDER} writes a model of the architecture of the 256x256 models of Ho et al. 2020 (LSUN,
 * CelebA-HQ; 114 million weights) with random weights; {@code load FOLDER} loads a model and calls
 * it once.
 */
final class LargeModel {
  private LargeModel() {}

  public static void main(String... args) throws IOException, InterruptedException {
    Path folder = Path.of(args[1]);
    if (args[0].equals("make")) {
      make(folder);
    } else {
      load(folder);
    }
  }

  private static void make(Path folder) throws IOException {
    List<Integer> channels = List.of(128, 128, 256, 256, 512, 512);
    UNetConfig config =
        new UNetConfig(
            new UNetConfig.Picture(256, 256, 3, false),
            new UNetConfig.Levels(channels, 2, 0),
            new UNetConfig.AttentionBlocks(
                List.of(false, false, false, false, true, false),
                true,
                List.of(false, true, false, false, false, false),
                OptionalInt.empty()),
            Optional.of(new UNetConfig.Middle(OptionalInt.empty(), 1)),
            new UNetConfig.Normalization(32, 1e-6),
            Activation.SILU,
            new UNetConfig.Conditioning(false, false, 1),
            0,
            new UNetConfig.Labels(0, false));
    WeightLayout layout = new WeightLayout(UNet.shapes(config));
    ModelConfig model =
        new ModelConfig(
            config,
            config.info(BetaSchedule.linear(), PredictionType.EPSILON),
            PipelineScheduler.DEFAULT);
    ModelFolder.write(folder, model, layout.unpack(layout.initial(1)), DType.F32);
  }

  private static void load(Path folder) throws IOException, InterruptedException {
    AtomicLong peak = new AtomicLong();
    Thread watch =
        new Thread(
            () -> {
              try {
                while (true) {
                  peak.accumulateAndGet(anonymousBytes(), Math::max);
                  Thread.sleep(5);
                }
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    watch.setDaemon(true);
    watch.start();
    long start = System.nanoTime();
    try (Predictor predictor = Predictor.load(folder, Precision.FLOAT32)) {
      double seconds = (System.nanoTime() - start) / 1e9;
      long loaded = peak.get();
      float[] out = predictor.predict(new float[predictor.info().imageSize()], 500);
      System.out.printf(
          Locale.ROOT,
          "loaded in %.1f s, one call in %.1f s; peak anonymous memory %d MB after loading, %d MB in all; out[0] %s%n",
          seconds,
          (System.nanoTime() - start) / 1e9 - seconds,
          loaded >> 20,
          peak.get() >> 20,
          out[0]);
    }
  }

  private static long anonymousBytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("RssAnon:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) << 10;
      }
    }
    throw new IOException("/proc/self/status has no RssAnon");
  }
}

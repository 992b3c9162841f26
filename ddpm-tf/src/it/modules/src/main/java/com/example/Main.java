package com.example;

import io.github.ddpm.BetaSchedule;
import io.github.ddpm.Images;
import io.github.ddpm.PredictionType;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.tensorflow.TensorFlow;

/** A module that draws, and trains on what it has drawn. */
public final class Main {
  private Main() {}

  public static void main(String[] args) throws IOException {
    named("com.example", Main.class);
    named("io.github.ddpm", Sampler.class);
    named("io.github.ddpm.tf", Trainer.class);
    named("tensorflow", TensorFlow.class);

    Images digits = Sampler.ddim(0.0).sample(4);
    draws(digits);
    computesWithItsOperations(Trainer.class.getModule());

    Path folder = Files.createTempDirectory("modules");
    for (int k = 0; k < digits.count(); k++) {
      ImageIO.write(digits.toBufferedImage(k), "jpg", folder.resolve(k + ".jpg").toFile());
    }
    Dataset data = ImageFolder.load(folder, 16, 1);
    check(data.size() == digits.count(), "wrote " + digits + ", read " + data.size());
    Path model = folder.resolve("model");
    TrainingOptions options = TrainingOptions.defaults().withBatchSize(2).withSeed(7);
    try (Trainer trainer =
        Trainer.create(
            UNetConfig.small(16, 16, 1),
            BetaSchedule.cosine(),
            PredictionType.V_PREDICTION,
            options)) {
      trainer.setTotalSteps(2);
      trainer.train(data, progress -> true);
      trainer.save(model);
    }
    try (Trainer resumed = Trainer.resume(model);
        Predictor trained = Predictor.load(model)) {
      check(resumed.stepsTaken() == 2, "trained 2 steps, got " + resumed.stepsTaken());
      check(resumed.options().equals(options), "resumed with " + resumed.options());
      Images drawn = Sampler.ddim(0.0).steps(2).with(trained).sample(1);
      check(drawn.height() == 16, "trained on 16x16, drew " + drawn);
    }
  }

  private static void named(String name, Class<?> type) {
    Module module = type.getModule();
    check(name.equals(module.getName()), type + " is in " + module + ", not in " + name);
  }

  /** Digits are neither noise nor blank: most pixels are black, some are white. */
  private static void draws(Images images) {
    for (int k = 0; k < images.count(); k++) {
      float[] pixels = images.slice(k, k + 1).toArray();
      int black = 0;
      int white = 0;
      for (float pixel : pixels) {
        black += pixel < -0.8 ? 1 : 0;
        white += pixel > 0.5 ? 1 : 0;
      }
      check(
          black > pixels.length / 2 && white > pixels.length / 150,
          "image " + k + " has " + black + " black and " + white + " white pixels");
    }
  }

  /** Wherever the jar has libraries of its own, they are loaded. */
  private static void computesWithItsOperations(Module module) throws IOException {
    if (!System.getProperty("os.name").equals("Linux")) {
      // There are none.
      return;
    }
    // Not by getResource, which is what might fail to find them.
    var configuration = module.getLayer().configuration();
    ModuleReference jar = configuration.findModule(module.getName()).get().reference();
    String loaded = Files.readString(Path.of("/proc/self/maps"));
    try (ModuleReader reader = jar.open();
        Stream<String> names = reader.list()) {
      for (String name : names.filter(name -> name.endsWith(".so")).toList()) {
        String file = name.substring(name.lastIndexOf('/'));
        check(loaded.contains(file), name + " is not loaded");
      }
    }
  }

  private static void check(boolean condition, String message) {
    if (!condition) {
      throw new AssertionError(message);
    }
  }
}

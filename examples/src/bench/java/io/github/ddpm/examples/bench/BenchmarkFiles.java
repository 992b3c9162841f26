package io.github.ddpm.examples.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.zip.GZIPInputStream;

/** What {@code src/bench/python/trace.py} made: the network as each contender wants it. */
final class BenchmarkFiles {
  /** Height and width of the images, which are gray. */
  static final int SIZE = 28;

  /** Floats in an image. */
  static final int IMAGE = SIZE * SIZE;

  private static final List<String> FILES =
      List.of(
          "model_index.json",
          "unet/config.json",
          "unet/diffusion_pytorch_model.safetensors",
          "scheduler/scheduler_config.json",
          "weights.bin",
          "forward_float32.pt",
          "forward_bfloat16.pt",
          "forward.onnx",
          "training_float32.pt",
          "training_bfloat16.pt",
          "adamw.pt");

  private BenchmarkFiles() {}

  /**
   * Unpacks them: a model folder in diffusers' layout with the other contenders' files beside it.
   *
   * @param folder made if need be
   */
  static void unpack(Path folder) throws IOException {
    for (String file : FILES) {
      Path target = folder.resolve(file);
      Files.createDirectories(target.getParent());
      try (InputStream packed = open(target.getFileName() + ".gz");
          InputStream content = new GZIPInputStream(packed)) {
        Files.copy(content, target, StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  private static InputStream open(String resource) throws IOException {
    InputStream content = BenchmarkFiles.class.getResourceAsStream(resource);
    if (content == null) {
      throw new IOException(resource + " is not on the class path; trace.py makes it");
    }
    return content;
  }
}

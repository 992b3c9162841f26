package io.github.ddpm.tf;

import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Models that come with the library: folders as any other, among its resources. */
final class Pretrained {
  private static final Map<Precision, Predictor> DIGITS = new ConcurrentHashMap<>();

  private Pretrained() {}

  /** The digits model, loaded when it is first asked for in that precision. */
  static Predictor digits(Precision precision) {
    return DIGITS.computeIfAbsent(
        precision, wanted -> load(Pretrained.class.getClassLoader(), "digits", wanted));
  }

  /**
   * Loads a model.
   *
   * @param name of its folder in {@code pretrained/}
   * @throws IllegalStateException if it isn't there or is damaged; the message names the resource
   *     and what is wrong with it
   */
  static Predictor load(ClassLoader loader, String name, Precision precision) {
    String root = "io/github/ddpm/tf/pretrained/" + name;
    try {
      return new Shared(open(loader, root, precision));
    } catch (IOException e) {
      throw new IllegalStateException(
          "can't load the model that comes with ddpm-tf: " + e.getMessage(), e);
    }
  }

  /** Opens a copy in a temporary folder, because a resource need not be a file. */
  private static Predictor open(ClassLoader loader, String root, Precision precision)
      throws IOException {
    Path copy = temporaryFolder();
    try {
      for (String file : ModelFolder.FILES) {
        copy(loader, root + "/" + file, copy.resolve(file));
      }
      return openCopy(copy, root, precision);
    } finally {
      ModelFolder.delete(copy);
    }
  }

  private static Path temporaryFolder() throws IOException {
    try {
      return Files.createTempDirectory("ddpm");
    } catch (IOException e) {
      throw new IOException("no temporary folder can be made: " + e.getMessage(), e);
    }
  }

  private static void copy(ClassLoader loader, String resource, Path file) throws IOException {
    try (InputStream in = loader.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IOException("resource " + resource + " is missing");
      }
      Files.createDirectories(file.getParent());
      Files.copy(in, file);
    }
  }

  private static Predictor openCopy(Path copy, String root, Precision precision)
      throws IOException {
    try {
      return TfPredictor.of(ModelFolder.read(copy), precision);
    } catch (IOException e) {
      // Whoever reads the message knows the resource, not its copy.
      throw new IOException(String.valueOf(e.getMessage()).replace(copy.toString(), root), e);
    }
  }

  /** A model that all who ask for it share, so nobody may close it. */
  private record Shared(Predictor model) implements Predictor {
    @Override
    public ModelInfo info() {
      return model.info();
    }

    @Override
    public float[] predict(float[] x, double timestep, int... labels) {
      return model.predict(x, timestep, labels);
    }

    @Override
    public Images denoise(DenoiseRequest request) {
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

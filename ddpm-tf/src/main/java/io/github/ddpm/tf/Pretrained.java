package io.github.ddpm.tf;

import com.google.common.base.Supplier;
import com.google.common.base.Suppliers;
import io.github.ddpm.DenoiseRequest;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Models that come with the library: folders as any other, among its resources. */
final class Pretrained {
  private static final Supplier<Predictor> DIGITS =
      Suppliers.memoize(() -> load(Pretrained.class.getClassLoader(), "digits"));

  private Pretrained() {}

  /** The digits model, loaded when it is first asked for. */
  static Predictor digits() {
    return DIGITS.get();
  }

  /**
   * Loads a model.
   *
   * @param name of its folder in {@code pretrained/}
   * @throws IllegalStateException if it isn't there or is damaged; the message names the resource
   *     and what is wrong with it
   */
  static Predictor load(ClassLoader loader, String name) {
    String root = "io/github/ddpm/tf/pretrained/" + name;
    try {
      return new Shared(open(loader, root));
    } catch (IOException e) {
      throw new IllegalStateException(
          "can't load the model that comes with ddpm-tf: " + e.getMessage(), e);
    }
  }

  /** Opens a copy in a temporary folder, because a resource need not be a file. */
  private static Predictor open(ClassLoader loader, String root) throws IOException {
    Path copy = temporaryFolder();
    try {
      for (String file : ModelFolder.FILES) {
        copy(loader, root + "/" + file, copy.resolve(file));
      }
      return openCopy(copy, root);
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

  private static Predictor openCopy(Path copy, String root) throws IOException {
    try {
      return TfPredictor.of(ModelFolder.read(copy), Kernels.fastestPrecision());
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

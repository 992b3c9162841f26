package io.github.ddpm.tf;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.tf.ModelFiles.Storage;
import io.github.ddpm.tf.files.ModelFolder;
import io.github.ddpm.tf.files.Weight;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;

/** Where the shared fixtures are. */
public final class Fixtures {
  private Fixtures() {}

  public static Path path(String name) {
    try {
      return Path.of(Objects.requireNonNull(Fixtures.class.getResource("/" + name), name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(name, e);
    }
  }

  /** Loads a model of the fixtures and saves it elsewhere, for a test to change. */
  public static void copyModel(String name, Path to) throws IOException {
    ModelFiles.convert(path(name), to, Storage.FLOAT32);
    unseal(to);
  }

  /** Leaves the files that diffusers would, so that they may be changed. */
  public static void unseal(Path folder) throws IOException {
    Files.delete(folder.resolve("SHA256SUMS"));
    Path saves = folder.resolve("saves");
    if (Files.exists(saves)) {
      MoreFiles.deleteRecursively(saves, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  /** Reads the weights of a model, by name and in PyTorch's order of axes. */
  public static Map<String, Weight> weights(ModelFolder saved) throws IOException {
    WeightLayout layout = ModelFiles.layout(saved);
    return layout.unpack(layout.pack(saved.weights().source()));
  }
}

package io.github.ddpm.tf.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.ddpm.tf.Fixtures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What leads out of a model's folder: the system's links may, names in its files may not. */
class LinksTest {
  private static final Path SHARDED = Fixtures.path("golden/folder-sharded");
  private static final String INDEX = "unet/diffusion_pytorch_model.safetensors.index.json";

  @TempDir Path folder;

  /** As the hub of Hugging Face keeps what it downloads: every file is a link to a blob. */
  @Test
  @DisabledOnOs(OS.WINDOWS) // Links take a privilege there.
  void aHubsCacheIsMadeOfLinks() throws IOException {
    Path blobs = Files.createDirectories(folder.resolve("models--a--b/blobs"));
    Path snapshot = folder.resolve("models--a--b/snapshots/0123abcd");
    int number = 0;
    for (Path file : files()) {
      Path blob = Files.copy(file, blobs.resolve("blob" + number++));
      Path link = snapshot.resolve(SHARDED.relativize(file));
      Files.createDirectories(link.getParent());
      Files.createSymbolicLink(link, link.getParent().relativize(blob));
    }
    assertThat(Fixtures.weights(ModelFolder.read(snapshot)))
        .isEqualTo(Fixtures.weights(ModelFolder.read(SHARDED)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "./diffusion_pytorch_model-00001-of-00002.safetensors",
        "/etc/a.safetensors",
        "a/b.safetensors",
        "a\\b.safetensors",
        "C:b.safetensors",
        "..",
        "a.bin",
        "",
        "a\u0000.safetensors"
      })
  void namesInAnIndexStayInItsFolder(String name) throws IOException {
    for (Path file : files()) {
      Path copy = folder.resolve(SHARDED.relativize(file));
      Files.createDirectories(copy.getParent());
      Files.copy(file, copy);
    }
    ObjectNode index = (ObjectNode) Json.read(folder.resolve(INDEX));
    ((ObjectNode) index.get("weight_map")).put("conv_in.bias", name);
    Json.write(folder.resolve(INDEX), index);
    assertThatIOException()
        .isThrownBy(() -> ModelFolder.read(folder))
        .withMessage(
            folder.resolve(INDEX)
                + ": weight_map must name .safetensors files beside it, got "
                + name.replace('\0', '\ufffd'));
  }

  private static List<Path> files() throws IOException {
    try (Stream<Path> paths = Files.walk(SHARDED)) {
      return paths.filter(Files::isRegularFile).toList();
    }
  }
}

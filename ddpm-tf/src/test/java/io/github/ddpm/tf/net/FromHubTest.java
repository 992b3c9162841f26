package io.github.ddpm.tf.net;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.Images;
import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a process does whose environment names a hub. */
@Timeout(120)
class FromHubTest {
  private static final Path MODEL = Fixtures.path("golden/folder-learned-variance");

  @TempDir Path folder;

  @Test
  void drawsWhatAFolderDraws() throws Exception {
    try (FakeHub server = new FakeHub(MODEL)) {
      assertThat(run(Map.of("HF_ENDPOINT", server.address().toString(), "HF_TOKEN", "hf_secret")))
          .isZero();
      assertThat(server.requests)
          .isNotEmpty()
          .allMatch(request -> request.endsWith(" by Bearer hf_secret"));
    }
    assertThat(folder.resolve("output")).hasContent("drawn 2, told of all: true");
    Path npy = folder.resolve("expected.npy");
    sample(Predictor.load(MODEL, Precision.FLOAT32)).writeNpy(npy);
    assertThat(folder.resolve("images.npy")).hasSameBinaryContentAs(npy);
    assertThat(folder.resolve("log")).content().doesNotContain("hf_secret");

    // The server is gone.
    assertThat(run(Map.of("HF_ENDPOINT", "http://127.0.0.1:1", "HF_HUB_OFFLINE", "1"))).isZero();
    assertThat(folder.resolve("images.npy")).hasSameBinaryContentAs(npy);
  }

  /** Draws with a model of the hub. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) throws IOException {
      AtomicLong last = new AtomicLong();
      Path fetched =
          ModelFiles.fetch(
              FakeHub.NAME,
              "main",
              progress -> {
                last.set(progress.total() - progress.bytes());
                return true;
              });
      Images images = sample(Predictor.fromHub(FakeHub.NAME, "main", Precision.FLOAT32));
      images.writeNpy(Path.of(args[0]));
      System.out.print(
          "drawn "
              + images.count()
              + ", told of all: "
              + (last.get() == 0 && Files.isDirectory(fetched)));
    }
  }

  private static Images sample(Predictor opened) {
    try (Predictor model = opened) {
      return model.sampler().steps(2).seed(1).sample(2);
    }
  }

  private int run(Map<String, String> environment) throws IOException, InterruptedException {
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                folder.resolve("images.npy").toString())
            .redirectOutput(folder.resolve("output").toFile())
            .redirectError(folder.resolve("log").toFile());
    builder.environment().putAll(environment);
    builder.environment().put("HF_HUB_CACHE", folder.resolve("cache").toString());
    return builder.start().waitFor();
  }
}

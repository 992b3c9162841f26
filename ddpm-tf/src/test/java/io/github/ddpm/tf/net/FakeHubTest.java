package io.github.ddpm.tf.net;

import io.github.ddpm.tf.Fixtures;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A test of a hub on this machine that has one model, and an empty cache. */
abstract class FakeHubTest {
  static final Path MODEL = Fixtures.path("golden/folder-condition");
  static final String WEIGHTS = "unet/diffusion_pytorch_model.safetensors";
  static final String COMMIT = FakeHub.COMMIT;

  @TempDir Path cache;

  FakeHub server;

  @BeforeEach
  void start() throws IOException {
    server = new FakeHub(MODEL);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  Path fetch(String revision) throws IOException {
    return hub().fetch(FakeHub.NAME, revision, FakeHub.all());
  }

  Hub hub() {
    return server.hub(cache, false, "");
  }

  /** Returns what is unfinished. */
  List<String> parts() throws IOException {
    return FakeHub.read(cache).keySet().stream().filter(name -> name.endsWith(".part")).toList();
  }
}

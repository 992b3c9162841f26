package io.github.ddpm.tf.net;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.ddpm.tf.Fixtures;
import io.github.ddpm.tf.files.Listing;
import io.github.ddpm.tf.files.ModelFolder;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.lucene.tests.mockfile.FilterFileSystemProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models from servers on this machine that answer, cut off, or are gone. */
class HubTest extends FakeHubTest {
  @Test
  @DisabledOnOs(OS.WINDOWS) // Links take a privilege there.
  void keepsAModelAsPythonDoes() throws IOException {
    Path folder = fetch("main");
    Path root = cache.resolve("models--owner--tiny-model");
    assertThat(folder).isEqualTo(root.resolve("snapshots").resolve(COMMIT));
    Map<String, byte[]> expected = FakeHub.read(MODEL);
    expected.remove("expected.safetensors"); // It is no file of a model.
    assertThat(FakeHub.read(folder)).containsExactlyInAnyOrderEntriesOf(expected);
    assertThat(root.resolve("refs/main")).hasContent(COMMIT);
    assertThat(Files.readSymbolicLink(folder.resolve("model_index.json")))
        .isEqualTo(Path.of("../../blobs", FakeHub.gitBlob(server.files().get("model_index.json"))));
    assertThat(Files.readSymbolicLink(folder.resolve(WEIGHTS)))
        .isEqualTo(Path.of("../../../blobs" + server.stored(WEIGHTS)));
    assertThat(server.requests).doesNotContain(FakeHub.at("expected.safetensors"));
  }

  @Test
  void asksOnlyForTheCommitOnceItIsThere() throws IOException {
    fetch("main");
    int before = server.requests.size();
    fetch("main");
    assertThat(server.requests.subList(before, server.requests.size()))
        .containsExactly(FakeHub.listing("main"));
    fetch(COMMIT);
    assertThat(server.requests).as("nothing is asked for a commit").hasSize(before + 1);
    fetch("refs/pr/1");
    assertThat(server.requests.subList(before + 1, server.requests.size()))
        .containsExactly(FakeHub.listing("refs%2Fpr%2F1"));
    assertThat(cache.resolve("models--owner--tiny-model/refs/refs/pr/1")).hasContent(COMMIT);
  }

  @Test
  void fetchesTheFilesThatAnIndexLists() throws IOException {
    Path sharded = Fixtures.path("golden/folder-sharded");
    try (FakeHub other = new FakeHub(sharded)) {
      Path folder = other.hub(cache, false, "").fetch(FakeHub.NAME, "main", FakeHub.all());
      Map<String, byte[]> expected = FakeHub.read(sharded);
      expected.remove("expected.safetensors");
      assertThat(FakeHub.read(folder)).containsExactlyInAnyOrderEntriesOf(expected);
    }
  }

  @Test
  void aRenamedModelIsWhereTheHubSays() throws IOException {
    server.answer(
        "/api/models/old/name/revision/main?blobs=true", FakeHub.redirect(FakeHub.listing("main")));
    for (String file : server.files().keySet()) {
      server.answer(
          FakeHub.at(file).replace(FakeHub.NAME, "old/name"), FakeHub.redirect(FakeHub.at(file)));
    }
    Path folder = hub().fetch("old/name", "main", FakeHub.all());
    assertThat(folder).startsWith(cache.resolve("models--old--name"));
    assertThat(folder.resolve(WEIGHTS)).hasBinaryContent(server.files().get(WEIGHTS));
  }

  @ParameterizedTest
  @CsvSource({
    "unet/a.bin unet/a.safetensors unet/a.fp16.safetensors, unet/a.safetensors",
    "unet/a.bin unet/a.fp16.safetensors, unet/a.fp16.safetensors",
    "unet/a.bin unet/other.bin, unet/a.bin",
    "unet/a.safetensors.index.fp16.json unet/a.bin, unet/a.safetensors.index.fp16.json"
  })
  void wantsTheWeightsThatAreRead(String there, String chosen) throws IOException {
    List<String> names =
        new ArrayList<>(List.of(there.replace("/a.", "/diffusion_pytorch_model.").split(" ")));
    names.addAll(List.of("README.md", "unet/config.json", "scheduler/scheduler_config.json"));
    assertThat(ModelFolder.choose(Listing.of(Path.of("a"), names)))
        .containsExactly(
            "scheduler/scheduler_config.json",
            "unet/config.json",
            chosen.replace("/a.", "/diffusion_pytorch_model."));
  }

  @Test
  void whatPythonHasDownloadedIsNotDownloadedAgain() throws IOException {
    byte[] weights = server.files().get(WEIGHTS);
    Path blobs = Files.createDirectories(cache.resolve("models--owner--tiny-model/blobs"));
    Files.write(blobs.resolve(FakeHub.sha256(weights)), weights);
    fetch("main");
    assertThat(server.stores).isEmpty();
  }

  @Test
  void whatIsMissingOfACommitIsFetched() throws IOException {
    Path folder = fetch(COMMIT);
    Files.delete(folder.resolve("scheduler/scheduler_config.json"));
    fetch(COMMIT);
    assertThat(folder.resolve("scheduler/scheduler_config.json")).isNotEmptyFile();
    Files.delete(folder.resolve(WEIGHTS));
    fetch(COMMIT);
    assertThat(folder.resolve(WEIGHTS)).isNotEmptyFile();
    assertThat(server.stores).as("it was still there, as a blob").hasSize(1);
  }

  @Test
  void goesOnAfterACut() throws IOException {
    int length = server.files().get(WEIGHTS).length;
    server.answer(server.stored(WEIGHTS), server.cut(WEIGHTS, length / 2));
    Path folder = fetch("main");
    assertThat(server.stores)
        .containsExactly(
            server.stored(WEIGHTS) + " null",
            server.stored(WEIGHTS) + " bytes=" + length / 2 + "-");
    assertThat(folder.resolve(WEIGHTS)).hasBinaryContent(server.files().get(WEIGHTS));
  }

  @Test
  void keepsWhatArrivedForTheNextTime() throws IOException {
    int length = server.files().get(WEIGHTS).length;
    server.answer(
        server.stored(WEIGHTS),
        server.cut(WEIGHTS, 1000),
        FakeHub.status(503),
        FakeHub.status(503));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageStartingWith("cannot download ")
        .withMessageContaining(FakeHub.at(WEIGHTS) + ": ")
        .withMessageContaining("at 1000 of " + length + " bytes")
        .withMessageContaining("HTTP status 503");
    assertThat(cache.resolve("models--owner--tiny-model/refs")).doesNotExist();
    Path folder = fetch("main");
    assertThat(server.stores).last().isEqualTo(server.stored(WEIGHTS) + " bytes=1000-");
    assertThat(folder.resolve(WEIGHTS)).hasBinaryContent(server.files().get(WEIGHTS));
  }

  @Test
  void startsAnewWhereTheServerKnowsNoRanges() throws IOException {
    byte[] weights = server.files().get(WEIGHTS);
    server.answer(server.stored(WEIGHTS), server.cut(WEIGHTS, 1000), FakeHub.body(weights));
    Path folder = fetch("main");
    assertThat(server.stores).last().isEqualTo(server.stored(WEIGHTS) + " bytes=1000-");
    assertThat(folder.resolve(WEIGHTS)).hasBinaryContent(weights);
  }

  @Test
  void withoutANetworkThereIsTheCache() throws IOException {
    Path folder = fetch("main");
    Hub offline = server.hub(cache, true, "");
    int before = server.requests.size();
    assertThat(offline.fetch(FakeHub.NAME, "main", FakeHub.all())).isEqualTo(folder);
    assertThat(offline.fetch(FakeHub.NAME, COMMIT, FakeHub.all())).isEqualTo(folder);
    assertThat(server.requests).hasSize(before);
    server.answer(FakeHub.listing("main"), FakeHub.status(503));
    assertThat(fetch("main")).isEqualTo(folder);
    URI address = server.address();
    server.close();
    assertThat(FakeHub.hub(address, cache, false, "").fetch(FakeHub.NAME, "main", FakeHub.all()))
        .isEqualTo(folder);
  }

  @Test
  void saysThatTheCacheHasNotWhatTheNetworkDoesNotGive() throws IOException {
    Hub offline = server.hub(cache, true, "");
    assertThatIOException()
        .isThrownBy(() -> offline.fetch(FakeHub.NAME, "main", FakeHub.all()))
        .withMessageStartingWith(
            "owner/tiny-model at main is not in the cache " + cache + " (it was never downloaded)")
        .withMessageEndingWith("HF_HUB_OFFLINE is set, so the hub isn't asked");
    Path folder = fetch("main");
    Files.delete(folder.resolve(WEIGHTS));
    assertThatIOException()
        .isThrownBy(() -> offline.fetch(FakeHub.NAME, "main", FakeHub.all()))
        .withMessageContaining(
            "(" + folder.resolve(WEIGHTS) + ": this file is missing), and " + server.address());
    URI address = server.address();
    server.close();
    assertThatIOException()
        .isThrownBy(
            () -> FakeHub.hub(address, cache, false, "").fetch(FakeHub.NAME, "x", FakeHub.all()))
        .withMessageContaining("can't be asked for it: java.net.ConnectException");
  }

  @Test
  void tellsHowFarItIs() throws IOException {
    List<Long> told = new ArrayList<>();
    List<Long> totals = new ArrayList<>();
    hub()
        .fetch(
            FakeHub.NAME,
            "main",
            (bytes, total) -> {
              totals.add(total);
              return told.add(bytes);
            });
    Map<String, byte[]> expected = FakeHub.read(MODEL);
    expected.remove("expected.safetensors");
    long total = expected.values().stream().mapToLong(bytes -> bytes.length).sum();
    assertThat(totals).containsOnly(total);
    assertThat(told).isSorted().endsWith(total).hasSizeGreaterThan(4);
  }

  @Test
  void tellsOfFilesThatAreTheSame() throws IOException {
    server.files().put("scheduler/scheduler_config.json", server.files().get("unet/config.json"));
    List<Long> left = new ArrayList<>();
    hub().fetch(FakeHub.NAME, "main", (bytes, total) -> left.add(total - bytes));
    assertThat(left).endsWith(0L);
    assertThat(server.requests)
        .filteredOn(request -> request.endsWith("config.json"))
        .as("one of the two")
        .hasSize(1);
  }

  @Test
  void aListenerEndsIt() throws IOException {
    assertThatThrownBy(() -> hub().fetch(FakeHub.NAME, "main", (bytes, total) -> bytes < 20_000))
        .isInstanceOf(CancellationException.class)
        .hasMessage("the download of owner/tiny-model was canceled");
    assertThat(parts()).as("what arrived is kept").hasSize(1);
    fetch("main");
    assertThat(server.stores).last().asString().contains("bytes=");
  }

  @Test
  void anInterruptEndsIt() throws IOException {
    assertThatThrownBy(
            () ->
                hub()
                    .fetch(
                        FakeHub.NAME,
                        "main",
                        (bytes, total) -> {
                          Thread.currentThread().interrupt();
                          return true;
                        }))
        .isInstanceOf(InterruptedIOException.class);
    assertThat(Thread.interrupted()).isTrue();
    fetch("main");
  }

  @Test
  void twoAtOnceDownloadOnce() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(2);
    try {
      List<Future<Path>> both =
          List.of(threads.submit(() -> fetch("main")), threads.submit(() -> fetch("main")));
      for (Future<Path> one : both) {
        assertThat(one.get().resolve(WEIGHTS)).hasBinaryContent(server.files().get(WEIGHTS));
      }
    } finally {
      threads.shutdownNow();
    }
    assertThat(server.stores).hasSize(1);
  }

  @Test
  void copiesWhereThereAreNoLinks() throws IOException {
    FilterFileSystemProvider provider =
        new FilterFileSystemProvider("nolinks://", FileSystems.getDefault()) {
          @Override
          public void createSymbolicLink(Path link, Path to, FileAttribute<?>... attributes)
              throws IOException {
            throw new FileSystemException(link.toString(), null, "no privilege");
          }
        };
    Hub hub = server.hub(provider.wrapPath(cache), false, "");
    hub.fetch(FakeHub.NAME, "main", FakeHub.all());
    Path file = cache.resolve("models--owner--tiny-model/snapshots/" + COMMIT).resolve(WEIGHTS);
    assertThat(Files.isSymbolicLink(file)).isFalse();
    assertThat(file).hasBinaryContent(server.files().get(WEIGHTS));
    hub.fetch(FakeHub.NAME, "main", FakeHub.all());
    assertThat(server.stores).hasSize(1);
  }
}

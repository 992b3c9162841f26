package io.github.ddpm.tf.net;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.Throwables;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is refused, of a user and of servers on this machine that lie, redirect and refuse. */
class HubDistrustTest extends FakeHubTest {
  @Test
  void refusesAnotherLength() throws IOException {
    int length = server.files().get(WEIGHTS).length;
    for (int other : new int[] {length - 1, length + 1}) {
      server.answer(server.stored(WEIGHTS), FakeHub.body(new byte[other]));
      assertThatIOException()
          .isThrownBy(() -> fetch("main"))
          .withMessageEndingWith(
              FakeHub.at(WEIGHTS) + ": must have " + length + " bytes, the server has " + other);
      assertThat(parts()).isEmpty();
    }
  }

  @Test
  void refusesMoreBytesThanThereAre() throws IOException {
    int length = server.files().get(WEIGHTS).length;
    server.answer(
        server.stored(WEIGHTS),
        exchange -> {
          exchange.sendResponseHeaders(200, 0); // chunked: no length is stated
          exchange.getResponseBody().write(new byte[length + 100_000]);
        });
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageEndingWith(": must have " + length + " bytes, got more");
    assertThat(parts()).isEmpty();
  }

  @Test
  void refusesOtherBytes() throws IOException {
    byte[] config = server.files().get("unet/config.json").clone();
    config[0]++;
    server.answer(FakeHub.at("unet/config.json"), FakeHub.body(config));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageEndingWith(
            ": SHA-1 must be "
                + FakeHub.gitBlob(server.files().get("unet/config.json"))
                + ", got "
                + FakeHub.gitBlob(config));
    byte[] weights = server.files().get(WEIGHTS);
    byte[] other = weights.clone();
    other[other.length / 2]++;
    server.answer(server.stored(WEIGHTS), FakeHub.body(other));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageEndingWith(
            ": SHA-256 must be " + FakeHub.sha256(weights) + ", got " + FakeHub.sha256(other));
    assertThat(parts()).isEmpty();
  }

  /** The beginning is of other bytes, which only the checksum of all tells. */
  @Test
  void startsAnewAfterAPartOfSomethingElse() throws IOException {
    byte[] weights = server.files().get(WEIGHTS);
    byte[] other = new byte[1000];
    Arrays.fill(other, (byte) 7);
    Path blobs = Files.createDirectories(cache.resolve("models--owner--tiny-model/blobs"));
    Files.write(blobs.resolve(FakeHub.sha256(weights) + ".part"), other);
    Path folder = fetch("main");
    assertThat(server.stores)
        .containsExactly(server.stored(WEIGHTS) + " bytes=1000-", server.stored(WEIGHTS) + " null");
    assertThat(folder.resolve(WEIGHTS)).hasBinaryContent(weights);
  }

  @Test
  void theTokenGoesToTheHubAlone() throws IOException {
    Hub hub = server.hub(cache, false, "hf_secret");
    hub.fetch(FakeHub.NAME, "main", FakeHub.all());
    assertThat(server.requests)
        .contains(FakeHub.at(WEIGHTS) + " by Bearer hf_secret")
        .allMatch(request -> request.endsWith(" by Bearer hf_secret"));
    assertThat(server.stores).containsExactly(server.stored(WEIGHTS) + " null");
  }

  @ParameterizedTest
  @ValueSource(strings = {"ftp://example.org/a", "file:///etc/passwd", "jar:file:/a!/b"})
  void goesToNoOtherKindOfAddress(String address) {
    server.answer(
        FakeHub.at("unet/config.json"),
        Collections.nCopies(3, FakeHub.redirect(address)).toArray(HttpHandler[]::new));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageContaining("it redirects to " + URI.create(address).getScheme() + ":")
        .withMessageContaining("where https is needed");
  }

  @Test
  void fromHttpsItGoesOnlyToHttps() throws IOException {
    URI secure = URI.create("https://hub/a");
    assertThatIOException()
        .isThrownBy(() -> Http.target(secure, secure, "http://hub/b?secret=s"))
        .withMessage("it redirects to http://hub, where https is needed");
    assertThat(Http.target(secure, secure, "/b")).isEqualTo(URI.create("https://hub/b"));
    URI plain = URI.create("http://localhost/a");
    assertThatIOException().isThrownBy(() -> Http.target(plain, secure, null));
    assertThatIOException().isThrownBy(() -> Http.target(plain, plain, "ht tp://"));
  }

  @Test
  void givesUpOnRedirectsInACircle() {
    String path = FakeHub.listing("main");
    server.answer(
        path, Collections.nCopies(20, FakeHub.redirect(path)).toArray(HttpHandler[]::new));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageEndingWith("it redirects more than 10 times");
    assertThat(server.requests).hasSize(11);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"../a", "/etc/a", "a/../../b", "a\\b", "C:a", "a\u0000b", "a\nb", "", "a//b", "."})
  void refusesNamesThatLeadElsewhere(String name) throws IOException {
    server.lieAbout("expected.safetensors", file -> file.put("rfilename", name));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageContaining("not what a hub says: a file's name must lead nowhere else, got ");
    assertThat(FakeHub.read(cache)).isEmpty();
  }

  @Test
  void refusesWhatNoHubSays() {
    Map<String, Consumer<ObjectNode>> lies =
        Map.of(
            "sha must be a commit, got \"..\"", listing -> listing.put("sha", ".."),
            "siblings must be a list, got NUMBER", listing -> listing.put("siblings", 1));
    lies.forEach(
        (message, lie) -> {
          server.lie(lie);
          assertThatIOException()
              .isThrownBy(() -> fetch("main"))
              .withMessageEndingWith("not what a hub says: " + message);
        });
    server.lieAbout(WEIGHTS, file -> file.put("size", 5));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageContaining(WEIGHTS + " must have one size, got 5 and ");
    server.lieAbout("unet/config.json", file -> file.put("blobId", "../x"));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageContaining("unet/config.json must be 40 hexadecimal digits, got \"../x\"");
    server.lie(listing -> listing.put("sha", "f".repeat(40)));
    assertThatIOException()
        .isThrownBy(() -> fetch(COMMIT))
        .withMessageContaining("must be the commit that was asked for, got ffff");
    server.answer(FakeHub.listing("main"), FakeHub.body("<html>".getBytes(UTF_8)));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageContaining("not what a hub says: not JSON");
  }

  @Test
  void refusesWhatDoesNotFitOnTheDisk() {
    long size = 1L << 60;
    server.lieAbout(
        WEIGHTS,
        file -> {
          file.put("size", size);
          ((ObjectNode) file.path("lfs")).put("size", size);
        });
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageMatching(
            "owner/tiny-model needs 11529\\d+ more bytes, and .* has \\d+ free; .*HF_HUB_CACHE.*");
    assertThat(server.stores).isEmpty();
  }

  @Test
  void refusesModelsOfAnotherKindBeforeTheyAreDownloaded() {
    server.files().put("vae/config.json", new byte[1]);
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageContaining(
            Path.of("owner/tiny-model/vae") + ": not supported: a model of pixels");
    server.files().remove("vae/config.json");
    server.files().remove(WEIGHTS);
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessage(Path.of("owner/tiny-model", WEIGHTS) + ": this file is missing");
    assertThat(server.requests).hasSize(2);
  }

  @ParameterizedTest
  @CsvSource({
    "401,'',set the environment variable HF_TOKEN to a token of yours",
    "401,hf_x,the hub doesn't take the token in HF_TOKEN",
    "403,'',accept the conditions on ",
    "403,hf_x,as the user of the token in HF_TOKEN",
    "404,'',check the spelling on ",
    "410,'',the hub refuses it (HTTP status 410)"
  })
  void saysWhatToDoAboutARefusal(int status, String token, String message) throws IOException {
    Hub hub = server.hub(cache, false, token);
    for (String path : List.of(FakeHub.listing("main"), FakeHub.at(WEIGHTS))) {
      server.requests.clear();
      server.answer(path, FakeHub.status(status));
      assertThatThrownBy(() -> hub.fetch(FakeHub.NAME, "main", FakeHub.all()))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith("owner/tiny-model at main: ")
          .hasMessageContaining(message)
          .hasMessageEndingWith("(HTTP status " + status + ")")
          .satisfies(e -> assertThat(Throwables.getStackTraceAsString(e)).doesNotContain("hf_x"));
      assertThat(server.requests)
          .filteredOn(request -> request.startsWith(path))
          .as("it isn't asked again")
          .hasSize(1);
    }
  }

  @Test
  void theStoresRefusalIsNotTheHubs() {
    server.answer(server.stored(WEIGHTS), FakeHub.status(403));
    assertThatIOException()
        .isThrownBy(() -> fetch("main"))
        .withMessageStartingWith("cannot download ")
        .withMessageContaining(FakeHub.at(WEIGHTS) + ": HTTP status 403 from ");
  }

  @Test
  void saysThatTheCacheCannotBeWritten() throws IOException {
    Path file = Files.createFile(cache.resolve("file"));
    assertThatIOException()
        .isThrownBy(() -> server.hub(file, false, "").fetch(FakeHub.NAME, "main", FakeHub.all()))
        .withMessageStartingWith(
            "cannot keep downloads in " + file.resolve("models--owner--tiny-model") + ": ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"model", "../b", "a/..", "a/b/c", "a--b/c", "a b/c", "/b", "a/", "a/b?c"})
  void refusesWhatIsNoName(String name) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> hub().fetch(name, "main", FakeHub.all()))
        .withMessage("a model's name on the hub must be as owner/name, got " + name);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "..", "a/../b", "/a", "a/", "a//b", ".a", "a b", "a\\b", "a?b"})
  void refusesWhatIsNoRevision(String revision) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> hub().fetch(FakeHub.NAME, revision, FakeHub.all()))
        .withMessage("revision must be a branch, a tag or a commit, got " + revision);
  }
}

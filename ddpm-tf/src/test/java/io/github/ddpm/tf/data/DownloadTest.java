package io.github.ddpm.tf.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import com.google.common.hash.Hashing;
import com.google.common.util.concurrent.Uninterruptibles;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import io.github.ddpm.tf.net.Download;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Downloads from servers on this machine that cut off, lie, and serve wrong bytes. */
class DownloadTest {
  private static final String NAME = "file.gz";
  private static final byte[] PLAIN = random(200_000);
  private static final byte[] GZIP = MnistTest.gzip(PLAIN);
  private static final int HALF = GZIP.length / 2;
  private static final String SHA256 = sha256(PLAIN);
  private static final String ETAG = "\"v1\"";

  @TempDir Path folder;

  /** What was asked for: path, Range and If-Range. */
  private final List<String> requests = new CopyOnWriteArrayList<>();

  private final CountDownLatch end = new CountDownLatch(1);
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private HttpServer server;

  @BeforeEach
  void start() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.start();
  }

  @AfterEach
  void stop() {
    end.countDown();
    server.stop(0);
    threads.shutdownNow();
  }

  @Test
  void downloadsOnce() throws IOException {
    serve("/a/", honest(GZIP, ETAG));
    fetch(1, "/a/");
    assertThat(requests).containsExactly("/a/file.gz from null if null");
    assertWhole();
    fetch(1, "/a/");
    assertThat(requests).hasSize(1);
  }

  @Test
  void asksOnlyForTheRestAfterACut() throws IOException {
    serve("/a/", cut(HALF), honest(GZIP, ETAG));
    assertThatIOException()
        .isThrownBy(() -> fetch(1, "/a/"))
        .withMessageStartingWith("cannot download " + folder.resolve(NAME) + "; http://")
        .withMessageMatching(
            ".*/a/file.gz: (the connection ended too early|java.io.IOException: Premature EOF)");
    assertThat(folder.resolve(NAME)).doesNotExist();
    fetch(1, "/a/");
    assertThat(requests)
        .containsExactly(
            "/a/file.gz from null if null", "/a/file.gz from bytes=" + HALF + "- if " + ETAG);
    assertWhole();
  }

  @Test
  void goesOnFromAnotherMirrorOfTheSameFile() throws IOException {
    serve("/a/", cut(HALF));
    serve("/b/", honest(GZIP, ETAG));
    fetch(1, "/a/", "/b/");
    assertThat(requests).last().isEqualTo("/b/file.gz from bytes=" + HALF + "- if " + ETAG);
    assertWhole();
  }

  @Test
  void startsAnewWhenTheServerIgnoresRange() throws IOException {
    serve("/a/", cut(HALF), whole(GZIP, ETAG));
    fetch(2, "/a/");
    assertThat(requests).hasSize(2).last().asString().contains("bytes=" + HALF);
    assertWhole();
  }

  @Test
  void startsAnewWhenTheFileHasChanged() throws IOException {
    serve("/a/", cut(HALF), honest(MnistTest.gzip(PLAIN.clone()), "\"v2\""));
    fetch(2, "/a/");
    assertThat(requests).hasSize(2).last().asString().contains("bytes=" + HALF);
    assertWhole();
  }

  @Test
  void startsAnewWithoutAnEtagToTellWhetherTheFileIsTheSame() throws IOException {
    serve(
        "/a/", respond(200, GZIP.length, Arrays.copyOf(GZIP, HALF), Map.of()), honest(GZIP, ETAG));
    fetch(2, "/a/");
    assertThat(requests).containsOnly("/a/file.gz from null if null").hasSize(2);
    assertWhole();
  }

  @Test
  void startsAnewAfterARangeThatWasNotAskedFor() throws IOException {
    HttpHandler wrongRange =
        respond(
            206,
            GZIP.length - 7,
            Arrays.copyOfRange(GZIP, 7, GZIP.length),
            Map.of("Content-Range", "bytes 7-9/10"));
    serve("/a/", cut(HALF), wrongRange, honest(GZIP, ETAG));
    fetch(3, "/a/");
    assertThat(requests).hasSize(3).last().isEqualTo("/a/file.gz from null if null");
    assertWhole();
  }

  @Test
  void startsAnewWhenThereIsNoRest() throws IOException {
    // The end of the file got lost by the server, then it knows of no more.
    serve(
        "/a/",
        respond(200, HALF, Arrays.copyOf(GZIP, HALF), Map.of("ETag", ETAG)),
        respond(416, -1, new byte[0], Map.of()),
        honest(GZIP, ETAG));
    fetch(3, "/a/");
    assertThat(requests).hasSize(3).last().isEqualTo("/a/file.gz from null if null");
    assertWhole();
  }

  @Test
  void doesNotBelieveALengthThatIsTooLong() throws IOException {
    serve("/a/", respond(200, GZIP.length + 1000, GZIP, Map.of()));
    fetch(1, "/a/");
    assertThat(requests).hasSize(1);
    assertWhole();
  }

  @Test
  void doesNotBelieveALengthThatIsTooShort() throws IOException {
    serve(
        "/a/",
        respond(200, HALF, Arrays.copyOf(GZIP, HALF), Map.of("ETag", ETAG)),
        honest(GZIP, ETAG));
    fetch(2, "/a/");
    assertThat(requests).last().isEqualTo("/a/file.gz from bytes=" + HALF + "- if " + ETAG);
    assertWhole();
  }

  @Test
  void givesUpOnAServerThatFallsSilent() throws IOException {
    HttpHandler silent =
        exchange -> {
          exchange.getResponseHeaders().set("ETag", ETAG);
          exchange.sendResponseHeaders(200, GZIP.length);
          exchange.getResponseBody().write(GZIP, 0, HALF);
          exchange.getResponseBody().flush();
          Uninterruptibles.awaitUninterruptibly(end);
          exchange.close();
        };
    serve("/a/", silent, honest(GZIP, ETAG));
    fetch(2, "/a/");
    assertThat(requests).last().isEqualTo("/a/file.gz from bytes=" + HALF + "- if " + ETAG);
    assertWhole();
  }

  @Test
  void endsWithAServerThatSendsOneByteNowAndThen() throws IOException {
    HttpHandler slow =
        exchange -> {
          exchange.getResponseHeaders().set("ETag", ETAG);
          exchange.sendResponseHeaders(200, GZIP.length);
          for (byte value : GZIP) {
            exchange.getResponseBody().write(value);
            exchange.getResponseBody().flush();
            Uninterruptibles.sleepUninterruptibly(Duration.ofMillis(50));
          }
        };
    serve("/a/", slow);
    serve("/b/", honest(GZIP, ETAG));
    assertThatIOException()
        .isThrownBy(() -> limited("/a/", "/b/").fetch(NAME, SHA256, folder))
        .withMessageEndingWith("/a/file.gz: java.io.IOException: it takes longer than PT1S");
    assertThat(requests).as("no time is left for others").hasSize(1);
    fetch(1, "/b/");
    assertThat(requests).last().asString().as("what there is, is kept").contains("bytes=");
    assertWhole();
  }

  @Test
  void namesTheProcessThatItWaitedFor() throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            folder.resolve(".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      channel.write(UTF_8.encode("4711"));
      FileLock lock = channel.lock();
      assertThatIOException()
          .isThrownBy(() -> limited("/a/").fetch(NAME, SHA256, folder))
          .withMessage(
              "process 4711 has held the lock "
                  + folder.resolve(".lock")
                  + " for longer than PT1S");
      lock.release();
    }
    serve("/a/", honest(GZIP, ETAG));
    fetch(1, "/a/");
    assertThat(folder.resolve(".lock")).hasContent(String.valueOf(ProcessHandle.current().pid()));
  }

  private Download limited(String... paths) {
    Download download = download(3, paths);
    return new Download(
        download.mirrors(), 3, Duration.ofSeconds(1), Duration.ZERO, Duration.ofSeconds(1));
  }

  @Test
  void refusesWrongBytes() throws IOException {
    byte[] other = random(1000);
    serve("/a/", honest(MnistTest.gzip(other), ETAG));
    assertThatIOException()
        .isThrownBy(() -> fetch(2, "/a/"))
        .withMessageEndingWith(
            "/a/file.gz: SHA-256 of the uncompressed bytes must be "
                + SHA256
                + ", got "
                + sha256(other));
    assertThat(files()).doesNotContain(NAME, NAME + ".part");
    serve("/b/", honest(GZIP, ETAG));
    fetch(1, "/a/", "/b/");
    assertWhole();
  }

  @Test
  void refusesWhatIsNoGzip() throws IOException {
    serve("/a/", whole("<html>Please log in</html>".getBytes(UTF_8), ETAG));
    assertThatIOException()
        .isThrownBy(() -> fetch(1, "/a/"))
        .withMessageEndingWith("must be " + SHA256 + ", got none: Not in GZIP format");
    assertThat(files()).doesNotContain(NAME, NAME + ".part");
  }

  @Test
  void refusesGzipBombsAndEndlessBodies() throws IOException {
    HttpHandler endless =
        exchange -> {
          exchange.sendResponseHeaders(200, 0); // chunked
          byte[] zeros = new byte[1 << 16];
          while (true) { // until the other side hangs up
            exchange.getResponseBody().write(zeros);
          }
        };
    serve("/a/", endless);
    serve("/b/", whole(MnistTest.gzip(new byte[(1 << 26) + 1]), ETAG));
    assertThatIOException()
        .isThrownBy(() -> fetch(1, "/a/", "/b/"))
        .withMessageContaining("/a/file.gz: SHA-256 of the")
        .withMessageContaining("/b/file.gz: SHA-256 of the");
    assertThat(files()).doesNotContain(NAME, NAME + ".part");
  }

  @Test
  void triesTheNextMirrorAfterAnError() throws IOException {
    serve("/a/", respond(404, -1, new byte[0], Map.of()));
    serve("/b/", honest(GZIP, ETAG));
    fetch(1, "/a/", "/b/");
    assertWhole();
    assertThatIOException()
        .isThrownBy(() -> download(3, "/a/").fetch("other.gz", SHA256, folder))
        .withMessageEndingWith("/a/other.gz: HTTP status 404");
  }

  @Test
  void replacesADamagedFileAndKeepsItUntilThen() throws IOException {
    byte[] damaged = Arrays.copyOf(GZIP, 100);
    Files.write(folder.resolve(NAME), damaged);
    serve("/a/", respond(503, -1, new byte[0], Map.of()), honest(GZIP, ETAG));
    assertThatIOException().isThrownBy(() -> fetch(1, "/a/"));
    assertThat(folder.resolve(NAME)).hasBinaryContent(damaged);
    fetch(1, "/a/");
    assertWhole();
  }

  @Test
  void twoAtOnceDownloadOnce() throws IOException {
    serve("/a/", honest(GZIP, ETAG));
    IntStream.range(0, 2)
        .mapToObj(
            i ->
                threads.submit(
                    () -> {
                      fetch(1, "/a/");
                      return null;
                    }))
        .toList()
        .forEach(
            future -> {
              try {
                Uninterruptibles.getUninterruptibly(future);
              } catch (ExecutionException e) {
                throw new AssertionError(e);
              }
            });
    assertThat(requests).hasSize(1);
    assertWhole();
  }

  @Test
  void saysWhichFolderItCannotUse() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    assertThatIOException()
        .isThrownBy(() -> download(1, "/a/").fetch(NAME, SHA256, file.resolve("cache")))
        .withMessageStartingWith("cannot keep downloads in " + file.resolve("cache"));
  }

  @Test
  void mnistComesFromAMirror() throws IOException {
    byte[] images = MnistTest.idx(2051, new int[] {1, 1, 2}, 7, 8);
    byte[] labels = MnistTest.idx(2049, new int[] {1}, 3);
    serve("/a/", whole(MnistTest.gzip(images), ETAG), whole(MnistTest.gzip(labels), ETAG));
    Dataset dataset =
        Mnist.download(
            Mnist.Split.TEST,
            folder.resolve("new"),
            download(1, "/a/"),
            Map.of(
                "t10k-images-idx3-ubyte",
                sha256(images),
                "t10k-labels-idx1-ubyte",
                sha256(labels)));
    assertThat(MnistTest.bytes(dataset, 0)).containsExactly(7, 8);
    assertThat(dataset.label(0)).isEqualTo(3);
    assertThat(requests)
        .containsExactly(
            "/a/t10k-images-idx3-ubyte.gz from null if null",
            "/a/t10k-labels-idx1-ubyte.gz from null if null");
  }

  private void fetch(int rounds, String... paths) throws IOException {
    download(rounds, paths).fetch(NAME, SHA256, folder);
  }

  private Download download(int rounds, String... paths) {
    List<URI> mirrors =
        Arrays.stream(paths)
            .map(path -> URI.create("http:/" + server.getAddress() + path))
            .toList();
    return new Download(
        mirrors, rounds, Duration.ofSeconds(1), Duration.ZERO, Duration.ofSeconds(60));
  }

  private void assertWhole() throws IOException {
    assertThat(folder.resolve(NAME)).hasBinaryContent(GZIP);
    assertThat(files()).containsExactlyInAnyOrder(NAME, ".lock");
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  /** Answers the first request with the first of the handlers, and so on; the last stays. */
  private void serve(String path, HttpHandler... handlers) {
    List<HttpHandler> left = new CopyOnWriteArrayList<>(handlers);
    server.createContext(
        path,
        exchange -> {
          requests.add(
              exchange.getRequestURI()
                  + " from "
                  + exchange.getRequestHeaders().getFirst("Range")
                  + " if "
                  + exchange.getRequestHeaders().getFirst("If-Range"));
          try (exchange) {
            (left.size() > 1 ? left.remove(0) : left.get(0)).handle(exchange);
          }
        });
  }

  /** As RFC 9110 says: the rest if its condition holds, else everything. */
  private static HttpHandler honest(byte[] body, String etag) {
    return exchange -> {
      String range = exchange.getRequestHeaders().getFirst("Range");
      if (range == null || !etag.equals(exchange.getRequestHeaders().getFirst("If-Range"))) {
        whole(body, etag).handle(exchange);
        return;
      }
      int from = Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
      String content = "bytes " + from + "-" + (body.length - 1) + "/" + body.length;
      respond(
              206,
              body.length - from,
              Arrays.copyOfRange(body, from, body.length),
              Map.of("ETag", etag, "Content-Range", content))
          .handle(exchange);
    };
  }

  private static HttpHandler whole(byte[] body, String etag) {
    return respond(200, body.length, body, Map.of("ETag", etag));
  }

  private static HttpHandler cut(int length) {
    return respond(200, GZIP.length, Arrays.copyOf(GZIP, length), Map.of("ETag", ETAG));
  }

  private static HttpHandler respond(
      int status, int statedLength, byte[] body, Map<String, String> headers) {
    return exchange -> {
      headers.forEach(exchange.getResponseHeaders()::set);
      exchange.sendResponseHeaders(status, statedLength);
      exchange.getResponseBody().write(body);
      exchange.getResponseBody().flush();
    };
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  private static String sha256(byte[] bytes) {
    return Hashing.sha256().hashBytes(bytes).toString();
  }
}

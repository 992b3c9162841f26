package io.github.ddpm.tf.net;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.hash.Hashing;
import com.google.common.io.BaseEncoding;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import io.github.ddpm.tf.files.Json;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A hub of one model on this machine, and a second server that has its large files, to which it
 * sends whoever wants one. It may be told to answer otherwise.
 */
final class FakeHub implements AutoCloseable {
  static final String NAME = "owner/tiny-model";
  static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

  /** What was asked for: path, and who asked if that was said. */
  final List<String> requests = new CopyOnWriteArrayList<>();

  /** What the second server was asked for: name, the range, and who asked if that was said. */
  final List<String> stores = new CopyOnWriteArrayList<>();

  private final Map<String, byte[]> files = new TreeMap<>();
  private final Map<String, Queue<HttpHandler>> answers = new ConcurrentHashMap<>();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final HttpServer hub;
  private final HttpServer store;
  private Consumer<ObjectNode> lie = listing -> {};

  /** Starts a hub with the files of a folder, those of weights as large ones. */
  FakeHub(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.filter(Files::isRegularFile).toList()) {
        files.put(folder.relativize(path).toString().replace('\\', '/'), Files.readAllBytes(path));
      }
    }
    hub = serve(this::hub);
    store = serve(this::store);
  }

  private HttpServer serve(HttpHandler handler) throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          try (exchange) {
            handler.handle(exchange);
          }
        });
    server.setExecutor(threads);
    server.start();
    return server;
  }

  URI address() {
    return address(hub);
  }

  /** Makes what is tested. */
  Hub hub(Path cache, boolean offline, String token) {
    return hub(address(), cache, offline, token);
  }

  static Hub hub(URI address, Path cache, boolean offline, String token) {
    return new Hub(
        new HubSettings(
            address,
            token.isEmpty() ? Optional.empty() : Optional.of(new Token("HF_TOKEN", token, address)),
            cache,
            offline,
            3,
            Duration.ofSeconds(5),
            Duration.ofMillis(1)));
  }

  /** Wants everything, and no word about it. */
  static HubListener all() {
    return (bytes, total) -> true;
  }

  private static URI address(HttpServer server) {
    return URI.create("http:/" + server.getAddress() + "/");
  }

  Map<String, byte[]> files() {
    return files;
  }

  /** Changes what the hub says of the model. */
  void lie(Consumer<ObjectNode> change) {
    lie = change;
  }

  /** Changes what the hub says of a file. */
  void lieAbout(String file, Consumer<ObjectNode> change) {
    lie(
        listing ->
            listing
                .path("siblings")
                .forEach(
                    sibling -> {
                      if (sibling.path("rfilename").asText().equals(file)) {
                        change.accept((ObjectNode) sibling);
                      }
                    }));
  }

  /** Answers the next requests for a path so, one by one. */
  void answer(String path, HttpHandler... handlers) {
    answers.put(path, new ConcurrentLinkedQueue<>(List.of(handlers)));
  }

  /** Where the hub has a file. */
  static String at(String file) {
    return "/" + NAME + "/resolve/" + COMMIT + "/" + file;
  }

  /** Where the hub says what it has. */
  static String listing(String revision) {
    return "/api/models/" + NAME + "/revision/" + revision + "?blobs=true";
  }

  /** Where the second server has a large file. */
  String stored(String file) {
    return "/" + sha256(files.get(file));
  }

  static HttpHandler status(int status) {
    return exchange -> exchange.sendResponseHeaders(status, -1);
  }

  static HttpHandler redirect(String to) {
    return exchange -> {
      exchange.getResponseHeaders().set("Location", to);
      exchange.sendResponseHeaders(302, -1);
    };
  }

  /** Sends other bytes than were asked for. */
  static HttpHandler body(byte[] bytes) {
    return exchange -> {
      exchange.sendResponseHeaders(200, bytes.length);
      exchange.getResponseBody().write(bytes);
    };
  }

  /** Breaks the connection after so many bytes of a large file. */
  HttpHandler cut(String file, int length) {
    byte[] bytes = files.get(file);
    return exchange -> {
      exchange.getResponseHeaders().set("ETag", "\"" + sha256(bytes) + "\"");
      exchange.sendResponseHeaders(200, bytes.length);
      exchange.getResponseBody().write(bytes, 0, length);
      exchange.getResponseBody().flush();
    };
  }

  private void hub(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().toString();
    requests.add(path + asker(exchange));
    Queue<HttpHandler> queue = answers.getOrDefault(path, new ConcurrentLinkedQueue<>());
    HttpHandler next = queue.poll();
    String prefix = at("");
    if (next != null) {
      next.handle(exchange);
    } else if (path.equals(listing("main"))
        || path.equals(listing("refs%2Fpr%2F1"))
        || path.equals(listing(COMMIT))) {
      body(listing()).handle(exchange);
    } else if (path.startsWith(prefix) && files.containsKey(path.substring(prefix.length()))) {
      byte[] bytes = files.get(path.substring(prefix.length()));
      if (isLarge(path)) {
        redirect(address(store) + sha256(bytes) + "?secret=s").handle(exchange);
      } else {
        body(bytes).handle(exchange);
      }
    } else {
      status(404).handle(exchange);
    }
  }

  private void store(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    String range = exchange.getRequestHeaders().getFirst("Range");
    stores.add(path + " " + range + asker(exchange));
    Queue<HttpHandler> queue = answers.getOrDefault(path, new ConcurrentLinkedQueue<>());
    HttpHandler next = queue.poll();
    if (next != null) {
      next.handle(exchange);
      return;
    }
    byte[] bytes =
        files.values().stream()
            .filter(some -> path.equals("/" + sha256(some)))
            .findFirst()
            .orElseThrow();
    exchange.getResponseHeaders().set("ETag", "\"" + sha256(bytes) + "\"");
    if (range == null) {
      body(bytes).handle(exchange);
      return;
    }
    int from = Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
    exchange
        .getResponseHeaders()
        .set("Content-Range", "bytes " + from + "-" + (bytes.length - 1) + "/" + bytes.length);
    exchange.sendResponseHeaders(206, bytes.length - from);
    exchange.getResponseBody().write(Arrays.copyOfRange(bytes, from, bytes.length));
  }

  private static String asker(HttpExchange exchange) {
    String asker = exchange.getRequestHeaders().getFirst("Authorization");
    return asker == null ? "" : " by " + asker;
  }

  private byte[] listing() throws IOException {
    ObjectNode listing = Json.object();
    listing.put("id", NAME).put("sha", COMMIT);
    files.forEach(
        (name, bytes) -> {
          ObjectNode sibling = listing.withArray("siblings").addObject();
          sibling.put("rfilename", name).put("size", bytes.length).put("blobId", gitBlob(bytes));
          if (isLarge(name)) {
            sibling.putObject("lfs").put("sha256", sha256(bytes)).put("size", bytes.length);
          }
        });
    lie.accept(listing);
    return Json.MAPPER.writeValueAsBytes(listing);
  }

  private static boolean isLarge(String name) {
    return name.endsWith(".safetensors");
  }

  static String sha256(byte[] bytes) {
    return Hashing.sha256().hashBytes(bytes).toString();
  }

  /** What git hash-object prints. */
  static String gitBlob(byte[] bytes) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-1");
      digest.update(("blob " + bytes.length + "\0").getBytes(UTF_8));
      return BaseEncoding.base16().lowerCase().encode(digest.digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  /** Returns the files of a folder by their names. */
  static Map<String, byte[]> read(Path folder) throws IOException {
    Map<String, byte[]> read = new LinkedHashMap<>();
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.filter(Files::isRegularFile).sorted().toList()) {
        read.put(folder.relativize(path).toString().replace('\\', '/'), Files.readAllBytes(path));
      }
    }
    return read;
  }

  @Override
  public void close() {
    hub.stop(0);
    store.stop(0);
    threads.shutdownNow();
  }
}

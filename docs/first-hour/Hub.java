import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A hub of one model on this machine: it says which files a model has, and sends them. */
public class Hub {
  private static final int PORT = 8080;
  private static final List<String> FILES =
      List.of(
          "model_index.json",
          "scheduler/scheduler_config.json",
          "unet/config.json",
          "unet/diffusion_pytorch_model.safetensors");

  private Hub() {}

  /**
   * Serves a model until the process ends.
   *
   * @param args the model's name, such as {@code me/shapes}, and its folder
   */
  public static void main(String... args) throws IOException, GeneralSecurityException {
    String name = args[0];
    Map<String, byte[]> files = new TreeMap<>();
    List<String> descriptions = new ArrayList<>();
    MessageDigest commit = MessageDigest.getInstance("SHA-1");
    for (String file : FILES) {
      byte[] bytes = Files.readAllBytes(Path.of(args[1], file));
      files.put(file, bytes);
      commit.update(bytes);
      byte[] sum = MessageDigest.getInstance("SHA-256").digest(bytes);
      descriptions.add(
          """
          {"rfilename": "%s", "size": %d, "lfs": {"sha256": "%s", "size": %2$d}}"""
              .formatted(file, bytes.length, HexFormat.of().formatHex(sum)));
    }
    String sha = HexFormat.of().formatHex(commit.digest());
    byte[] model =
        """
        {"id": "%s", "sha": "%s", "siblings": [%s]}"""
            .formatted(name, sha, String.join(", ", descriptions))
            .getBytes(UTF_8);
    String root = "/" + name + "/resolve/" + sha + "/";
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), PORT), 0);
    server.createContext("/", exchange -> send(exchange, null));
    server.createContext("/api/models/" + name + "/", exchange -> send(exchange, model));
    server.createContext(
        root,
        exchange ->
            send(exchange, files.get(exchange.getRequestURI().getPath().substring(root.length()))));
    server.start();
    System.out.println(name + " is at http://localhost:" + PORT);
  }

  private static void send(HttpExchange exchange, byte[] body) throws IOException {
    try (exchange) {
      if (body == null) {
        exchange.sendResponseHeaders(404, -1);
      } else {
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
      }
    }
  }
}

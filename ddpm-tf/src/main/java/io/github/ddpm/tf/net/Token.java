package io.github.ddpm.tf.net;

import static com.google.common.base.Preconditions.checkArgument;

import java.net.HttpURLConnection;
import java.net.URI;

/** A secret that tells one server who asks. It goes to no other, and is in no message. */
final class Token {
  private final String value;
  private final URI server;

  /**
   * Keeps a secret.
   *
   * @param variable of the environment that has it, for messages
   * @param server that gets it, and only there
   */
  Token(String variable, String value, URI server) {
    // The runtime's own message about a bad header would show it.
    checkArgument(
        value.matches("[!-~]+"), "%s must be ASCII characters without spaces between", variable);
    this.value = value;
    this.server = server;
  }

  /** Adds it to a request, if that is to its server. */
  void addTo(HttpURLConnection request, URI to) {
    if (to.getScheme().equalsIgnoreCase(server.getScheme())
        && to.getHost().equalsIgnoreCase(server.getHost())
        && port(to) == port(server)) {
      request.setRequestProperty("Authorization", "Bearer " + value);
    }
  }

  private static int port(URI uri) {
    if (uri.getPort() >= 0) {
      return uri.getPort();
    }
    return uri.getScheme().equalsIgnoreCase("https") ? 443 : 80;
  }

  @Override
  public String toString() {
    return "a token for " + server;
  }
}

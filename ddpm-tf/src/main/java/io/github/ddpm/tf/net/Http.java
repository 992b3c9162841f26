package io.github.ddpm.tf.net;

import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Asks servers for what they have, and follows where they send us: from HTTPS only to HTTPS.
 *
 * @param timeout how long to wait for a connection, and for each next piece
 * @param token that tells one of the servers who asks
 */
record Http(Duration timeout, Optional<Token> token) {
  private static final int MAX_REDIRECTS = 10;

  private static final Set<Integer> REDIRECTS =
      Set.of(
          HttpURLConnection.HTTP_MOVED_PERM,
          HttpURLConnection.HTTP_MOVED_TEMP,
          HttpURLConnection.HTTP_SEE_OTHER,
          307,
          308);

  /**
   * Asks for a resource. The answer may have any status but that of a redirect.
   *
   * @throws IOException if no server answers, or it leads nowhere that we go
   */
  HttpURLConnection get(URI source, Map<String, String> headers) throws IOException {
    URI at = source;
    for (int redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      HttpURLConnection connection = open(at, headers);
      boolean found = false;
      try {
        if (!REDIRECTS.contains(connection.getResponseCode())) {
          found = true;
          return connection;
        }
        at = target(source, at, connection.getHeaderField("Location"));
      } finally {
        if (!found) {
          connection.disconnect();
        }
      }
    }
    throw new IOException("it redirects more than " + MAX_REDIRECTS + " times");
  }

  private HttpURLConnection open(URI uri, Map<String, String> headers) throws IOException {
    // Not java.net.http: before JDK 26 its timeouts end with the headers (JDK-8208693), so a server
    // that falls silent inside a body would hold us forever.
    HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
    connection.setInstanceFollowRedirects(false);
    connection.setConnectTimeout((int) timeout.toMillis());
    connection.setReadTimeout((int) timeout.toMillis());
    headers.forEach(connection::setRequestProperty);
    token.ifPresent(some -> some.addTo(connection, uri));
    return connection;
  }

  static URI target(URI source, URI at, String location) throws IOException {
    if (location == null) {
      throw new IOException("it redirects without saying where to");
    }
    URI to;
    try {
      to = at.resolve(location);
    } catch (IllegalArgumentException e) {
      throw new IOException("it redirects to what is no address: " + Excerpt.of(location), e);
    }
    String scheme = String.valueOf(to.getScheme()).toLowerCase(Locale.ROOT);
    boolean plain = scheme.equals("http") && source.getScheme().equalsIgnoreCase("http");
    if (!(scheme.equals("https") || plain) || to.getHost() == null) {
      // Without what may be a secret in its query.
      throw new IOException(
          "it redirects to %s, where https is needed"
              .formatted(Excerpt.of(scheme + "://" + to.getHost())));
    }
    return to;
  }
}

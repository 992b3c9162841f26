package io.github.ddpm.tf.net;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Strings;
import io.github.ddpm.spi.Excerpt;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * Where a hub is and how to ask it, as the environment variables of Python's huggingface_hub say.
 *
 * @param endpoint {@code HF_ENDPOINT}: the hub's address, with a slash at its end
 * @param token {@code HF_TOKEN}: tells the hub who asks
 * @param cache {@code HF_HUB_CACHE}, or {@code hub} in {@code HF_HOME}: what was downloaded
 * @param offline {@code HF_HUB_OFFLINE}: whether nothing but the cache is to be asked
 * @param rounds how often to try
 * @param timeout how long to wait for a connection, and for each next piece
 * @param pause before trying again
 */
record HubSettings(
    URI endpoint,
    Optional<Token> token,
    Path cache,
    boolean offline,
    int rounds,
    Duration timeout,
    Duration pause) {
  private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");

  /**
   * Reads the settings.
   *
   * @param variable answers what an environment variable is, or null
   * @param home the user's
   * @throws IllegalArgumentException if one is not what it must be; the message names it
   */
  static HubSettings of(UnaryOperator<String> variable, Path home) {
    URI endpoint = endpoint(get(variable, "HF_ENDPOINT").orElse("https://huggingface.co"));
    return new HubSettings(
        endpoint,
        get(variable, "HF_TOKEN").map(value -> new Token("HF_TOKEN", value, endpoint)),
        cache(variable, home),
        TRUE.contains(get(variable, "HF_HUB_OFFLINE").orElse("").toUpperCase(Locale.ROOT)),
        5,
        Duration.ofSeconds(30),
        Duration.ofSeconds(1));
  }

  private static URI endpoint(String value) {
    URI uri = null;
    try {
      uri = URI.create(value.replaceFirst("/*$", "/"));
    } catch (IllegalArgumentException e) {
      // Said below: its own message may span lines.
    }
    checkArgument(
        uri != null
            && ("https".equalsIgnoreCase(uri.getScheme())
                || "http".equalsIgnoreCase(uri.getScheme()))
            && uri.getHost() != null
            && uri.getUserInfo() == null
            && uri.getQuery() == null
            && uri.getFragment() == null,
        "HF_ENDPOINT must be an address as https://huggingface.co, got %s",
        Excerpt.of(value.replaceFirst("//.*@", "//...@"))); // A password may be before the @.
    return uri;
  }

  private static Path cache(UnaryOperator<String> variable, Path home) {
    return get(variable, "HF_HUB_CACHE")
        .map(folder -> path(folder, home))
        .orElseGet(
            () ->
                get(variable, "HF_HOME")
                    .map(folder -> path(folder, home))
                    .orElseGet(
                        () ->
                            get(variable, "XDG_CACHE_HOME")
                                .map(folder -> path(folder, home))
                                .orElse(home.resolve(".cache"))
                                .resolve("huggingface"))
                    .resolve("hub"));
  }

  /** A shell leaves a {@code ~} in quotes as it is, and Python doesn't. */
  private static Path path(String folder, Path home) {
    return folder.matches("~([/\\\\].*)?")
        ? home.resolve(folder.substring(Math.min(2, folder.length())))
        : Path.of(folder);
  }

  private static Optional<String> get(UnaryOperator<String> variable, String name) {
    return Optional.of(Strings.nullToEmpty(variable.apply(name)).strip())
        .filter(value -> !value.isEmpty());
  }
}

package io.github.ddpm.tf;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Objects;

/** Where the shared fixtures are. */
final class Fixtures {
  private Fixtures() {}

  static Path path(String name) {
    try {
      return Path.of(Objects.requireNonNull(Fixtures.class.getResource("/" + name), name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(name, e);
    }
  }
}

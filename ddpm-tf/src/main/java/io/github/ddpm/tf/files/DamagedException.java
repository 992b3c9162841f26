package io.github.ddpm.tf.files;

import java.io.IOException;

/**
 * A file of a save is not what was saved. Unlike what else may keep it from being read, that
 * doesn't pass.
 */
final class DamagedException extends IOException {
  private static final long serialVersionUID = 1;

  DamagedException(String message) {
    super(message);
  }
}

package io.github.ddpm.tf.net;

import java.io.IOException;

/** A server's answer that is no success. */
final class StatusException extends IOException {
  private static final long serialVersionUID = 1;
  private static final int REQUEST_TIMEOUT = 408;
  private static final int TOO_EARLY = 425;
  private static final int TOO_MANY_REQUESTS = 429;

  private final int status;

  StatusException(int status) {
    super("HTTP status " + status);
    this.status = status;
  }

  int status() {
    return status;
  }

  /** Tells whether the same request would be refused again. */
  boolean isLasting() {
    return status >= 400
        && status < 500
        && status != REQUEST_TIMEOUT
        && status != TOO_EARLY
        && status != TOO_MANY_REQUESTS
        && status != Download.RANGE_NOT_SATISFIABLE;
  }
}

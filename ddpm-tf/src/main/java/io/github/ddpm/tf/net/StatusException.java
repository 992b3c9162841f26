package io.github.ddpm.tf.net;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;

/** A server's answer that is no success. */
final class StatusException extends IOException {
  private static final long serialVersionUID = 1;
  private static final int REQUEST_TIMEOUT = 408;
  private static final int TOO_EARLY = 425;
  private static final int TOO_MANY_REQUESTS = 429;

  private final int status;

  /** Whether it is that of a server that the one which was asked had sent us to. */
  private final boolean isFromElsewhere;

  StatusException(int status, URI asked, HttpURLConnection answered) {
    this(status, asked.getAuthority(), answered.getURL().getAuthority());
  }

  private StatusException(int status, String asked, String answered) {
    super("HTTP status " + status + (answered.equals(asked) ? "" : " from " + answered));
    this.status = status;
    isFromElsewhere = !answered.equals(asked);
  }

  boolean isFromElsewhere() {
    return isFromElsewhere;
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

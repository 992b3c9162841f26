package io.github.ddpm.tf.net;

/** Is told how far a download has come. */
public interface HubListener {
  /**
   * Takes note.
   *
   * @param bytes that are there
   * @param total that there will be
   * @return whether to go on
   */
  boolean received(long bytes, long total);
}

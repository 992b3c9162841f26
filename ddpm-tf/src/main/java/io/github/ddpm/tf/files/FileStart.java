package io.github.ddpm.tf.files;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import io.github.ddpm.spi.Excerpt;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The first bytes of a file, which tell what it is that a download left under another name.
 *
 * @param text a character a byte
 */
record FileStart(String text) {
  private static final int BYTES = 64;
  private static final String ZIP = "PK\3\4";

  /** The newest protocol of pickles, which the second byte of one says. */
  private static final int MAX_PROTOCOL = 5;

  static FileStart of(OpenFile file) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(file.size(), BYTES));
    return new FileStart(new String(file.read(0, bytes).array(), ISO_8859_1));
  }

  /** Tells whether the file is a zip archive, as PyTorch has written them since 1.6. */
  boolean isZip() {
    return text.startsWith(ZIP);
  }

  /** Tells whether the file is a pickle outside of any archive. */
  boolean isPickle() {
    return text.length() > 1 && text.charAt(0) == '\200' && text.charAt(1) <= MAX_PROTOCOL;
  }

  /** Tells whether a JSON object follows its length. */
  boolean isSafeTensors() {
    return text.startsWith("{", Long.BYTES);
  }

  /**
   * Says what the file is, if it is nothing of ours; "" if that isn't known.
   *
   * @param expected what its name says
   */
  String describe(String expected) {
    if (text.isEmpty()) {
      return "this file is empty";
    }
    if (text.startsWith("version https://git-lfs")) {
      return "this is a pointer of Git LFS, not the file itself, which `git lfs pull` brings";
    }
    if (text.stripLeading().startsWith("<")) {
      return "this is a web page or XML, not " + expected + ": it may be a login page or an error";
    }
    return text.chars().allMatch(c -> c >= ' ' || Character.isWhitespace(c))
        ? "this is text, not " + expected + ": " + Excerpt.of(text)
        : "";
  }
}

package io.github.ddpm.spi;

/**
 * What messages show of a file's content: no more than 200 characters, and none that would do
 * something to a terminal or a log instead of being shown.
 */
public final class Excerpt {
  private static final int MAX_LENGTH = 200;
  private static final String CUT = "...";
  private static final int NOT_SHOWN = 0xFFFD;

  private Excerpt() {}

  /**
   * Returns the text of something that was read.
   *
   * @param content what was read; null reads {@code null}
   * @return a text of at most 200 characters: the same, if it is one already
   */
  public static String of(Object content) {
    String text = String.valueOf(content);
    StringBuilder shown = new StringBuilder();
    int most = text.length() > MAX_LENGTH ? MAX_LENGTH - CUT.length() : MAX_LENGTH;
    text.codePoints()
        .limit(MAX_LENGTH)
        .map(c -> isShown(c) ? c : NOT_SHOWN)
        .takeWhile(c -> shown.length() + Character.charCount(c) <= most)
        .forEach(shown::appendCodePoint);
    return text.length() > MAX_LENGTH ? shown + CUT : shown.toString();
  }

  private static boolean isShown(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      default -> true;
    };
  }
}

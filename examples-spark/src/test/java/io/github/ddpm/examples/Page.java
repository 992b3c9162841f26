package io.github.ddpm.examples;

import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A page in Markdown, as far as tests look at it: code, links, headings and tables.
 *
 * @param file where it is
 * @param text all of it
 */
record Page(Path file, String text) {
  /** The root of the repository, seen from this module. */
  static final Path ROOT = Path.of("..");

  private static final Pattern FENCED = Pattern.compile("(?ms)^ *```(\\w*)\n(.*?)^ *```$");
  private static final Pattern INDENTED = Pattern.compile("(?m)^ {4}(.*)$");
  private static final Pattern SPAN = Pattern.compile("`([^`\n]+)`");
  private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
  private static final Pattern HEADING = Pattern.compile("(?m)^#+ +(.*?) *$");

  /**
   * A table.
   *
   * @param header its first row, in lower case
   * @param rows its others
   */
  record Table(List<String> header, List<List<String>> rows) {
    /** Returns a column, from the top. */
    List<String> column(int index) {
      return rows.stream().map(row -> index < row.size() ? row.get(index) : "").toList();
    }
  }

  static Page read(Path file) throws IOException {
    return new Page(file, Files.readString(file).replace("\r\n", "\n"));
  }

  /** Returns all of {@code docs/}, the README, and what goes with it. */
  static List<Page> all() throws IOException {
    List<Page> pages = new ArrayList<>();
    try (Stream<Path> files = Files.walk(ROOT.resolve("docs"))) {
      List<Path> sorted = files.filter(file -> file.toString().endsWith(".md")).sorted().toList();
      for (Path file : sorted) {
        pages.add(read(file));
      }
    }
    for (String other : List.of("README.md", "CONTRIBUTING.md", "ddpm-tf/PERFORMANCE.md")) {
      pages.add(read(ROOT.resolve(other)));
    }
    return pages;
  }

  /** Returns one of {@code docs/}. */
  static Page of(String name) throws IOException {
    return read(ROOT.resolve("docs").resolve(name));
  }

  /** Returns the blocks of code in a language. */
  List<String> blocks(String language) {
    return FENCED
        .matcher(text)
        .results()
        .filter(block -> block.group(1).equals(language))
        .map(block -> block.group(2).stripTrailing().stripIndent())
        .toList();
  }

  /** Returns the lines of code that are in no language, each with what continues it. */
  List<String> codeLines() {
    String indented =
        INDENTED
            .matcher(withoutFenced())
            .results()
            .map(line -> line.group(1))
            .collect(joining("\n"));
    String fenced =
        Stream.of("", "sh", "bash", "console")
            .flatMap(language -> blocks(language).stream())
            .collect(joining("\n"));
    return (indented + "\n" + fenced)
        .replace("\\\n", " ")
        .lines()
        .map(line -> line.strip().replaceFirst("^\\$ +", "").replaceFirst("^([A-Z_]+=\\S* +)+", ""))
        .map(line -> line.replaceFirst(" +# .*$", ""))
        .toList();
  }

  private String withoutFenced() {
    return FENCED.matcher(text).replaceAll("");
  }

  /** Returns the code in sentences and cells. */
  List<String> spans() {
    return spans(withoutFenced());
  }

  static List<String> spans(String text) {
    return SPAN.matcher(text).results().map(span -> span.group(1).strip()).toList();
  }

  /** Returns where links and pictures lead. */
  List<String> links() {
    return LINK.matcher(SPAN.matcher(withoutFenced()).replaceAll("code"))
        .results()
        .map(link -> link.group(1))
        .toList();
  }

  /** Returns the anchors of its headings, as GitHub makes them. */
  List<String> anchors() {
    Map<String, Integer> seen = new HashMap<>();
    return HEADING
        .matcher(withoutFenced())
        .results()
        .map(heading -> anchor(heading.group(1)))
        .map(
            anchor -> {
              int before = seen.merge(anchor, 1, Integer::sum) - 1;
              return before == 0 ? anchor : anchor + "-" + before;
            })
        .toList();
  }

  private static String anchor(String heading) {
    return heading
        .toLowerCase(Locale.ROOT)
        .replaceAll("\\[([^\\]]*)\\]\\([^)]*\\)", "$1")
        .replaceAll("[^\\p{L}\\p{N} _-]", "")
        .replace(' ', '-');
  }

  /** Returns its tables. */
  List<Table> tables() {
    List<Table> tables = new ArrayList<>();
    List<List<String>> rows = new ArrayList<>();
    for (String line : (withoutFenced() + "\n").split("\n", -1)) {
      if (line.startsWith("|")) {
        rows.add(cells(line));
      } else if (rows.size() > 1) {
        List<String> header =
            rows.get(0).stream().map(cell -> cell.toLowerCase(Locale.ROOT)).toList();
        tables.add(new Table(header, List.copyOf(rows.subList(2, rows.size()))));
        rows.clear();
      }
    }
    return tables;
  }

  private static List<String> cells(String line) {
    // A bar in code is one of a cell only if it is escaped.
    return Pattern.compile("(?<!\\\\)\\|")
        .splitAsStream(line.strip().replaceFirst("^\\|", ""))
        .map(String::strip)
        .toList();
  }

  /** Returns what matches in it. */
  List<String> find(String pattern) {
    return Pattern.compile(pattern).matcher(text).results().map(MatchResult::group).toList();
  }

  @Override
  public String toString() {
    return ROOT.relativize(file).toString();
  }
}

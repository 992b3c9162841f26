package io.github.ddpm.tf.net;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.ddpm.spi.Excerpt;
import io.github.ddpm.tf.files.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a hub says that there is of a model.
 *
 * @param commit the 40 hexadecimal digits of a version of it
 * @param files by their names
 */
record HubListing(String commit, Map<String, HubFile> files) {
  private static final String COMMIT = "[0-9a-f]{40}";

  /**
   * A file.
   *
   * @param sum the SHA-256 of one that is kept apart from git (LFS), or what git calls it: the name
   *     that it has in the cache
   */
  record HubFile(String sum, Content content) {
    long size() {
      return content.length().orElseThrow();
    }
  }

  static boolean isCommit(String revision) {
    return revision.matches(COMMIT);
  }

  /**
   * Reads a hub's answer.
   *
   * @throws IllegalArgumentException if it can't be what a hub says; the message says why
   */
  static HubListing parse(byte... json) {
    JsonNode answer = Json.parse(json);
    String commit = answer.path("sha").asText();
    checkArgument(isCommit(commit), "sha must be a commit, got %s", Excerpt.of(answer.get("sha")));
    JsonNode siblings = answer.path("siblings");
    checkArgument(siblings.isArray(), "siblings must be a list, got %s", siblings.getNodeType());
    Map<String, HubFile> files = new LinkedHashMap<>();
    for (JsonNode sibling : siblings) {
      String name = sibling.path("rfilename").asText();
      checkName(name);
      files.put(name, file(name, sibling));
    }
    return new HubListing(commit, files);
  }

  /** Refuses a name that leads out of a folder, on whatever system. */
  private static void checkName(String name) {
    checkArgument(
        !name.isEmpty()
            && name.indexOf('\\') < 0
            && name.chars().noneMatch(Character::isISOControl)
            && !name.matches("[A-Za-z]:.*")
            && List.of(name.split("/", -1)).stream()
                .noneMatch(part -> part.isEmpty() || part.equals(".") || part.equals("..")),
        "a file's name must lead nowhere else, got %s",
        Excerpt.of(name));
  }

  private static HubFile file(String name, JsonNode sibling) {
    JsonNode lfs = sibling.path("lfs");
    long size = size(name, sibling.get("size"));
    if (lfs.isObject()) {
      checkArgument(
          size(name, lfs.get("size")) == size,
          "%s must have one size, got %s and %s",
          Excerpt.of(name),
          size,
          lfs.get("size"));
      String sum = sum(name, lfs.path("sha256"), 64);
      return new HubFile(sum, Content.sha256(size, sum));
    }
    String sum = sum(name, sibling.path("blobId"), 40);
    return new HubFile(sum, Content.gitBlob(size, sum));
  }

  private static long size(String name, JsonNode size) {
    checkArgument(
        size != null && size.isIntegralNumber() && size.canConvertToLong() && size.asLong() >= 0,
        "the size of %s must be a whole number, got %s",
        Excerpt.of(name),
        Excerpt.of(size));
    return size.asLong();
  }

  private static String sum(String name, JsonNode sum, int digits) {
    checkArgument(
        sum.asText().matches("[0-9a-f]{" + digits + "}"),
        "the checksum of %s must be %s hexadecimal digits, got %s",
        Excerpt.of(name),
        digits,
        Excerpt.of(sum));
    return sum.asText();
  }
}

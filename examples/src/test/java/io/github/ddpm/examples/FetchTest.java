package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Commands that name a model of a hub, in processes whose environment has a cache. */
@Timeout(120)
class FetchTest {
  private static final Path MODEL = Path.of("../src-test-resources/golden/folder-learned-variance");
  private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

  @TempDir Path folder;

  private Path snapshot;

  /** As Python leaves it where there are no links. */
  @BeforeEach
  void fillTheCache() throws IOException {
    Path root = folder.resolve("cache/models--owner--name");
    snapshot = root.resolve("snapshots").resolve(COMMIT);
    try (Stream<Path> files = Files.walk(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path copy = snapshot.resolve(MODEL.relativize(file));
        Files.createDirectories(copy.getParent());
        Files.copy(file, copy);
      }
    }
    Files.createDirectory(root.resolve("refs"));
    Files.writeString(root.resolve("refs/main"), COMMIT);
  }

  @Test
  void printsTheFolder() throws Exception {
    for (String revision : List.of("main", COMMIT)) {
      assertThat(run(Fetch.class, "owner/name", "--revision", revision)).isZero();
      assertThat(folder.resolve("out")).hasContent(snapshot.toString());
    }
  }

  @Test
  void drawsWithAModelOfTheHub() throws Exception {
    Path npy = folder.resolve("images.npy");
    String[] options = {
      "--count=2", "--steps=2", "--seed=1", "--precision=float32", "--out=" + npy
    };
    assertThat(run(GenerateImages.class, with(options, "--model=hub:owner/name@" + COMMIT)))
        .isZero();
    byte[] drawn = Files.readAllBytes(npy);
    assertThat(run(GenerateImages.class, with(options, "--model=hub:owner/name"))).isZero();
    assertThat(npy).hasBinaryContent(drawn);
    assertThat(CommandsTest.run(new GenerateImages(), with(options, "--model=" + MODEL)).code())
        .isZero();
    assertThat(npy).hasBinaryContent(drawn);
  }

  @Test
  void saysInOneLineWhatIsWrong() throws Exception {
    assertThat(run(Fetch.class, "owner/other")).isEqualTo(2);
    assertThat(errors())
        .singleElement()
        .asString()
        .startsWith("error: owner/other at main is not in the cache " + folder.resolve("cache"))
        .endsWith("HF_HUB_OFFLINE is set, so the hub isn't asked");
    assertThat(run(GenerateImages.class, "--model=hub:a")).isEqualTo(2);
    assertThat(errors())
        .containsExactly("error: a model's name on the hub must be as owner/name, got a");
  }

  /** Returns what a command says is wrong, without what the Java runtime says of its options. */
  private List<String> errors() throws IOException {
    return Files.readAllLines(folder.resolve("err")).stream()
        .filter(line -> !line.startsWith("Picked up "))
        .toList();
  }

  private static String[] with(String[] options, String one) {
    return Stream.concat(Stream.of(options), Stream.of(one)).toArray(String[]::new);
  }

  /** Runs a command where no hub can be asked; returns its exit code. */
  private int run(Class<?> command, String... arguments) throws Exception {
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    line.addAll(List.of("-cp", System.getProperty("java.class.path"), command.getName()));
    line.addAll(List.of(arguments));
    ProcessBuilder builder =
        new ProcessBuilder(line)
            .redirectOutput(folder.resolve("out").toFile())
            .redirectError(folder.resolve("err").toFile());
    builder.environment().put("HF_HUB_CACHE", folder.resolve("cache").toString());
    builder.environment().put("HF_HUB_OFFLINE", "1");
    return builder.start().waitFor();
  }
}

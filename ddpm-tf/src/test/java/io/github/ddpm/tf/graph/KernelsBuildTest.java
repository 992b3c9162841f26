package io.github.ddpm.tf.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code build.sh} with compilers that can't do all, which are scripts. */
class KernelsBuildTest {
  /** Makes the file after {@code -o} without a look at what it is made of. */
  private static final String PRETEND =
      """
      while [ $# -gt 0 ]; do
        if [ "$1" = -o ]; then : > "$2"; fi
        shift
      done
      """;

  @TempDir Path folder;

  @BeforeEach
  void onLinux() {
    assumeTrue(
        System.getProperty("os.name").equals("Linux")
            && System.getProperty("os.arch").equals("amd64"));
  }

  @Test
  void instructionsThatTheCompilerDoesntKnowAreLeftOutAlone() throws Exception {
    Path log = folder.resolve("log");
    Build build =
        build(
            """
            echo "$@" >> "%s"
            case "$*" in
              *-mavx512bf16*) exit 1 ;;
            esac
            %s"""
                .formatted(log, PRETEND));
    assertThat(build.exitCode()).isZero();
    assertThat(build.errors())
        .singleElement()
        .asString()
        .startsWith("WARNING: ")
        .contains(" doesn't know ", "-mavx512bf16", "without kernels for these instructions");
    assertThat(build.libraries()).containsExactly("libddpm.so", "libddpm_environment.so");
    assertThat(Files.readAllLines(log))
        .filteredOn(line -> line.contains("ops.cc") || line.contains("environment.cc"))
        .hasSize(7)
        .allSatisfy(
            line ->
                assertThat(line)
                    .contains("-DDDPM_AVX2 -DDDPM_AVX512")
                    .doesNotContain("DDPM_AVX512BF16"));
    assertThat(Files.readAllLines(log)).filteredOn(line -> line.contains("/kernels.cc")).hasSize(3);
  }

  @Test
  void whatDoesntCompileFailsTheBuild() throws Exception {
    Build build =
        build(
            """
            case "$*" in
              *kKernelsAvx512*-c*) echo "simd.h:1: error: what is this?" >&2; exit 1 ;;
            esac
            """
                + PRETEND);
    assertThat(build.exitCode()).isEqualTo(1);
    assertThat(build.errors())
        .contains("simd.h:1: error: what is this?")
        .last()
        .asString()
        .startsWith("ERROR: ")
        .contains("can't compile ddpm-tf's kernels");
    assertThat(build.libraries()).isEmpty();
  }

  @Test
  void whatDoesntLinkFailsTheBuild() throws Exception {
    Build build =
        build(
            """
            case "$*" in
              -shared*) exit 1 ;;
            esac
            """
                + PRETEND);
    assertThat(build.exitCode()).isEqualTo(1);
    assertThat(build.errors())
        .singleElement()
        .asString()
        .contains("ERROR: ", "can't link ddpm-tf's kernels");
    assertThat(build.libraries()).isEmpty();
  }

  @Test
  void withoutACompilerTheLibraryDoesWithoutKernelsAndTheBuildSaysSo() throws Exception {
    // What an earlier build made is not of these sources.
    Files.createFile(
        Files.createDirectories(folder.resolve("out/linux-x86_64")).resolve("libddpm.so"));
    Files.setLastModifiedTime(
        folder.resolve("out/linux-x86_64/libddpm.so"), FileTime.fromMillis(0));
    Build build = run("no-such-compiler");
    assertThat(build.exitCode()).isZero();
    assertThat(build.errors())
        .singleElement()
        .asString()
        .contains(
            "WARNING: there is no C++ compiler (no-such-compiler)", "without its own kernels");
    assertThat(build.libraries()).isEmpty();
  }

  @Test
  void aReleaseIsNotBuiltWithoutACompilerOrSomeInstructions() throws Exception {
    for (String platform : List.of("linux-x86_64", "linux-arm64")) {
      Build build = run("no-such-compiler", platform);
      assertThat(build.exitCode()).isEqualTo(1);
      assertThat(build.errors())
          .singleElement()
          .asString()
          .startsWith("ERROR: there is no C++ compiler (no-such-compiler)")
          .endsWith("; a release has all kernels");
    }
    Build build =
        build(
            """
            case "$*" in
              *-mavx512bf16*) exit 1 ;;
            esac
            """
                + PRETEND,
            "linux-x86_64");
    assertThat(build.exitCode()).isEqualTo(1);
    assertThat(build.errors())
        .last()
        .asString()
        .contains("ERROR: ", " doesn't know ", "-mavx512bf16", "; a release has all kernels");
    assertThat(build.libraries()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({"2.34, 0", "2.35, 1", "2.4, 0", "3.0, 1"})
  void aReleaseAsksForNoNewerCLibraryThanTensorFlow(String newest, int exitCode) throws Exception {
    Path readelf = Files.createDirectory(folder.resolve("bin")).resolve("readelf");
    Files.writeString(
        readelf,
        """
        #!/bin/sh
        echo '  0x0010:   Name: GLIBC_%s  Flags: none  Version: 7'
        echo '  0x0020:   Name: GLIBC_2.2.5  Flags: none  Version: 6'
        """
            .formatted(newest));
    assertThat(readelf.toFile().setExecutable(true)).isTrue();
    Build build = build(PRETEND, "linux-x86_64");
    assertThat(build.exitCode()).isEqualTo(exitCode);
    if (exitCode != 0) {
      assertThat(build.errors())
          .singleElement()
          .asString()
          .isEqualTo(
              "ERROR: libddpm_environment.so of linux-x86_64 asks for glibc "
                  + newest
                  + ", and TensorFlow for 2.34 alone");
    }
    assertThat(build.libraries()).hasSize(exitCode == 0 ? 2 : 0);
  }

  /** A function that two of them had in common would be linked once, for one of them. */
  @Test
  void evenWithoutOptimizationInstructionSetsShareNoCode() throws Exception {
    assumeTrue(which("c++") && which("nm"));
    Path symbols = folder.resolve("symbols");
    Build build =
        build(
            """
            case "$*" in
              *-fsyntax-only*) exec c++ "$@" ;;
              */kernels.cc*)
                c++ "$@" -O0 || exit 1
                for last; do :; done
                nm -g --defined-only "$last" >> "%s" ;;
              *)
            %s
            esac
            """
                .formatted(symbols, PRETEND));
    // The compiler has nothing to complain of, either.
    assertThat(build.errors()).isEmpty();
    assertThat(build.exitCode()).isZero();
    assertThat(Files.readAllLines(symbols))
        .isNotEmpty()
        .allSatisfy(line -> assertThat(line).matches(".* _ZN4ddpm\\d+kKernels\\w+E"));
  }

  private static boolean which(String program) {
    return Stream.of(System.getenv("PATH").split(":"))
        .anyMatch(p -> Files.isExecutable(Path.of(p, program)));
  }

  /** By a compiler that does what the lines say. */
  private Build build(String lines, String... platform) throws Exception {
    Path compiler = folder.resolve("compiler");
    Files.writeString(compiler, "#!/bin/sh\n" + lines);
    assertThat(compiler.toFile().setExecutable(true)).isTrue();
    return run(compiler.toString(), platform);
  }

  private Build run(String compiler, String... platform) throws IOException, InterruptedException {
    Path out = folder.resolve("out");
    Path errors = folder.resolve("errors");
    List<String> command = new ArrayList<>(List.of("sh", "src/main/cpp/build.sh", out.toString()));
    command.addAll(List.of(platform));
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(errors.toFile());
    builder.environment().put("CXX", compiler);
    builder.environment().merge("PATH", folder + "/bin", (path, bin) -> bin + ":" + path);
    int exitCode = builder.start().waitFor();
    Path made = out.resolve("linux-x86_64");
    List<String> libraries = List.of();
    if (Files.exists(made)) {
      try (Stream<Path> files = Files.list(made)) {
        libraries = files.map(file -> file.getFileName().toString()).sorted().toList();
      }
    }
    return new Build(exitCode, Files.readAllLines(errors), libraries);
  }

  /** What came of it. */
  private record Build(int exitCode, List<String> errors, List<String> libraries) {}
}

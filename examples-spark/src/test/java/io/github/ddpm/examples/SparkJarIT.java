package io.github.ddpm.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.ddpm.Sampler;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The jar of the profile {@code spark-jar}, submitted to a Spark that has another protobuf and
 * another Guava than TensorFlow and this library.
 */
class SparkJarIT {
  private static final String MASTER = "local-cluster[1,1,1024]";

  @TempDir Path folder;

  @Test
  void whatIsSubmittedDrawsAsOneProcess() throws Exception {
    Path drawn = folder.resolve("drawn");
    String said =
        submit(
            "GenerateImages",
            List.of(
                "--model=digits",
                "--sampler=dpm-solver",
                "--steps=2",
                "--count=20",
                "--seed=1",
                "--format=npy",
                "--out=" + drawn));
    assertThat(said).contains("20 pictures, seed 1");
    Path expected = folder.resolve("expected.npy");
    Sampler.dpmSolver().steps(2).seed(1).sample(20).writeNpy(expected);
    assertThat(drawn.resolve("part-0000000000.npy")).hasSameBinaryContentAs(expected);
  }

  /** Else those of Spark would be taken, whatever their version. */
  @Test
  void whatClashesHasOtherNames() throws IOException {
    try (JarFile jar = new JarFile(jar().toFile())) {
      assertThat(jar.stream().map(ZipEntry::getName))
          .contains("io/github/ddpm/shaded/protobuf/Message.class")
          .noneMatch(
              name ->
                  Stream.of("com/google/protobuf/", "com/google/common/", "com/fasterxml/jackson/")
                      .anyMatch(name::contains));
    }
  }

  private String submit(String main, List<String> arguments)
      throws IOException, InterruptedException {
    Path home = Path.of("target", "spark-jar-home").toAbsolutePath();
    Files.write(home.resolve("RELEASE"), new byte[0]);
    String unlimited = "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0";
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(JavaModuleOptions.defaultModuleOptionArray()));
    command.add(unlimited);
    command.addAll(List.of("-cp", home.resolve("jars") + "/*"));
    command.addAll(List.of("org.apache.spark.deploy.SparkSubmit", "--master", MASTER));
    command.addAll(List.of("--conf", "spark.executor.extraJavaOptions=" + unlimited));
    command.addAll(List.of("--conf", "spark.local.dir=" + folder.resolve("spark")));
    command.addAll(List.of("--conf", "spark.worker.dir=" + folder.resolve("spark")));
    command.addAll(List.of("--conf", "spark.ui.enabled=false"));
    command.addAll(List.of("--class", "io.github.ddpm.examples." + main, jar().toString()));
    command.addAll(List.of("--spark", MASTER));
    command.addAll(arguments);
    Path log = folder.resolve("log");
    ProcessBuilder builder = new ProcessBuilder(command);
    builder
        .environment()
        .putAll(
            Map.of(
                "SPARK_HOME",
                home.toString(),
                "SPARK_SCALA_VERSION",
                "2.13",
                "SPARK_LOCAL_IP",
                "127.0.0.1"));
    Process process = builder.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    int code = process.waitFor();
    String said = Files.readString(log, StandardCharsets.UTF_8);
    assertThat(code).as(said).isZero();
    return said;
  }

  private static Path jar() throws IOException {
    try (Stream<Path> all = Files.list(Path.of("target"))) {
      return all.filter(file -> file.toString().endsWith("-spark.jar")).findFirst().orElseThrow();
    }
  }
}

package io.github.ddpm.examples.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.lang.ProcessBuilder.Redirect;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** A running {@link Worker}, seen from outside. */
final class WorkerProcess implements AutoCloseable {
  private final Contender contender;
  private final Path log;
  private final Process process;
  private final PrintWriter commands;
  private final BufferedReader answers;
  private Optional<String> failure = Optional.empty();

  /**
   * Starts one; each has as many threads as there are processors.
   *
   * @param folder of the files, and for the log
   * @param avx2 whether it computes with AVX2 and no more; ONNX Runtime can't be told
   */
  WorkerProcess(Contender contender, Path folder, boolean avx2) throws IOException {
    this(contender, folder, classPath(), avx2);
  }

  /** Starts one with other classes than those of this process. */
  WorkerProcess(Contender contender, Path folder, String classPath) throws IOException {
    this(contender, folder, classPath, false);
  }

  private WorkerProcess(Contender contender, Path folder, String classPath, boolean avx2)
      throws IOException {
    this.contender = contender;
    this.log = folder.resolve(contender.name().toLowerCase(Locale.ROOT) + ".log");
    String threads = String.valueOf(Runtime.getRuntime().availableProcessors());
    ProcessBuilder builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx2g",
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
            "-Djava.io.tmpdir=" + Files.createDirectories(folder.resolve("tmp")),
            "-Dai.djl.offline=true",
            "-Dai.djl.pytorch.num_threads=" + threads,
            "-Dai.djl.pytorch.num_interop_threads=1",
            "-cp",
            classPath,
            Worker.class.getName(),
            contender.name(),
            folder.toString());
    builder.environment().put("OMP_NUM_THREADS", threads);
    if (avx2) {
      builder.command().add(1, "-Dio.github.ddpm.tf.instructions=avx2");
      // PyTorch's own, oneDNN's and MKL's.
      builder.environment().put("ATEN_CPU_CAPABILITY", "avx2");
      builder.environment().put("ONEDNN_MAX_CPU_ISA", "AVX2");
      builder.environment().put("MKL_ENABLE_INSTRUCTIONS", "AVX2");
    }
    process = builder.redirectError(Redirect.appendTo(log.toFile())).start();
    commands = new PrintWriter(process.outputWriter(UTF_8), true);
    answers = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
  }

  Contender contender() {
    return contender;
  }

  /** Returns why a peer is left out from some point on, in a sentence; empty if it isn't. */
  Optional<String> failure() {
    return failure;
  }

  /**
   * Has it obey a command.
   *
   * @return its answer, or nothing if the contender can't do that or its process has ended: a peer
   *     that crashes on this processor is left out, and the others go on
   * @throws IOException if the process of one of ours ended
   */
  Optional<String> ask(Object... command) throws IOException {
    StringBuilder line = new StringBuilder();
    for (Object word : command) {
      line.append(line.isEmpty() ? "" : " ").append(word);
    }
    commands.println(line);
    String answer = answers.readLine();
    if (answer == null) {
      fail(line.toString());
      return Optional.empty();
    }
    return answer.startsWith("= ") ? Optional.of(answer.substring(2)) : Optional.empty();
  }

  private void fail(String command) throws IOException {
    String reason =
        "%s ended with status %d at \"%s\"; the reason is at the end of %s"
            .formatted(contender.title(), process.onExit().join().exitValue(), command, log);
    if (contender.isOurs()) {
      throw new IOException(reason);
    }
    // What fails after this is of the same cause.
    failure = failure.or(() -> Optional.of(reason));
  }

  /** As above, for a command that is answered with floats. */
  Optional<float[]> askFloats(Object... command) throws IOException {
    return ask(command)
        .map(
            answer -> {
              FloatBuffer buffer =
                  ByteBuffer.wrap(Base64.getDecoder().decode(answer)).asFloatBuffer();
              float[] values = new float[buffer.remaining()];
              buffer.get(values);
              return values;
            });
  }

  @Override
  public void close() {
    commands.close();
    process.onExit().join();
  }

  /**
   * Returns the class path of the benchmark: Maven runs it in its own process, whose class path is
   * not ours.
   */
  static String classPath() {
    if (!(WorkerProcess.class.getClassLoader() instanceof URLClassLoader loader)) {
      return System.getProperty("java.class.path");
    }
    List<String> entries = new ArrayList<>();
    for (URL url : loader.getURLs()) {
      try {
        entries.add(Path.of(url.toURI()).toString());
      } catch (URISyntaxException e) {
        throw new IllegalStateException("not a place of classes: " + url, e);
      }
    }
    return String.join(File.pathSeparator, entries);
  }
}

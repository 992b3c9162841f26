package io.github.ddpm.examples.soak;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.ProcessBuilder.Redirect;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A process that is watched, and that may be killed. */
final class Child implements AutoCloseable {
  /** The options of a JVM that trains a tiny network: what matters is how soon it is there. */
  static final List<String> SMALL_JVM =
      List.of(
          "-Xmx512m",
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1",
          "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");

  private final Process process;
  private final Path log;
  private final PrintWriter commands;
  private final BufferedReader answers;

  private Child(List<String> command, Path log) throws IOException {
    this.log = log;
    process = new ProcessBuilder(command).redirectError(Redirect.to(log.toFile())).start();
    commands = new PrintWriter(process.outputWriter(UTF_8), true);
    answers = process.inputReader(UTF_8);
  }

  /**
   * Starts a JVM with the class path of this one.
   *
   * @param log gets what it writes to stderr
   */
  static Child jvm(Path log, List<String> options, Class<?> main, Object... args)
      throws IOException {
    return start(log, jvmCommand(options, main, args));
  }

  /** Starts a program. */
  static Child start(Path log, List<String> command) throws IOException {
    return new Child(command, log);
  }

  /** Returns the command that {@link #jvm} runs. */
  static List<String> jvmCommand(List<String> options, Class<?> main, Object... args) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(options);
    command.addAll(List.of("-cp", classPath(), main.getName()));
    Stream.of(args).map(Object::toString).forEach(command::add);
    return command;
  }

  /** Maven's exec:java runs this in a class loader of its own. */
  private static String classPath() {
    if (Child.class.getClassLoader() instanceof URLClassLoader loader) {
      return Stream.of(loader.getURLs())
          .map(URL::toString)
          .map(url -> Path.of(URI.create(url)).toString())
          .collect(Collectors.joining(File.pathSeparator));
    }
    return System.getProperty("java.class.path");
  }

  /** Sends a line, and waits for one; empty if the process ended instead. */
  Optional<String> ask(String command) throws IOException {
    send(command);
    return readLine();
  }

  /** Sends a line. */
  void send(String command) {
    commands.println(command);
  }

  /**
   * Sends a line that can't fail.
   *
   * @throws IOException if the process ended, or says that it failed
   */
  String order(String command) throws IOException {
    String answer = ask(command).orElse("the process ended");
    if (!answer.startsWith("=")) {
      throw new IOException(command + ": " + answer + "; see " + log);
    }
    return answer.substring(1);
  }

  /** Waits for a line; empty if the process ended. */
  Optional<String> readLine() throws IOException {
    return Optional.ofNullable(answers.readLine());
  }

  /**
   * Waits for a line that starts so, and returns it.
   *
   * @throws IOException if the process ends before; with what it wrote to stderr
   */
  String readUntil(String start) throws IOException {
    for (Optional<String> line = readLine(); line.isPresent(); line = readLine()) {
      if (line.get().startsWith(start)) {
        return line.get();
      }
    }
    throw new IOException("a process ended without a line of \"" + start + "\": " + errors());
  }

  /** Returns the lines that it wrote and nobody read, once it has ended. */
  List<String> rest() throws IOException {
    List<String> lines = new ArrayList<>();
    for (Optional<String> line = readLine(); line.isPresent(); line = readLine()) {
      lines.add(line.get());
    }
    return lines;
  }

  long pid() {
    return process.pid();
  }

  boolean isAlive() {
    return process.isAlive();
  }

  /** Sends a signal by its name, such as INT, unless it has ended. */
  void signal(String name) throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-" + name, String.valueOf(pid()))
        .redirectError(Redirect.DISCARD)
        .start()
        .waitFor();
  }

  /** Kills it at once, and waits until it is gone. What it wrote before can still be read. */
  void kill() throws InterruptedException {
    process.toHandle().destroyForcibly();
    process.waitFor();
  }

  /** Waits for the end; empty if it doesn't come in that time. */
  Optional<Integer> exitCode(long seconds) throws InterruptedException {
    return process.waitFor(seconds, TimeUnit.SECONDS)
        ? Optional.of(process.exitValue())
        : Optional.empty();
  }

  /** Returns what it wrote to stderr, less what the JVM says of itself. */
  String errors() throws IOException {
    return Files.readAllLines(log).stream()
        .filter(line -> !line.startsWith("Picked up "))
        .collect(Collectors.joining("\n"));
  }

  /** Ends the process, if it is still there. */
  @Override
  public void close() {
    process.destroyForcibly();
    process.onExit().join();
  }
}

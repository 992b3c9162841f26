package io.github.ddpm.examples;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/**
 * Java code of pages, to be compiled. A block is a whole file, or else what stands in a method,
 * after imports and with the names that a page takes for granted.
 */
final class DocCode {
  private static final Pattern TYPE =
      Pattern.compile("(?m)^(?:public |final )*(?:class|record|interface|enum) (\\w+)");

  /** What a block may name without saying where it is from. */
  private static final String BEFORE =
      """
      import io.github.ddpm.*;
      import io.github.ddpm.spark.*;
      import io.github.ddpm.tf.*;
      import io.github.ddpm.tf.data.*;
      import io.github.ddpm.tf.data.Dataset;
      import io.github.ddpm.tf.graph.*;
      import java.io.*;
      import java.nio.file.*;
      import java.time.*;
      import java.util.*;
      import java.util.concurrent.*;
      import org.apache.spark.sql.SparkSession;

      @SuppressWarnings("all")
      final class Block%d {
        static Path folder, png, pictures, student, teacher, guide;
        static int steps;
        static long seed;
        static Dataset data, digits, test;
        static Images image, images, mask, condition;
        static Predictor model;
        static Sampler sampler;
        static SparkSession spark;
        static Trainer trainer;
        static TrainingOptions options;

        static Object block() throws Exception {
      """;

  /**
   * The annotations of Spring that a page names, which is not on the class path: without any
   * meaning, so that the code between them compiles.
   */
  private static final Map<String, String> OF_SPRING =
      Map.of(
          "org.springframework.beans.factory.annotation.Value", "String value();",
          "org.springframework.context.annotation.Bean", "",
          "org.springframework.context.annotation.Configuration", "",
          "org.springframework.web.bind.annotation.ExceptionHandler", "Class<?> value();",
          "org.springframework.web.bind.annotation.GetMapping",
              "String value(); String produces();",
          "org.springframework.web.bind.annotation.RequestParam", "String value();",
          "org.springframework.web.bind.annotation.ResponseStatus",
              "org.springframework.http.HttpStatus value();",
          "org.springframework.web.bind.annotation.RestController", "");

  private final List<JavaFileObject> files = new ArrayList<>();

  private int blocks;

  DocCode() {
    OF_SPRING.forEach(
        (name, members) -> {
          int dot = name.lastIndexOf('.');
          String type = "public @interface " + name.substring(dot + 1) + " {" + members + "}";
          addFile(
              "Spring", name.replace('.', '/'), "package " + name.substring(0, dot) + "; " + type);
        });
    addFile(
        "Spring",
        "org/springframework/http/HttpStatus",
        "package org.springframework.http; public enum HttpStatus { BAD_REQUEST }");
  }

  private void addFile(String page, String name, String code) {
    files.add(new Source(page, name, code));
  }

  /** Adds a block; problems name the page. */
  void add(Page page, String block) {
    blocks++;
    Matcher type = TYPE.matcher(block);
    if (type.find()) {
      // Whole files may have the same names.
      String name = "page" + blocks;
      addFile(page.toString(), name + "/" + type.group(1), "package " + name + ";\n" + block);
      return;
    }
    boolean returns = Pattern.compile("(?m)^ *return\\b").matcher(block).find();
    String code = BEFORE.formatted(blocks) + block + (returns ? "" : "\nreturn null;") + "\n}\n}\n";
    addFile(page.toString(), "Block" + blocks, code);
  }

  /** Counts the blocks. */
  int size() {
    return blocks;
  }

  /** Returns what is wrong with the code; nothing if all compiles. */
  List<String> compile(Path folder) throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
    List<String> options =
        List.of(
            "-proc:none",
            "-d",
            folder.toString(),
            "-classpath",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
    boolean done = compiler.getTask(null, null, problems, options, null, files).call();
    List<String> errors =
        problems.getDiagnostics().stream()
            .filter(problem -> problem.getKind() == Diagnostic.Kind.ERROR)
            .map(DocCode::inWords)
            .toList();
    return done || !errors.isEmpty() ? errors : List.of("it doesn't compile");
  }

  private static String inWords(Diagnostic<? extends JavaFileObject> problem) {
    String what = problem.getMessage(Locale.ROOT);
    return problem.getSource() instanceof Source source
        ? source.page + ", at `" + source.line(problem.getLineNumber()) + "`: " + what
        : what;
  }

  /** Code that is in no file. */
  private static final class Source extends SimpleJavaFileObject {
    private final String page;
    private final String code;

    Source(String page, String name, String code) {
      super(URI.create("string:///" + name + ".java"), Kind.SOURCE);
      this.page = page;
      this.code = code;
    }

    String line(long number) {
      return code.lines().skip(Math.max(0, number - 1)).findFirst().orElse("").strip();
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return code;
    }
  }
}

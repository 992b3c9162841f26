package io.github.ddpm.examples.soak;

import io.github.ddpm.Precision;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Samples in JVMs of 128 MB, with and without the limit that JavaCPP sets to native memory. */
@Command(
    name = "small-heap",
    mixinStandardHelpOptions = true,
    description = "sampling with -Xmx128m")
final class SmallHeap implements Callable<Integer> {
  @Mixin private Scratch scratch;

  @Option(
      names = "--images",
      split = ",",
      defaultValue = "1,64,512",
      description = "images in a request (${DEFAULT-VALUE})")
  private List<Integer> images;

  SmallHeap() {}

  @Override
  public Integer call() throws IOException, InterruptedException {
    Tally tally = new Tally("small-heap");
    for (int count : images) {
      sample(tally, "JavaCPP's limit", List.of("-Xmx128m"), count);
      sample(
          tally,
          "no limit",
          List.of("-Xmx128m", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0"),
          count);
    }
    return tally.print();
  }

  /** Pictures are right, and so is an exception; to end without a word is not. */
  private void sample(Tally tally, String title, List<String> jvm, int count)
      throws IOException, InterruptedException {
    tally.begin();
    try (Child child = Child.jvm(scratch.path("small-heap.log"), jvm, SmallHeap.class, count)) {
      String answer = child.readLine().orElse("");
      int code = child.exitCode(60).orElse(-1);
      System.out.printf("small-heap: %d images, %s: %s%n", count, title, answer);
      tally.expect(code == 0 && !answer.isEmpty(), "process", code + ": " + child.errors());
    }
  }

  /**
   * Samples in a process of its own.
   *
   * @param args number of images
   */
  public static void main(String... args) throws IOException {
    String outcome;
    try {
      Predictor model = Predictor.pretrained("digits", Precision.FLOAT32);
      int count = Sampler.ddim(0).with(model).steps(10).sample(Integer.parseInt(args[0])).count();
      outcome = "sampled " + count;
    } catch (RuntimeException | OutOfMemoryError e) {
      outcome = e.toString();
    }
    System.out.printf("%s; peak memory %.0f MB%n", outcome, Memory.peak());
  }
}

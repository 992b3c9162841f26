package io.github.ddpm.examples;

import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.tf.data.Dataset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains the digit classifier that pictures are measured with. */
@Command(
    name = "TrainClassifier",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = "Trains the digit classifier that MeasureQuality and SamplingStudy measure with.",
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --epochs 4",
      "  ${COMMAND-FULL-NAME} --data mnist --out classifier.safetensors"
    })
public final class TrainClassifier implements Callable<Integer> {
  @Mixin private final MnistOption data = new MnistOption();

  @Option(
      names = "--out",
      defaultValue = "target/digit-classifier.safetensors",
      description = "file to write")
  private Path out;

  @Option(names = "--epochs", defaultValue = "8", description = "how often to go through the data")
  private int epochs;

  @Option(names = "--seed", defaultValue = "1", description = "of all randomness")
  private long seed;

  TrainClassifier() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new TrainClassifier(), args);
  }

  @Override
  public Integer call() throws Exception {
    Commands.checkWritable(out.toAbsolutePath().getParent());
    if (Files.exists(out)) {
      throw new IOException(out + " exists; remove it, or choose another --out");
    }
    Dataset train = data.train();
    Dataset test = data.test();
    long images = (long) epochs * train.size();
    long start = System.nanoTime();
    try (ProgressDisplay display = ProgressDisplay.onOut("Training image");
        DigitClassifier classifier =
            DigitClassifier.train(
                train,
                epochs,
                seed,
                done -> display.show(Math.max(1, Math.round(done * images)), images))) {
      classifier.save(out);
    }
    double minutes = (System.nanoTime() - start) / 60e9;
    try (DigitClassifier classifier = DigitClassifier.load(out)) {
      int[] all = IntStream.range(0, test.size()).toArray();
      System.out.printf(
          Locale.ROOT,
          "%s: %.2f %% of the test set right, %.1f minutes%n",
          out,
          100 * classifier.classify(test.images(all)).accuracy(test.labels(all)),
          minutes);
    }
    return 0;
  }
}

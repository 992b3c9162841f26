package io.github.ddpm.examples;

import io.github.ddpm.tf.Trainer;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import io.github.ddpm.tf.data.ImageFolder;
import io.github.ddpm.tf.graph.UNetConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains a model on a folder of pictures. */
@Command(
    name = "TrainImages",
    mixinStandardHelpOptions = true,
    description = {
      "Trains a model on your own PNG and JPEG files, or goes on from a finished model, and saves it as a folder that"
          + " diffusers can load. The names of sub-folders are the classes, which are kept with the model.",
      "Learning rate 1e-3, with --from 1e-4, label dropout 0.1 and no min-SNR weighting unless others are given.",
      "A --from with classes but no null label needs --label-dropout 0.",
      "While it trains, --out also gets loss.png, loss.csv, samples/ and tensorboard/.",
      "SIGTERM and Ctrl-C end it after the step and save it; a second one ends it at once."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --data photos --minutes 60",
      "  ${COMMAND-FULL-NAME} --data photos --resume"
    })
public final class TrainImages implements Callable<Integer> {
  private static final int DEFAULT_SIZE = 64;

  @Option(names = "--data", required = true, description = "folder of pictures")
  private Path data;

  @Option(
      names = "--size",
      description = "height and width in pixels that pictures are scaled and cut to; default: 64")
  private Integer size;

  @Option(names = "--gray", description = "gray pictures instead of RGB")
  private boolean gray;

  @Option(
      names = "--alpha",
      description =
          "keep what is transparent, by a channel of its own, instead of laying it on white")
  private boolean alpha;

  @Option(
      names = "--no-flip",
      description = "without the mirror image of each picture; give it again with --resume")
  private boolean noFlip;

  @Option(
      names = "--cache",
      paramLabel = "<folder>",
      description =
          "keep the decoded pictures in a file there, for the next start and for data larger than memory; default: in"
              + " memory, or in a temporary file if they don't fit")
  private Path cache;

  @Option(
      names = "--new-classes",
      description =
          "with --from or --resume: the classes of --data take the places of the model's, though their names are others")
  private boolean newClasses;

  @Mixin private final TrainingCommand training = new TrainingCommand();

  TrainImages() {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new TrainImages(), args);
  }

  @Override
  public Integer call() throws Exception {
    training.check();
    training.checkFeatures();
    if (training.continues() && (size != null || gray || alpha)) {
      throw new IllegalArgumentException(
          "--from and --resume take size and colors from the model; leave --size, --gray and --alpha out");
    }
    if (newClasses && !training.continues()) {
      throw new IllegalArgumentException("--new-classes goes with --from or --resume");
    }
    Commands.checkOutside(training.out, data);
    ImageFolder found = found();
    if (training.continues()) {
      try (Trainer trainer = training.continued(fineTuning())) {
        checkClasses(trainer, found.classNames());
        run(trainer, pictures(found, trainer.info().height(), trainer.info().channels()));
      }
    } else {
      int side = size == null ? DEFAULT_SIZE : size;
      int colors = gray ? 1 : 3;
      int channels = alpha ? colors + 1 : colors;
      UNetConfig network = network(side, channels, found.classNames().size());
      Dataset pictures = pictures(found, side, channels);
      try (Trainer trainer =
          Trainer.create(
              network,
              training.noise(),
              training.predictionType(),
              training.options(fromScratch()))) {
        run(trainer, pictures);
      }
    }
    return 0;
  }

  /** Says what there is to learn from. */
  private ImageFolder found() throws IOException {
    ImageFolder found = ImageFolder.find(data);
    found.report().forEach(System.out::println);
    found.warnings().forEach(warning -> System.err.println("warning: " + warning));
    return found;
  }

  /** Refuses classes that are called other than the model's, unless that is what is asked for. */
  private void checkClasses(Trainer trainer, List<String> names) {
    List<String> known = trainer.info().classNames();
    if (newClasses) {
      trainer.setClassNames(names);
    } else if (!known.isEmpty() && !names.isEmpty() && !known.equals(names)) {
      throw new IllegalArgumentException(
          "the model's classes are %s, those of --data %s; --new-classes learns these in the places of those"
              .formatted(String.join(", ", known), String.join(", ", names)));
    }
  }

  private Dataset pictures(ImageFolder found, int side, int channels) throws IOException {
    return cache == null ? found.load(side, channels) : found.load(side, channels, cache);
  }

  private void run(Trainer trainer, Dataset pictures) throws IOException {
    training.run(trainer, noFlip ? pictures : pictures.mirrored(), pictures);
  }

  private static TrainingOptions fromScratch() {
    return TrainingOptions.defaults().withBatchSize(64);
  }

  private static TrainingOptions fineTuning() {
    return fromScratch().withLearningRate(1e-4, fromScratch().optimizer().warmupSteps());
  }

  /** Returns a network that fits, before all pictures are decoded for one that doesn't. */
  private UNetConfig network(int side, int channels, int classes) {
    ImageFolder.checkSize(side, channels);
    UNetConfig network =
        training.network(
            UNetConfig.small(side, side, channels)
                .withBlockOutChannels(channels(side))
                .withClasses(classes));
    network.check();
    return network;
  }

  /** Returns as many levels as make the coarsest about 8 pixels wide. */
  private static Integer[] channels(int side) {
    if (side <= 32) {
      return new Integer[] {32, 64, 64};
    }
    return side <= 64 ? new Integer[] {32, 64, 128, 128} : new Integer[] {32, 64, 128, 128, 128};
  }
}

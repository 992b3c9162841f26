package io.github.ddpm.examples;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.github.ddpm.Images;
import io.github.ddpm.ModelInfo;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.examples.StudyCell.Setting;
import io.github.ddpm.examples.measures.Classified;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.data.Dataset;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Visibility;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures what prediction type, number of steps and η do to the digits. */
@Command(
    name = "SamplingStudy",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Samples with every prediction type, number of steps and η, all from the same noise, measures the digits and writes"
          + " report.html, with its pictures in cells, strips and charts, and study.csv.",
      "What SolverStudy and FewStepsStudy left in --out as solvers.json and few-steps.json is in the report.",
      "What is done is kept in --out: run again after an interruption, it goes on."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {"  ${COMMAND-FULL-NAME} --quick", "  ${COMMAND-FULL-NAME} --model model --out study"})
public final class SamplingStudy implements Callable<Integer> {
  /** The denoising that is shown has so many steps. */
  private static final int STRIP_STEPS = 20;

  /** The examples' model is these files. */
  private static final List<String> OTHER_FILES =
      List.of(
          "model_index.json",
          "scheduler/scheduler_config.json",
          "unet/config.json",
          "unet/diffusion_pytorch_model.safetensors");

  /** This seed decides which images stand for MNIST. */
  private static final long CHOICE = 0;

  @Option(
      names = "--model",
      showDefaultValue = Visibility.NEVER,
      description =
          "folder of a model, once for each; default: the one in the library and the one of the examples")
  private List<Path> models = List.of();

  @Mixin private final MnistOption data = new MnistOption();

  @Option(
      names = "--out",
      defaultValue = "target/study",
      description = "folder of the report and of what it is made from")
  private Path out;

  @Option(
      names = "--quick",
      description = "fewer images, and at most 100 steps: minutes instead of an hour or more")
  private boolean quick;

  @Option(
      names = "--page",
      description = "only make report.html again, of the study.csv and the pictures in --out")
  private boolean page;

  @Option(names = "--seed", defaultValue = "0", description = "of the noise")
  private long seed;

  private final StudyPlan full;
  private final StudyPlan less;

  SamplingStudy() {
    this(StudyPlan.FULL, StudyPlan.QUICK);
  }

  SamplingStudy(StudyPlan full, StudyPlan less) {
    this.full = full;
    this.less = less;
  }

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new SamplingStudy(), args);
  }

  @Override
  public Integer call() throws Exception {
    if (page) {
      Commands.checkWritable(out);
      StudyReport.write(out, StudyTable.read(out, quick ? less : full, seed));
      System.out.println(out.resolve("report.html"));
      return 0;
    }
    Files.createDirectories(out.resolve("cells"));
    Files.createDirectories(out.resolve("strips"));
    Commands.checkWritable(out);
    Map<String, Predictor> predictors = new LinkedHashMap<>();
    try {
      open(predictors);
      // After the models: who builds the first graph sets TensorFlow up.
      try (DigitClassifier digits = DigitClassifier.load()) {
        study(predictors, digits);
      }
    } finally {
      predictors.values().forEach(Predictor::close);
    }
    return 0;
  }

  private void study(Map<String, Predictor> predictors, DigitClassifier digits) throws IOException {
    StudyPlan plan = quick ? less : full;
    Dataset train = data.train();
    Dataset test = data.test();
    check("training", train.size(), plan.real());
    check("test", test.size(), plan.images());
    int most = Collections.max(plan.steps());
    for (Predictor predictor : predictors.values()) {
      int timesteps = predictor.info().schedule().timesteps();
      if (most > timesteps) {
        throw new IllegalArgumentException(
            "the study takes up to " + most + " steps, the model has " + timesteps + " timesteps");
      }
    }
    Classified real = digits.classify(train.images(train.batch(0, plan.real(), CHOICE)));
    for (Map.Entry<String, Predictor> entry : predictors.entrySet()) {
      StudySource.of(seed, real, entry.getValue()).check(out, entry.getKey() + "-");
    }
    Map<Integer, Quality> floors = new LinkedHashMap<>();
    for (int images : List.of(plan.images(), plan.fewImages())) {
      int[] chosen = test.batch(0, images, CHOICE);
      floors.put(images, Quality.of(digits.classify(test.images(chosen)), real));
    }
    Set<Setting> settings = plan.settings(predictors.keySet());
    long work = settings.stream().mapToLong(s -> (long) s.steps() * plan.images(s.steps())).sum();
    long done = 0;
    Map<Setting, StudyCell> cells = new LinkedHashMap<>();
    try (ProgressDisplay display = ProgressDisplay.onOut("Sampling")) {
      for (Setting setting : settings) {
        int images = plan.images(setting.steps());
        cells.put(
            setting, cell(setting, images, predictors.get(setting.prediction()), digits, real));
        done += (long) setting.steps() * images;
        display.show(done, work);
      }
    }
    for (Map.Entry<String, Predictor> entry : predictors.entrySet()) {
      for (int eta = 0; eta < 2; eta++) {
        Files.write(
            out.resolve(StudyReport.strip(entry.getKey(), eta)),
            SmallPng.of(strip(entry.getValue(), eta), List.of()));
      }
    }
    StudyResults results =
        new StudyResults(plan, seed, List.copyOf(predictors.keySet()), cells, floors);
    StudyTable.write(out, results);
    StudyReport.write(out, results);
    System.out.println(out.resolve("report.html"));
    System.out.println(out.resolve("study.csv"));
  }

  private static void check(String set, int size, int needed) {
    if (size < needed) {
      throw new IllegalArgumentException(
          "the study needs " + needed + " " + set + " images, got " + size);
    }
  }

  private void open(Map<String, Predictor> predictors) throws IOException {
    if (models.isEmpty()) {
      add(predictors, Predictor.pretrained());
      add(predictors, otherModel());
    }
    for (Path model : models) {
      add(predictors, Predictor.load(model));
    }
  }

  private static void add(Map<String, Predictor> predictors, Predictor opened) {
    String prediction = opened.info().predictionType().configName();
    if (predictors.putIfAbsent(prediction, opened) != null) {
      opened.close();
      throw new IllegalArgumentException(
          "the study tells models by what they predict, got two of " + prediction);
    }
  }

  /** Opens the examples' model, by a copy: it may be in a jar. */
  private static Predictor otherModel() throws IOException {
    Path copy = Files.createTempDirectory("ddpm");
    try {
      for (String file : OTHER_FILES) {
        String resource = "digits-epsilon/" + file;
        try (InputStream in = SamplingStudy.class.getResourceAsStream(resource)) {
          if (in == null) {
            throw new IOException("resource " + resource + " is missing");
          }
          Files.createDirectories(copy.resolve(file).getParent());
          Files.copy(in, copy.resolve(file));
        }
      }
      return Predictor.load(copy);
    } finally {
      MoreFiles.deleteRecursively(copy, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  /** The study is of what networks do without labels, and their null label is that. */
  private static int[] nullLabels(ModelInfo info) {
    return Samplers.unasked(info.nullLabel());
  }

  /** Returns a cell as it was kept, or a new one. */
  private StudyCell cell(
      Setting setting, int images, Predictor model, DigitClassifier digits, Classified real)
      throws IOException {
    Path cells = out.resolve("cells");
    Path file = cells.resolve(setting.fileName(images) + ".json");
    Path picture = cells.resolve(setting.fileName(images) + ".png");
    if (Files.exists(file) && Files.exists(picture)) {
      return StudyFiles.read(file, StudyCell.class, "remove it to have it made again");
    }
    Sampler sampler =
        Sampler.ddim(setting.eta())
            .spacing(setting.spaced().of(setting.steps(), model.info()))
            .clip(setting.clip() ? 1 : Double.POSITIVE_INFINITY)
            .labels(nullLabels(model.info()))
            .seed(seed)
            .with(model);
    long start = System.nanoTime();
    Images sampled = sampler.sample(images);
    double seconds = (System.nanoTime() - start) / 1e9;
    Files.write(
        picture, SmallPng.of(sampled.slice(0, StudyPlan.SHOWN).toGrid(StudyPlan.SHOWN), List.of()));
    StudyCell cell =
        new StudyCell(setting, images, seconds, Quality.of(digits.classify(sampled), real));
    StudyFiles.write(file, cell);
    return cell;
  }

  /** Returns the estimates of one digit, from the first step to the last. */
  private BufferedImage strip(Predictor model, double eta) {
    ModelInfo info = model.info();
    int steps = Math.min(STRIP_STEPS, info.schedule().timesteps());
    float[] estimates = new float[steps * info.imageSize()];
    Sampler.ddim(eta)
        .steps(steps)
        .labels(nullLabels(info))
        .seed(seed)
        .with(model)
        .listener(
            progress -> {
              System.arraycopy(
                  progress.x0().toArray(),
                  0,
                  estimates,
                  progress.row() * info.imageSize(),
                  info.imageSize());
              return true;
            })
        .sample(1);
    return Images.of(steps, info.height(), info.width(), info.channels(), estimates).toGrid(steps);
  }
}

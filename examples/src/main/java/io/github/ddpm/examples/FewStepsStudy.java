package io.github.ddpm.examples;

import static io.github.ddpm.examples.Commands.format;

import io.github.ddpm.Images;
import io.github.ddpm.NoiseScheduler;
import io.github.ddpm.Predictor;
import io.github.ddpm.Sampler;
import io.github.ddpm.examples.measures.DigitClassifier;
import io.github.ddpm.examples.measures.Quality;
import io.github.ddpm.tf.TrainingOptions;
import io.github.ddpm.tf.data.Dataset;
import java.awt.Color;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import javax.imageio.ImageIO;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures what few steps make of the digits model, and of those that learned from it. */
@Command(
    name = "FewStepsStudy",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    description = {
      "Draws digits in few steps: with the model in the library by DDIM and by DPM-Solver++, and with those that learned"
          + " from it to take 1, 2 and 4.",
      "Measures them against as many of MNIST's training images and writes OUT/few-steps.md, a page in Markdown, with"
          + " pictures and two charts, and OUT/few-steps.json, the distances, which SamplingStudy shows too."
    },
    footerHeading = Commands.EXAMPLES,
    footer = {
      "  ${COMMAND-FULL-NAME} --count 2000",
      "  ${COMMAND-FULL-NAME} --seed 1 --out few-steps"
    })
public final class FewStepsStudy implements Callable<Integer> {
  private static final int SHOWN = 16;
  private static final String DISTANCE = "distance.png";
  private static final String SURE = "sure.png";
  private static final String DISTILLED = "distilled";
  private static final String PAGE = "few-steps.md";
  private static final Color[] COLORS = {
    new Color(0x2c5aa0), new Color(0x7a8f3a), new Color(0xb53a2e)
  };

  @Mixin private final MnistOption data = new MnistOption();

  @Option(names = "--out", defaultValue = "target/few-steps", description = "folder of the page")
  private Path out;

  @Option(names = "--count", defaultValue = "10000", description = "number of digits of each line")
  private int count;

  @Option(names = "--seed", defaultValue = "0", description = "of the noise")
  private long seed;

  private final int timed;
  private final int rounds;

  FewStepsStudy() {
    this(64, 5);
  }

  /** Times are those of so many images, the middle one of so many rounds. */
  FewStepsStudy(int timed, int rounds) {
    this.timed = timed;
    this.rounds = rounds;
  }

  /**
   * One line of the table.
   *
   * @param group whose curve it is on
   * @param model its name in the library
   */
  private record Setting(String group, String model, Sampler sampler, int steps) {
    String fileName() {
      return format("%s-%d.png", group.replaceAll("[^A-Za-z]+", "-").replaceAll("-$", ""), steps);
    }
  }

  /** What came of it, in milliseconds a picture. */
  private record Result(Setting setting, Quality quality, double milliseconds) {}

  /** Runs the command; {@code --help} lists the options. */
  public static void main(String... args) {
    Commands.main(new FewStepsStudy(), args);
  }

  @Override
  public Integer call() throws Exception {
    Dataset train = data.train();
    Dataset test = data.test();
    Yardstick.check(count, train, test);
    Path pictures = Files.createDirectories(out.resolve("few-steps"));
    Commands.checkWritable(out);
    Commands.checkWritable(pictures);
    System.out.printf(
        "timing %d settings, %d rounds of %d images%n", settings().size(), rounds, timed);
    List<Setting> settings = settings();
    List<Double> times = times(settings);
    List<Result> results = new ArrayList<>();
    Yardstick yardstick;
    try (DigitClassifier digits = DigitClassifier.load()) {
      yardstick = Yardstick.of(count, train, test, digits);
      for (int i = 0; i < settings.size(); i++) {
        Setting setting = settings.get(i);
        System.out.printf(
            "%s, %d steps, %d of %d%n", setting.group(), setting.steps(), i + 1, settings.size());
        Images drawn = ProgressDisplay.sample(sampler(setting), count);
        ImageIO.write(
            drawn.slice(0, Math.min(count, SHOWN)).toGrid(SHOWN),
            "png",
            pictures.resolve(setting.fileName()).toFile());
        results.add(
            new Result(
                setting, Quality.of(digits.classify(drawn), yardstick.real()), times.get(i)));
      }
    }
    Quality floor = yardstick.floor();
    XYChart distance = chart(results, floor, "Fréchet distance", Quality::frechet);
    distance.getStyler().setYAxisLogarithmic(true);
    save(distance, pictures.resolve(DISTANCE));
    save(chart(results, floor, "sure, %", quality -> 100 * quality.sure()), pictures.resolve(SURE));
    Map<String, SortedMap<Integer, Double>> distances = curves(results, Quality::frechet);
    distances.put("distilled models", distances.remove(DISTILLED));
    new StudyCurves("Distilled models", PAGE, count, precision(), floor.frechet(), distances)
        .write(out);
    Path page = out.resolve(PAGE);
    Commands.replace(page, page(results, floor).getBytes(StandardCharsets.UTF_8));
    System.out.println(page);
    return 0;
  }

  private static List<Setting> settings() {
    List<Setting> settings = new ArrayList<>();
    for (int steps : new int[] {1, 2, 4, 8, 16, 50}) {
      settings.add(new Setting("DDIM", "digits", Sampler.ddim(0), steps));
    }
    for (int steps : new int[] {1, 2, 4, 8, 16}) {
      settings.add(new Setting("DPM-Solver++", "digits", dpmSolver(steps), steps));
    }
    for (int steps : new int[] {1, 2, 4}) {
      settings.add(new Setting(DISTILLED, "digits-" + steps, Sampler.ddim(0), steps));
    }
    return settings;
  }

  /** Returns the sampler of second order, and with 1 step, which that can't take, of first. */
  private static Sampler dpmSolver(int steps) {
    return Sampler.of(NoiseScheduler.dpmSolver(Math.min(2, steps)));
  }

  private Sampler sampler(Setting setting) {
    return setting
        .sampler()
        .steps(setting.steps())
        .with(Predictor.pretrained(setting.model()))
        .seed(seed);
  }

  /** Returns the milliseconds that a picture takes, by turns, so that all have the same machine. */
  private List<Double> times(List<Setting> settings) {
    Map<Setting, List<Double>> taken = new LinkedHashMap<>();
    for (int round = 0; round <= rounds; round++) {
      for (Setting setting : settings) {
        long start = System.nanoTime();
        sampler(setting).sample(timed);
        double milliseconds = (System.nanoTime() - start) / 1e6 / timed;
        // The first round loads, and warms up.
        if (round > 0) {
          taken.computeIfAbsent(setting, each -> new ArrayList<>()).add(milliseconds);
        }
      }
    }
    return taken.values().stream()
        .map(
            each -> {
              Collections.sort(each);
              return each.get(rounds / 2);
            })
        .toList();
  }

  private static XYChart chart(
      List<Result> results, Quality floor, String name, ToDoubleFunction<Quality> measure) {
    XYChart chart =
        StudyCharts.curves(name, curves(results, measure), measure.applyAsDouble(floor));
    chart.getStyler().setSeriesColors(COLORS);
    return chart;
  }

  private static Map<String, SortedMap<Integer, Double>> curves(
      List<Result> results, ToDoubleFunction<Quality> measure) {
    Map<String, SortedMap<Integer, Double>> curves = new LinkedHashMap<>();
    for (Result result : results) {
      curves
          .computeIfAbsent(result.setting().group(), group -> new TreeMap<>())
          .put(result.setting().steps(), measure.applyAsDouble(result.quality()));
    }
    return curves;
  }

  private static String precision() {
    return TrainingOptions.defaults().precision().name().toLowerCase(Locale.ROOT);
  }

  private static void save(XYChart chart, Path file) throws IOException {
    ImageIO.write(BitmapEncoder.getBufferedImage(chart), "png", file.toFile());
  }

  private String page(List<Result> results, Quality floor) {
    StringBuilder page = new StringBuilder();
    page.append(
        format(
            """
            # Few steps

            %,d digits each, none asked for by label, seed %d, in %s, against as many of MNIST's training images. The last line is what as
            many of its test images get. Milliseconds are those of a picture of %d, the middle one of %d rounds, on this machine. The pictures are
            from the same noise.

            | | steps | Fréchet distance | precision | recall | sure, %% | rarest digit, %% | ms a picture | |
            |---|---|---|---|---|---|---|---|---|
            """,
            count, seed, precision(), timed, rounds));
    for (Result result : results) {
      Setting setting = result.setting();
      page.append(
          format(
              "| %s | %d | %s | %.2f | ![%s, %d](few-steps/%s) |%n",
              setting.group(),
              setting.steps(),
              numbers(result.quality()),
              result.milliseconds(),
              setting.group(),
              setting.steps(),
              setting.fileName()));
    }
    page.append(format("| test images | | %s | | |%n%n", numbers(floor)));
    page.append(format("![Fréchet distance](few-steps/%s)%n%n", DISTANCE));
    page.append(format("![share of sure digits](few-steps/%s)%n", SURE));
    return page.toString();
  }

  private static String numbers(Quality quality) {
    return format(
        "%.2f | %.3f | %.3f | %.1f | %.1f",
        quality.frechet(),
        quality.precisionRecall().precision(),
        quality.precisionRecall().recall(),
        100 * quality.sure(),
        100 * quality.rarest());
  }
}
